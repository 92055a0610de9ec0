"""emulation/numbers.cpp: conversions between types, and the products of tensor cores."""

import numpy as np
import pytest

from tests.kernels.cuda.emulation.emulated_device import to_tf32
from tests.kernels.cuda.emulation.example_kernels import run
from tests.kernels.cuda.emulation.library import LaunchError


def test_every_half_becomes_the_same_float_as_in_numpy(numbers):
    x = np.arange(2**16, dtype=np.uint16).view(np.int16)
    y = np.zeros(2**16, np.float32)
    run(numbers, "to_floats", [x, y, np.int32(2**16)])
    np.testing.assert_array_equal(y, x.view(np.float16).astype(np.float32))
    assert np.array_equal(np.signbit(y), np.signbit(x.view(np.float16)))


def test_floats_are_rounded_to_halfs_as_numpy_does(numbers):
    halfs = np.arange(0x7C00, dtype=np.uint16).view(np.float16).astype(np.float32)
    ties = (halfs[1:] + halfs[:-1]) / 2
    above, below = np.nextafter(ties, np.float32(np.inf)), np.nextafter(ties, np.float32(0))
    special = np.array([65519.996, 65520, 1e10, np.inf, np.nan, 1e-30, 2.0**-25], np.float32)
    x = np.concatenate([halfs, ties, above, below, special])
    x = np.concatenate([x, -x])
    y = np.zeros(x.size, np.int16)
    run(numbers, "to_halfs", [x, y, np.int32(x.size)])
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(y.view(np.float16), x.astype(np.float16))


def test_tf32_has_ten_bits_and_ties_go_away_from_zero(numbers):
    x = np.array([1, 1 + 2**-10, 1 + 2**-11, -1 - 2**-11, 1 + 2**-11 - 2**-23, np.inf, -np.inf, np.nan, 0], np.float32)
    expected = np.array([1, 1 + 2**-10, 1 + 2**-10, -1 - 2**-10, 1, np.inf, -np.inf, np.nan, 0], np.float32)
    y = np.zeros(x.size, np.int32)
    run(numbers, "to_tf32s", [x, y, np.int32(x.size)])
    np.testing.assert_array_equal(y.view(np.float32), expected)
    np.testing.assert_array_equal(to_tf32(x), expected)


@pytest.mark.parametrize("kind", ["tf32", "half", "bf16"])
def test_tensor_cores_multiply(numbers, kind):
    rng = np.random.default_rng(1)
    K = 8 if kind == "tf32" else 16
    A, B, C = (rng.standard_normal(shape).astype(np.float32) for shape in ((16, K), (K, 8), (16, 8)))
    if kind == "tf32":  # tensor cores ignore the lowest 13 bits
        cut = lambda x: (x.view(np.uint32) & np.uint32(0xFFFFE000)).view(np.float32)
        exact, args = [cut(A), cut(B)], [A.view(np.int32), B.view(np.int32)]
    elif kind == "half":
        exact = [A.astype(np.float16), B.astype(np.float16)]
        args = [x.view(np.int16) for x in exact]
    else:
        exact = [(x.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32) for x in (A, B)]
        args = [(x.view(np.uint32) >> 16).astype(np.uint16).view(np.int16) for x in exact]
    expected = C.astype(np.float64) + exact[0].astype(np.float64) @ exact[1].astype(np.float64)
    run(numbers, f"product_{kind}", [*args, C], threads=32)
    np.testing.assert_allclose(C, expected, rtol=2**-23, atol=2**-40)
    assert (np.abs(C) <= np.abs(expected) + 2**-40).all()  # truncated, not rounded


def test_a_tensor_core_takes_whole_warps(numbers):
    with pytest.raises(LaunchError, match="less than 32 lanes"):
        run(
            numbers,
            "product_half",
            [*(np.zeros(256, np.int16) for _ in range(2)), np.zeros(128, np.float32)],
            threads=16,
        )
