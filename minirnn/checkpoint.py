"""Checkpoints: nested dicts and lists of arrays and plain values, in one safetensors file, never pickle.

The arrays are the file's tensors, named by their path ("model/rnn.weight_ih_l0"), so that any safetensors reader can
show them. Everything else is JSON in one entry of the file's metadata. (Metadata values are strings. There is only one
entry because safetensors writes several entries in no fixed order, and equal states should give equal files.)

    "minirnn checkpoint": {"version": 1, "tree": node}

A node for a container or an array is an object with one key, its kind: {"dict": {key: node, ...}}, {"list": [node,
...]}, {"tuple": [node, ...]}, {"array": tensor name}, {"float": "nan" | "inf" | "-inf"} (JSON can't write these
numbers). str, int (of any size), finite float, bool and null are themselves.

A save is atomic: the bytes are written to a temporary file in the same folder and forced to disk. Then the temporary
file takes the old file's name in one step. If anything fails before that, the old file does not change.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np

from minirnn.autograd.devices import device_of

__all__ = ["CheckpointError", "load", "save", "write_atomically"]

FORMAT = "minirnn checkpoint"  # the name of the metadata entry
VERSION = 1
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
DTYPES = frozenset((*INTEGERS, "bool", "float16", "float32", "float64", "complex64"))
MAX_HEADER_BYTES = 100_000_000  # the limit that safetensors itself sets


class CheckpointError(ValueError):
    """A checkpoint that can't be written or read. The message names the file and the reason."""


def save(path: str | os.PathLike[str], state: Any) -> None:
    """Write `state`, nested dicts (str keys), lists and tuples of arrays, str, int, float, bool and None, to `path`.

    Arrays may have any memory layout and byte order; dtypes are those of safetensors (no complex128, no objects).
    Raises TypeError, naming the entry, if an entry can't be stored, and CheckpointError, with the reason, if the file
    can't be written. An existing file at `path` does not change then.
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
    """Return the state that `save` wrote to `path`. Arrays are writable, in C order, with their dtype and shape.

    Raises CheckpointError if the file is missing, unreadable, truncated or not a checkpoint, has another format
    version, or lacks an array that its tree names.
    """
    from safetensors import SafetensorError, safe_open

    record = _read_record(path)
    try:
        with safe_open(os.fspath(path), framework="numpy") as file:
            return _decode(record["tree"], {name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
    except CheckpointError as error:  # from _decode, which doesn't know the path
        raise CheckpointError(f"{os.fspath(path)}: {error}") from None
    except SafetensorError as error:
        raise CheckpointError(f"{os.fspath(path)}: not a valid safetensors file: {error}") from None
    except OSError as error:
        raise CheckpointError(f"{os.fspath(path)}: cannot read the checkpoint: {error.strerror or error}") from None
    except (KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{os.fspath(path)}: the checkpoint's tree is damaged: {error!r}") from None


def _encode(value: Any, where: tuple[str, ...], arrays: dict[str, np.ndarray]) -> Any:
    """Return the JSON node for `value`. Arrays are added to `arrays` under a name made from their path, `where`."""
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
        while name in arrays or name == "__metadata__":  # {"a/b": x} and {"a": {"b": y}}, or safetensors' own key
            name += "'"
        arrays[name] = np.asarray(value, order="C")  # safetensors writes the memory unchanged
        return {"array": name}
    if device_of(value) != "cpu":
        raise TypeError(f"checkpoint entry {'/'.join(where)!r}: an array on a GPU; copy it with minirnn.devices.host")
    kind = f"an array of {value.dtype}" if isinstance(value, np.ndarray) else f"a {type(value).__name__}"
    raise TypeError(f"checkpoint entry {'/'.join(where)!r}: {kind} can't be stored; convert it to a plain value first")


def _decode(node: Any, arrays: dict[str, np.ndarray]) -> Any:
    """Return the value that `_encode` encoded as `node`. arrays: the arrays of the file, by name."""
    content: Any
    if not isinstance(node, dict):
        return node
    kind, content = next(iter(node.items())) if len(node) == 1 else ("", None)
    if kind == "array":
        if content not in arrays:
            raise CheckpointError(f"the array {content!r} is missing from the checkpoint")
        return arrays[content]
    if kind == "dict":
        return {key: _decode(item, arrays) for key, item in content.items()}
    if kind in ("list", "tuple"):
        items = [_decode(item, arrays) for item in content]
        return items if kind == "list" else tuple(items)
    if kind == "float":
        return {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}[content]
    raise TypeError(f"unknown kind of node: {', '.join(node)}")


def _read_record(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the JSON record in the file's metadata. The checks tell a truncated checkpoint from another kind of file.

    A safetensors file is 8 bytes with the header's length (little endian), the header (JSON), then the arrays.
    """
    name = os.fspath(path)
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            length = int.from_bytes(file.read(8), "little")
            header = file.read(min(length, MAX_HEADER_BYTES))
    except OSError as error:
        raise CheckpointError(f"{name}: cannot read the checkpoint: {error.strerror or error}") from None
    if size == 0:
        raise CheckpointError(f"{name}: truncated: the file is empty")
    if not b"{".startswith(header[:1]) or length > MAX_HEADER_BYTES:
        raise CheckpointError(f"{name}: not a checkpoint (it is not a safetensors file)")
    if size < 8 or len(header) < length:
        raise CheckpointError(f"{name}: truncated: the file has {size} bytes, the header alone needs {8 + length}")
    try:
        entries = json.loads(header)
        metadata = entries.pop("__metadata__", {})
        needed = 8 + length + max((entry["data_offsets"][1] for entry in entries.values()), default=0)
        record = json.loads(metadata[FORMAT]) if FORMAT in metadata else None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise CheckpointError(f"{name}: not a checkpoint (its header is damaged)") from None
    if not isinstance(record, dict):
        raise CheckpointError(f"{name}: a safetensors file, but not a minirnn checkpoint")
    if (found := record.get("version")) != VERSION:
        raise CheckpointError(f"{name}: format version {found}: this version of minirnn reads only version {VERSION}")
    if size != needed:
        problem = "truncated" if size < needed else "wrong size"
        raise CheckpointError(f"{name}: {problem}: the file has {size} bytes, its header describes {needed}")
    return record


def write_atomically(path: Path, content: bytes) -> None:
    """Replace the file at `path` with `content`, or raise OSError and leave the file unchanged."""
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
    if os.name == "posix":  # forces the new name to disk
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
