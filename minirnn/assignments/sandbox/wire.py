"""Messages between the checker and the process that runs a student's file: JSON with raw arrays, no pickle.

A message is a length, a JSON header, and the arrays' bytes. It can contain only numbers, text, lists, dicts and arrays
of numbers. No message from a child can therefore run code in the parent.
"""

from __future__ import annotations

import json
import math
import os
import select
import struct
import time
from functools import partial
from typing import Any

import numpy as np

LONGEST = 1 << 30  # bytes: the longest message that is read


class Closed(Exception):
    """The other process closed the pipe."""


class TooSlow(Exception):
    """No message arrived within the time limit."""


def pack(tree: Any) -> bytes:
    """Return the bytes of a message. Raises TypeError for a value that can't be sent."""
    blobs = bytearray()
    header = json.dumps(tree, default=partial(_encode, blobs)).encode()
    body = struct.pack("<Q", len(header)) + header + blobs
    return struct.pack("<Q", len(body)) + body


def unpack(body: bytes) -> Any:
    """Return the value in a message's body. Raises ValueError if the body isn't valid."""
    (size,) = struct.unpack_from("<Q", body)
    return json.loads(body[8 : 8 + size], object_hook=partial(_decode, body[8 + size :]))


def send(fd: int, tree: Any) -> None:
    """Write a message. Raises Closed if the other process is gone."""
    data = memoryview(pack(tree))
    try:
        while data:
            data = data[os.write(fd, data) :]
    except BrokenPipeError:
        raise Closed from None


def receive(fd: int, limit: float | None = None) -> Any:
    """Read a message. Raises Closed at the end of the pipe, and TooSlow after `limit` seconds."""
    deadline = None if limit is None else time.monotonic() + limit
    (size,) = struct.unpack("<Q", _read(fd, 8, deadline))
    if size > LONGEST:
        raise ValueError(f"a message of {size} bytes is longer than {LONGEST} bytes")
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


def _encode(blobs: bytearray, value: Any) -> Any:
    """Return what JSON has instead of an array or a NumPy scalar. An array's bytes are added to `blobs`."""
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in "biufc":
            return {"!": "object", "shape": list(value.shape)}
        start = len(blobs)
        blobs += value.tobytes()
        return {"!": "array", "dtype": value.dtype.str, "shape": list(value.shape), "start": start}
    if isinstance(value, np.bool_ | np.integer | np.float16 | np.float32):
        return value.item()
    raise TypeError(f"a {type(value).__name__} can't be sent: only numbers, text, lists, dicts and arrays of numbers")


def _decode(blobs: bytes, node: dict[str, Any]) -> Any:
    """Return the array that a JSON object stands for, or the object itself. An array of objects has lost its items."""
    kind = node.get("!")
    if kind == "array":
        start, count = node["start"], math.prod(node["shape"])
        array = np.frombuffer(blobs, node["dtype"], count, start) if count else np.empty(0, node["dtype"])
        return array.reshape(node["shape"]).copy()
    return np.full(node["shape"], None, dtype=object) if kind == "object" else node
