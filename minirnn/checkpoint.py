"""Checkpoints: nested dicts and lists of arrays and plain values, in one safetensors file, never pickle.

Arrays are the file's tensors, named by their path ("model/rnn.weight_ih_l0"), so that any safetensors reader shows
them. Everything else is JSON in the file's metadata, which safetensors limits to strings. It is one entry, because
safetensors writes several in no fixed order and equal states are to be equal files:

    "minirnn checkpoint": {"version": 1, "tree": node}

A node that is a container or an array is an object of one key that says what it is: {"dict": {key: node, ...}},
{"list": [node, ...]}, {"tuple": [node, ...]}, {"array": tensor name}, {"float": "nan" | "inf" | "-inf"} (JSON has no
word for these). str, int (of any size), finite float, bool and null stand for themselves.

A save is atomic: the bytes go to a temporary file in the same folder, are forced to disk, and then take the old
file's name in one step. Whatever fails before that leaves the old file as it was.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from minirnn.autograd.devices import device_of

__all__ = ["CheckpointError", "load", "save", "write_atomically"]

FORMAT = "minirnn checkpoint"  # the metadata entry
VERSION = 1
DTYPES = frozenset(
    (
        *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
        *("float16", "float32", "float64", "complex64"),
    )
)
MAX_HEADER = 100_000_000  # bytes; the limit that safetensors itself sets


class CheckpointError(ValueError):
    """A checkpoint can't be written or read. The message names the file and the reason."""


def save(path: str | os.PathLike[str], state: Any) -> None:
    """Write `state`, nested dicts (str keys), lists and tuples of arrays, str, int, float, bool and None, to `path`.

    Arrays may have any memory layout and byte order; dtypes are those of safetensors (no complex128, no objects).
    TypeError names the entry that can't be stored; CheckpointError says why the file couldn't be written, and then
    whatever stood at `path` before is unchanged.
    """
    from safetensors.numpy import save as to_bytes

    arrays: dict[str, np.ndarray] = {}
    record = {"version": VERSION, "tree": _encode(state, (), arrays)}
    content = to_bytes(arrays, metadata={FORMAT: json.dumps(record, allow_nan=False)})
    try:
        write_atomically(Path(os.path.realpath(path)), content)
    except OSError as error:
        reason = error.strerror or str(error)
        raise CheckpointError(f"{os.fspath(path)}: cannot write the checkpoint: {reason}") from error


