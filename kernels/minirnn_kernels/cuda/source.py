"""The CUDA sources of `cuda/` as one text for each configuration, and the options it is compiled with.

A configuration is a cell, the types it computes with, how it multiplies and how many blocks a cluster has. Sources name
these by macros (CELL, STORAGE, PRODUCT, CLUSTER); no template is instantiated by name and no CUDA header is needed.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent / "src"

CELLS = ("RNN", "LSTM", "GRU")
PRODUCTS = {"double": ("FMA",), "float": ("FMA", "TF32", "TF32X3"), "half": ("MMA16",), "bf16": ("MMA16",)}
CLUSTERS = (1, 2, 4, 8)  # what every GPU that has clusters can launch


@dataclass(frozen=True)
class Configuration:
    """One compiled module: `cell` of CELLS, `storage` and `product` of PRODUCTS, `cluster` of CLUSTERS.

    `jitter` puts random waits where threads may be early or late: the build for stress tests.
    """

    cell: str
    storage: str
    product: str
    cluster: int = 1
    jitter: bool = False

    def __post_init__(self) -> None:
        if self.cell not in CELLS:
            raise ValueError(f"cell: expected one of {', '.join(CELLS)}, got {self.cell!r}")
        if self.product not in PRODUCTS.get(self.storage, ()):
            pairs = "; ".join(f"{storage}: {', '.join(products)}" for storage, products in PRODUCTS.items())
            raise ValueError(f"storage and product: expected {pairs}; got {self.storage!r} and {self.product!r}")
        if self.cluster not in CLUSTERS:
            raise ValueError(f"cluster: expected one of {', '.join(map(str, CLUSTERS))}, got {self.cluster!r}")


# What CuPy adds to the options of every program: numbers too small for float32's exponent count as zero.
BY_CUPY = ("-ftz=true", "--device-as-default-execution-space")


def options(configuration: Configuration) -> tuple[str, ...]:
    """The compiler's options, the architecture and what CuPy adds apart."""
    macros = {
        "CELL": configuration.cell,
        "STORAGE": configuration.storage,
        "PRODUCT": configuration.product,
        "CLUSTER": configuration.cluster,
    }
    jitter = ("-DJITTER",) if configuration.jitter else ()
    return ("--std=c++17", *(f"-D{name}={value}" for name, value in macros.items()), *jitter)


@cache
def source(name: str) -> str:
    """The text of `cuda/<name>.cu`, "gates" or "sequence", with what it includes in its place."""
    return _with_includes(f"{name}.cu")


def _with_includes(file: str) -> str:
    """The text of a file; `#line` tells the compiler where each part is from."""
    lines = [f'#line 1 "{file}"']
    for number, line in enumerate((FOLDER / file).read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("#include "):
            lines += [_with_includes(line.split('"')[1]), f'#line {number + 1} "{file}"']
        else:
            lines.append(line)
    return "\n".join(lines)
