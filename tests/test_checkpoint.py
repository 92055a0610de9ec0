"""Checkpoints: exact round trips, atomic writes, and a clear message for every kind of bad file."""

import builtins
import errno
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from minirnn import random
from minirnn.checkpoint import DTYPES, CheckpointError, load, save


def same(a, b):
    """Return True if a and b are equal in type, structure, dtype, shape and bits."""
    if isinstance(a, np.ndarray):
        return type(b) is np.ndarray and a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, dict):
        return type(b) is dict and list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return type(a) is type(b) and len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return type(a) is type(b) and repr(a) == repr(b)


def round_trip(tmp_path, state):
    save(tmp_path / "c.safetensors", state)
    return load(tmp_path / "c.safetensors")


@pytest.mark.parametrize("dtype", sorted(DTYPES))
@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1,), (2, 3), (2, 1, 5)])
def test_arrays_keep_dtype_shape_and_bits(tmp_path, dtype, shape):
    rng = np.random.default_rng(0)
    array = rng.integers(0, 2 if dtype == "bool" else 100, size=shape).astype(dtype)
    assert same(round_trip(tmp_path, array), array)


def test_non_contiguous_and_foreign_arrays_keep_their_values(tmp_path):
    a = np.random.default_rng(0).standard_normal((4, 6))
    state = {
        "transposed": a.T,
        "strided": a[::2, ::-3],
        "broadcast": np.broadcast_to(a[0], (3, 6)),
        "fortran": np.asfortranarray(a),
        "big endian": a.astype(">f8"),
        "read-only": np.frombuffer(a.tobytes(), a.dtype),
    }
    for name, array in round_trip(tmp_path, state).items():
        assert np.array_equal(array, state[name]), name
        assert array.flags.writeable, name
        assert array.flags.c_contiguous, name
        assert array.dtype == np.float64, name


def test_nan_payloads_and_signed_zeros_keep_their_bits(tmp_path):
    array = np.array([0x7FF8DEADBEEF0000, 0x8000000000000000, 0x7FF0000000000000], np.uint64).view(np.float64)
    assert round_trip(tmp_path, array).tobytes() == array.tobytes()


def test_plain_values_are_exact(tmp_path):
    state = {
        "ints": [0, -1, 2**127 + 1, -(2**200)],
        "floats": [0.1, 1e-323, -0.0, float("inf"), float("-inf"), float("nan"), 1.0],
        "flags": [True, False, None],
        "pair": (0.9, (0.999,), []),
        "empty": {},
        "text": 'grüße \U0001f600 \x00 \ud800 "quoted"\n',
        "": {"": 1},
    }
    assert same(round_trip(tmp_path, state), state)


def test_any_key_can_name_an_array(tmp_path):
    keys = ["größe", "数", "\U0001f600", "a/b", "", "__metadata__", "\ud800", "array", "dict", "with space\n"]
    state = {key: np.full(2, index) for index, key in enumerate(keys)} | {"a": {"b": np.full(2, -1)}}
    assert same(round_trip(tmp_path, state), state)


def test_a_random_state_of_128_bits_survives(tmp_path):
    random.manual_seed(5)
    state = round_trip(tmp_path, random.get_state())
    expected = random.generator().random(3)
    random.set_state(state)
    assert np.array_equal(random.generator().random(3), expected)


def test_other_safetensors_readers_see_readable_names_and_the_schema(tmp_path):
    save(tmp_path / "c", {"model": {"w": np.ones(2)}, "step": 3})
    with safe_open(tmp_path / "c", framework="numpy") as file:
        assert list(file.keys()) == ["model/w"]
        metadata = file.metadata()
    tree = {"dict": {"model": {"dict": {"w": {"array": "model/w"}}}, "step": 3}}
    assert json.loads(metadata["minirnn checkpoint"]) == {"version": 1, "tree": tree}


def test_equal_states_are_equal_bytes(tmp_path):
    for name in "ab":
        save(tmp_path / name, {"y": np.arange(3), "x": [np.ones(2), 1.5]})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (np.float32(1), "a float32"),
        (np.array(["s"]), "an array of <U1"),
        (np.array([None]), "an array of object"),
        (np.zeros(2, np.complex128), "an array of complex128"),
        ({1: 2}, "dict keys must be str, got 1"),
        ({1, 2}, "a set"),
    ],
)
def test_what_cannot_be_stored_is_named_before_anything_is_written(tmp_path, value, reason):
    with pytest.raises(TypeError, match="checkpoint entry 'model/w'.*" + reason):
        save(tmp_path / "c", {"model": {"w": value}})
    assert not any(tmp_path.iterdir())


# ---- bad files


@pytest.fixture
def good(tmp_path):
    path = tmp_path / "good.safetensors"
    save(path, {"w": np.arange(6.0), "v": np.arange(3), "name": "x"})
    return path