def load(path: str | os.PathLike[str]) -> Any:
    """Read what `save` wrote. Arrays come back writable, in C order, with their dtype and shape.

    CheckpointError if the file is missing, unreadable, truncated, not a checkpoint, of another format version, or
    lacks an array that its tree names.
    """
    from safetensors import SafetensorError, safe_open

    record = _read_record(path)
    try:
        with safe_open(os.fspath(path), framework="numpy") as file:
            names = frozenset(file.keys())

            def read(name: str) -> np.ndarray:
                if name not in names:
                    raise CheckpointError(f"{os.fspath(path)}: the array {name!r} is missing from the checkpoint")
                array: np.ndarray = file.get_tensor(name)
                return array

            return _decode(record["tree"], read)
    except SafetensorError as error:
        raise CheckpointError(f"{os.fspath(path)}: not a valid safetensors file: {error}") from None
    except OSError as error:
        raise CheckpointError(f"{os.fspath(path)}: cannot read the checkpoint: {error.strerror or error}") from None
    except (KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{os.fspath(path)}: the checkpoint's tree is damaged: {error!r}") from None


def _encode(value: Any, where: tuple[str, ...], arrays: dict[str, np.ndarray]) -> Any:
    """The JSON node for `value`; arrays met on the way are added to `arrays` under a name made of their path."""
    if value is None or isinstance(value, (bool, str)) or type(value) is int:
        return value
    if type(value) is float:
        return value if math.isfinite(value) else {"float": str(value)}
    if isinstance(value, dict):
        if wrong := [key for key in value if not isinstance(key, str)]:
            raise TypeError(f"checkpoint entry {'/'.join(where)!r}: dict keys must be str, got {wrong[0]!r}")
        return {"dict": {key: _encode(item, (*where, key), arrays) for key, item in value.items()}}
    if isinstance(value, (list, tuple)):
        nodes = [_encode(item, (*where, str(index)), arrays) for index, item in enumerate(value)]
        return {"list" if isinstance(value, list) else "tuple": nodes}
    if isinstance(value, np.ndarray) and value.dtype.name in DTYPES:
        name = "/".join(where).encode("utf-8", "backslashreplace").decode("utf-8")
        while name in arrays or name == "__metadata__":  # {"a/b": x} beside {"a": {"b": y}}; safetensors' own key
            name += "'"
        arrays[name] = np.asarray(value, order="C")  # safetensors writes the buffer as it lies in memory
        return {"array": name}
    if device_of(value) != "cpu":
        raise TypeError(f"checkpoint entry {'/'.join(where)!r}: an array on a GPU; minirnn.devices.host copies it")
    kind = f"an array of {value.dtype}" if isinstance(value, np.ndarray) else f"a {type(value).__name__}"
    raise TypeError(f"checkpoint entry {'/'.join(where)!r}: {kind} can't be stored; convert it to a plain value first")


def _decode(node: Any, read: Callable[[str], np.ndarray]) -> Any:
    """The value that `_encode` made `node` from; `read` fetches an array by name."""
    content: Any
    if not isinstance(node, dict):
        return node
    kind, content = next(iter(node.items())) if len(node) == 1 else ("", None)
    if kind == "array":
        return read(content)
    if kind == "dict":
        return {key: _decode(item, read) for key, item in content.items()}
    if kind in ("list", "tuple"):
        items = [_decode(item, read) for item in content]
        return items if kind == "list" else tuple(items)
    if kind == "float":
        return {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}[content]
    raise TypeError(f"no such node: {', '.join(node)}")


def _read_record(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The JSON record in the file's metadata, after checks that tell a truncated checkpoint from something else.

    A safetensors file is 8 bytes with the header's length (little endian), the header (JSON), then the arrays.
    """
    name = os.fspath(path)
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            length = int.from_bytes(file.read(8), "little")
            header = file.read(min(length, MAX_HEADER))
    except OSError as error:
        raise CheckpointError(f"{name}: cannot read the checkpoint: {error.strerror or error}") from None
    if size == 0:
        raise CheckpointError(f"{name}: truncated: the file is empty")
    if not b"{".startswith(header[:1]) or length > MAX_HEADER:
        raise CheckpointError(f"{name}: not a checkpoint (it is not a safetensors file)")
    if size < 8 or len(header) < length:
        raise CheckpointError(f"{name}: truncated: {size} bytes, the header alone needs {8 + length}")
    try:
        entries = json.loads(header)
        metadata = entries.pop("__metadata__", {})
        needed = 8 + length + max((entry["data_offsets"][1] for entry in entries.values()), default=0)
        record = json.loads(metadata[FORMAT]) if FORMAT in metadata else None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise CheckpointError(f"{name}: not a checkpoint (its header is damaged)") from None
    if not isinstance(record, dict):
        raise CheckpointError(f"{name}: a safetensors file, but not a minirnn checkpoint")
    if record.get("version") != VERSION:
        found = record.get("version")
        raise CheckpointError(f"{name}: format version {found}, this version of minirnn reads version {VERSION}")
    if size != needed:
        problem = "truncated" if size < needed else "wrong size"
        raise CheckpointError(f"{name}: {problem}: {size} bytes, its header promises {needed}")
    return record


def write_atomically(path: Path, content: bytes) -> None:
    """Replace the file at `path` by `content`, or raise OSError and leave it as it was."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    if os.name == "posix":  # the new name itself reaches the disk with the folder
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
