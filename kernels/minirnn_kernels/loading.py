"""Load a record of kernels from a user's Python file."""

import sys
import traceback
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from minirnn_kernels.contract import Gates, Kernels


class KernelFileError(Exception):
    """A file does not define kernels; the message is one sentence that says where and why."""


_loaded: dict[str, ModuleType] = {}  # the modules that `load` has added to sys.modules, by name


def load(path: str | Path) -> Kernels:
    """Return the record that a Python file defines as KERNELS, or NumPy's sequences around its GATES.

    Each call runs the file again, as a module with the name of the file. The record is not proven here;
    `minirnn_kernels.proof.prove` does that. Raises KernelFileError if the file can't be run or defines neither.
    """
    path = Path(path).resolve()
    if not path.is_file():
        raise KernelFileError(f"{path}: there is no such file")
    from minirnn_kernels.reference.sequences import sequences

    module = _run(path)
    for name, kind in (("KERNELS", Kernels), ("GATES", Gates)):
        found = getattr(module, name, None)
        if isinstance(found, kind):
            return found if isinstance(found, Kernels) else sequences(found.name, found)
        if found is not None:
            raise KernelFileError(
                f"{path}: {name} is a {type(found).__name__}, expected {kind.__module__}.{kind.__name__}"
            )
    raise KernelFileError(f"{path}: defines neither KERNELS = Kernels(...) nor GATES = Gates(...)")


def _run(path: Path) -> ModuleType:
    # Numba's disk cache finds the module of a function by name. The name must be that of an ordinary import, and the
    # module must be in sys.modules under it.
    name = path.stem
    if path.suffix != ".py":
        raise KernelFileError(f"{path}: isn't a Python file, expected a name that ends in .py")
    if not name.isidentifier():
        raise KernelFileError(f"{path}: {name!r} can't be a module's name, expected letters, digits and underscores")
    if _taken(name, path):
        raise KernelFileError(f"{path}: there is another module called {name!r}, give the file another name")
    spec = spec_from_file_location(name, path)
    assert spec is not None  # every .py file has a spec
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
    """Return whether the name belongs to a module that is neither this file nor the result of an earlier `load`."""
    known = sys.modules.get(name)
    if known is not None and known is _loaded.get(name):
        return False
    spec = find_spec(name) if known is None else getattr(known, "__spec__", None)
    if spec is None or spec.origin is None:  # a folder without an __init__ has no origin
        return known is not None
    return Path(spec.origin).resolve() != path


def _forget(name: str) -> None:
    sys.modules.pop(name, None)
    _loaded.pop(name, None)
