"""Messages between the checker and the process that runs a student's file: JSON beside raw arrays, no pickle.

A message is a length, a JSON header, and the arrays' bytes. Only numbers, text, lists, dicts and arrays of numbers
travel, so that nothing a child sends can run code in the parent.
"""

from __future__ import annotations

import json
import math
import os
import select
import struct
import time
from typing import Any

import numpy as np

LONGEST = 1 << 30


class Closed(Exception):
    """The other side is gone."""


class TooSlow(Exception):
    """Nothing came in time."""


def pack(tree: Any) -> bytes:
    """A message's bytes."""
    blobs: list[bytes] = []
    header = json.dumps(_lower(tree, blobs)).encode()
    body = struct.pack("<Q", len(header)) + header + b"".join(blobs)
    return struct.pack("<Q", len(body)) + body


def unpack(body: bytes) -> Any:
    """The tree of a message's body. Raises ValueError if it isn't one."""
    (size,) = struct.unpack_from("<Q", body)
    return _raise(json.loads(body[8 : 8 + size]), body[8 + size :])


def send(fd: int, tree: Any) -> None:
    """Write a message; Closed if nobody reads."""
    data = memoryview(pack(tree))
    try:
        while data:
            data = data[os.write(fd, data) :]
    except BrokenPipeError:
        raise Closed from None


def receive(fd: int, limit: float | None = None) -> Any:
    """Read a message; Closed at the end, TooSlow after `limit` seconds."""
    deadline = None if limit is None else time.monotonic() + limit
    (size,) = struct.unpack("<Q", _read(fd, 8, deadline))
    if size > LONGEST:
        raise ValueError(f"a message of {size} bytes")
    return unpack(_read(fd, size, deadline))


def _read(fd: int, size: int, deadline: float | None) -> bytes:
    parts = []
    while size:
        if deadline is not None and not select.select([fd], [], [], max(0.0, deadline - time.monotonic()))[0]:
            raise TooSlow
        part = os.read(fd, min(size, 1 << 16))
        if not part:
            raise Closed
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _lower(tree: Any, blobs: list[bytes]) -> Any:
    if isinstance(tree, np.ndarray):
        if tree.dtype.kind not in "biufc":
            return {"!": "object", "shape": list(tree.shape)}
        array = np.ascontiguousarray(tree).reshape(tree.shape)
        blobs.append(array.tobytes())
        return {"!": "array", "dtype": array.dtype.str, "shape": list(array.shape), "size": array.nbytes}
    if isinstance(tree, dict):
        return {str(name): _lower(value, blobs) for name, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [_lower(value, blobs) for value in tree]
    if isinstance(tree, np.generic):
        tree = tree.item()
    if isinstance(tree, float) and not math.isfinite(tree):
        return {"!": "float", "value": repr(tree)}
    if tree is None or isinstance(tree, bool | int | float | str):
        return tree
    raise TypeError(f"a {type(tree).__name__} can't travel")


def _raise(tree: Any, data: bytes) -> Any:
    place = 0

    def walk(node: Any) -> Any:
        nonlocal place
        if isinstance(node, list):
            return [walk(value) for value in node]
        if not isinstance(node, dict):
            return node
        kind = node.get("!")
        if kind == "array":
            part = data[place : place + node["size"]]
            place += node["size"]
            return np.frombuffer(part, np.dtype(node["dtype"])).reshape(node["shape"]).copy()
        if kind == "object":
            return np.full(node["shape"], None, dtype=object)
        if kind == "float":
            return float(node["value"])
        return {name: walk(value) for name, value in node.items()}

    return walk(tree)
