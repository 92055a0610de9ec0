"""A record of kernels from a Python file of the user's."""

import sys
import traceback
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from minirnn_kernels.contract import Gates, Kernels


class KernelFileError(Exception):
    """What is wrong with a file that should define kernels, in one sentence."""


_loaded: dict[str, ModuleType] = {}  # by name: what `load` has put among the imported modules


def load(path: str | Path) -> Kernels:
    """The record that a Python file defines as KERNELS, or the gates that it defines as GATES with NumPy's sequences.

    The file is run as a module of its own name, and run anew by each call. It isn't proven here:
    `conformance.prove` does that. KernelFileError says what is missing or wrong in it, and where.
    """
    path = Path(path).resolve()
    if not path.is_file():
        raise KernelFileError(f"{path}: there is no such file")
    module = _run(path)
    kernels, gates = getattr(module, "KERNELS", None), getattr(module, "GATES", None)
    if isinstance(kernels, Kernels):
        return kernels
    if kernels is not None:
        raise KernelFileError(
            f"{path}: KERNELS is a {type(kernels).__name__}, expected minirnn_kernels.contract.Kernels"
        )
    if isinstance(gates, Gates):
        from minirnn_kernels.reference.sequences import sequences

        return sequences(gates.name, gates)
    if gates is not None:
        raise KernelFileError(f"{path}: GATES is a {type(gates).__name__}, expected minirnn_kernels.contract.Gates")
    raise KernelFileError(f"{path}: defines neither KERNELS = Kernels(...) nor GATES = Gates(...)")


def _run(path: Path) -> ModuleType:
    # Numba's cache on disk finds a function's module by its name: it has to be that of an ordinary import of the file,
    # and the module has to be known under it.
    name = path.stem
    if path.suffix != ".py":
        raise KernelFileError(f"{path}: isn't a Python file, expected a name that ends in .py")
    if not name.isidentifier():
        raise KernelFileError(f"{path}: {name!r} can't be a module's name, expected letters, digits and underscores")
    if _taken(name, path):
        raise KernelFileError(f"{path}: there is another module called {name!r}, give the file another name")
    spec = spec_from_file_location(name, path)
    assert spec is not None  # there is one for every .py
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        _forget(name)
        raise KernelFileError(f"{error.filename}: line {error.lineno}: {error.msg}") from error
    except Exception as error:
        _forget(name)
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
        where = f"{path}: line {lines[-1]}" if lines else str(path)
        raise KernelFileError(f"{where}: {type(error).__name__}: {error}") from error
    _loaded[name] = module
    return module


def _taken(name: str, path: Path) -> bool:
    """Whether that name belongs to a module that is neither this file nor put there by an earlier `load`."""
    known = sys.modules.get(name)
    if known is not None and known is _loaded.get(name):
        return False
    spec = find_spec(name) if known is None else getattr(known, "__spec__", None)
    if spec is None or spec.origin is None:  # without an origin: a folder that would be a package if nothing else were
        return known is not None
    return Path(spec.origin).resolve() != path


def _forget(name: str) -> None:
    sys.modules.pop(name, None)
    _loaded.pop(name, None)
