"""The CUDA sources of `src/` as one text per kernel file, and the compiler options of each configuration.

A configuration is a cell, the types of its numbers, the kind of product and the size of a cluster. The sources refer to
these by macros (CELL, STORAGE, PRODUCT, CLUSTER). They instantiate no template by name and include no CUDA header.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from minirnn_kernels.cell import GRU, LSTM, RNN

FOLDER = Path(__file__).parent / "src"

CUDA_CELLS = (RNN, LSTM, GRU)
TITLES = tuple(cell.title for cell in CUDA_CELLS)  # the names of the structs in cells.cuh
PRODUCT_KINDS = {"double": ("FMA",), "float": ("FMA", "TF32", "TF32X3"), "half": ("MMA16",), "bf16": ("MMA16",)}
CLUSTERS = (1, 2, 4, 8)  # cluster sizes that every GPU with clusters can launch


@dataclass(frozen=True)
class KernelConfiguration:
    """One compiled module. Raises ValueError for a value that is not listed below."""

    cell: str  # one of TITLES
    storage: str  # a key of PRODUCT_KINDS: the C++ type in which arrays are stored
    product: str  # one of PRODUCT_KINDS[storage]
    cluster: int = 1  # one of CLUSTERS: blocks in a cluster
    jitter: bool = False  # whether threads wait for random times wherever they can be early or late: for stress tests

    def __post_init__(self) -> None:
        if self.cell not in TITLES:
            raise ValueError(f"cell: expected one of {', '.join(TITLES)}, got {self.cell!r}")
        if self.product not in PRODUCT_KINDS.get(self.storage, ()):
            pairs = "; ".join(f"{storage}: {', '.join(products)}" for storage, products in PRODUCT_KINDS.items())
            raise ValueError(f"storage and product: expected {pairs}; got {self.storage!r} and {self.product!r}")
        if self.cluster not in CLUSTERS:
            raise ValueError(f"cluster: expected one of {', '.join(map(str, CLUSTERS))}, got {self.cluster!r}")


# The options that CuPy adds for every program. The first flushes float32 numbers below the normal range to zero.
BY_CUPY = ("-ftz=true", "--device-as-default-execution-space")


def options(configuration: KernelConfiguration) -> tuple[str, ...]:
    """Return the compiler options, without the architecture and without the options that CuPy adds."""
    macros = {
        "CELL": configuration.cell,
        "STORAGE": configuration.storage,
        "PRODUCT": configuration.product,
        "CLUSTER": configuration.cluster,
    }
    jitter = ("-DJITTER",) if configuration.jitter else ()
    return ("--std=c++17", *(f"-D{name}={value}" for name, value in macros.items()), *jitter)


@cache
def text(name: str) -> str:
    """Return the text of `src/<name>.cu`, where name is "gates" or "sequence", with its includes expanded."""
    return _with_includes(f"{name}.cu")


def _with_includes(file: str) -> str:
    """Return the text of a file; `#line` directives tell the compiler which file each part comes from."""
    lines = [f'#line 1 "{file}"']
    for number, line in enumerate((FOLDER / file).read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("#include "):
            lines += [_with_includes(line.split('"')[1]), f'#line {number + 1} "{file}"']
        else:
            lines.append(line)
    return "\n".join(lines)