def message(path):
    with pytest.raises(CheckpointError) as caught:
        load(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_every_truncation_is_a_clear_error(good):
    content = good.read_bytes()
    for size in range(len(content)):
        good.write_bytes(content[:size])
        assert "truncated" in message(good), size


def test_trailing_bytes_are_a_wrong_size(good):
    good.write_bytes(good.read_bytes() + b"\0")
    assert "wrong size" in message(good)


@pytest.mark.parametrize(
    "content",
    [
        b"hello, this is a text\n",
        b"\x80\x04\x95pickle....",
        b"PK\x03\x04" + bytes(100),
        bytes(100),
        b"\x02" + bytes(7) + b"{}",
    ],
)
def test_other_files_are_not_checkpoints(tmp_path, content):
    (tmp_path / "f").write_bytes(content)
    assert "not a" in message(tmp_path / "f")


def test_an_invalid_header_is_not_a_checkpoint(tmp_path):
    for header in (
        b"{broken",
        b'{"a": 1}',
        b'{"a": {"data_offsets": "xy"}}',
        b'{"__metadata__": 3}',
        b'{"__metadata__": {"minirnn checkpoint": "{"}}',
    ):
        (tmp_path / "f").write_bytes(len(header).to_bytes(8, "little") + header)
        assert "not a checkpoint" in message(tmp_path / "f")


def test_a_plain_safetensors_file_is_named_as_such(tmp_path):
    save_file({"w": np.ones(2)}, tmp_path / "f")
    assert "not a minirnn checkpoint" in message(tmp_path / "f")


def write_tree(path, tree, version="1"):
    save_file({"w": np.ones(2)}, path, metadata={"minirnn checkpoint": f'{{"version": {version}, "tree": {tree}}}'})


def test_another_format_version_is_named(tmp_path):
    write_tree(tmp_path / "f", "null", version="2")
    assert "format version 2" in message(tmp_path / "f")


def test_a_missing_array_is_named(tmp_path):
    write_tree(tmp_path / "f", '{"dict": {"v": {"array": "v"}}}')
    assert "array 'v' is missing" in message(tmp_path / "f")


@pytest.mark.parametrize(
    "tree",
    [
        '{"dict": 3}',
        '{"nothing": 1}',
        '{"array": "w", "list": []}',
        '{"list": 1}',
        "{}",
        '{"float": "x"}',
        '{"array": []}',
    ],
)
def test_a_damaged_tree_is_named(tmp_path, tree):
    write_tree(tmp_path / "f", tree)
    assert "damaged" in message(tmp_path / "f")


def test_a_tree_that_is_absent_is_named(tmp_path):
    save_file({"w": np.ones(2)}, tmp_path / "f", metadata={"minirnn checkpoint": '{"version": 1}'})
    assert "damaged" in message(tmp_path / "f")


def test_missing_file_and_folder(tmp_path):
    assert "No such file" in message(tmp_path / "absent")
    assert "directory" in message(tmp_path)


# ---- writes that fail


def refused(path, state):
    with pytest.raises(CheckpointError, match="cannot write the checkpoint") as caught:
        save(path, state)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_an_impossible_folder_is_named(tmp_path):
    assert "No such file" in refused(tmp_path / "absent" / "c", {})
    (tmp_path / "file").write_text("")
    assert "Not a directory" in refused(tmp_path / "file" / "c", {})


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_an_unwritable_folder_is_named(tmp_path):
    tmp_path.chmod(0o500)
    assert "Permission denied" in refused(tmp_path / "c", {})


@pytest.mark.parametrize("failing", ["write", "fsync", "replace"])
def test_a_full_disk_leaves_the_old_file_and_no_other(tmp_path, good, monkeypatch, failing):
    before = good.read_bytes()

    def full(*_args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if failing == "write":
        real = builtins.open

        def half_open(name, mode="r", **kwargs):
            file = real(name, mode, buffering=0, **kwargs)
            if "w" not in mode:
                return file
            return HalfFile(file, full)

        monkeypatch.setattr(builtins, "open", half_open)
    else:
        monkeypatch.setattr(os, failing, full)
    assert "No space left" in refused(good, {"w": np.zeros(1000)})
    monkeypatch.undo()
    assert good.read_bytes() == before
    assert list(tmp_path.iterdir()) == [good]


class HalfFile:
    """A file on a disk that is full after half of the first write."""

    def __init__(self, file, full):
        self.file, self.full = file, full

    def __enter__(self):
        return self

    def __exit__(self, *_exc):
        self.file.close()

    def write(self, content):
        self.file.write(content[: len(content) // 2])
        self.full()


@pytest.mark.skipif(os.name != "posix", reason="resource limits are POSIX")
def test_the_systems_file_size_limit_leaves_the_old_file(tmp_path, good):
    before = good.read_bytes()
    script = (
        "import resource, sys, numpy as np; from minirnn.checkpoint import save\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "save(sys.argv[1], {'w': np.zeros(10000)})"
    )
    done = subprocess.run([sys.executable, "-c", script, str(good)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "cannot write the checkpoint: File too large" in done.stderr
    assert good.read_bytes() == before
    assert list(tmp_path.iterdir()) == [good]


def test_a_link_stays_a_link(tmp_path, good):
    link = tmp_path / "link"
    link.symlink_to(good)
    save(link, {"step": 9})
    assert link.is_symlink()
    assert load(good) == {"step": 9}


def test_permissions_are_those_of_any_new_file(tmp_path, good):
    other = tmp_path / "other"
    other.write_text("")
    assert good.stat().st_mode == other.stat().st_mode
