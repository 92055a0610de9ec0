"""`check` passes correct backward functions with every judge, finds planted mistakes, and never calls noise wrong."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minirnn.gradcheck import GradientError, Verdict, check
from minirnn.recurrent import cells
from minirnn_kernels.cell import CELLS

JUDGES = ["auto", "complex", "differences"]
MODES = ["full", "directional"]
NAMES = ["x", "W", "b", "s"]


def layer(x, W, b, s):
    """Return y = tanh(x W^T + b) (B, H), z = s sum(y**2) () and a cache: two outputs, broadcasting, a 0-d input."""
    y = np.tanh(x @ W.T + b)
    return y, np.asarray(s * np.sum(y * y)), (x, W, y, s)


def layer_backward(dy, dz, cache):
    """Return the gradients. With a = x W^T + b: the gradient of y is dy + 2 dz s y, that of a 1 - y**2 times this."""
    x, W, y, s = cache
    da = (dy + 2 * dz * s * y) * (1 - y * y)
    return da @ W, da.T @ x, da.sum(axis=0), dz * np.sum(y * y)


def layer_inputs(seed, B=2, D=3, H=4, dtype=np.float64):
    rng = np.random.default_rng(seed)
    shapes = [(B, D), (H, D), (H,), ()]
    return tuple(np.asarray(rng.standard_normal(shape)).astype(dtype) for shape in shapes)


def spoiled(name, change):
    """Return layer_backward with one gradient replaced by change(gradient)."""

    def backward(dy, dz, cache):
        gradients = list(layer_backward(dy, dz, cache))
        k = NAMES.index(name)
        gradients[k] = change(np.array(gradients[k]))
        return tuple(gradients)

    return backward


def square(x):
    return x**2, x


def square_backward(dy, x):
    return 2 * x * dy


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("judge", JUDGES)
@given(B=st.integers(1, 3), D=st.integers(1, 4), H=st.integers(1, 5), seed=st.integers(0, 10**6))
def test_a_right_backward_passes_by_every_judge(judge, mode, B, D, H, seed):
    """Differences can answer CANNOT TELL if saturated units make a gradient smaller than the noise."""
    report = check(layer, layer_backward, layer_inputs(seed, B, D, H), judge=judge, mode=mode, seed=seed)
    assert report.verdict is not Verdict.FAIL, str(report)
    for row in report.rows:
        blurred = judge == "differences" and row.noise > row.tolerance
        assert row.verdict is Verdict.PASS or blurred, str(report)
    assert [row.name for row in report.rows] == NAMES


@pytest.mark.parametrize("judge", JUDGES)
@given(B=st.integers(1, 3), D=st.integers(1, 4), H=st.integers(1, 5), seed=st.integers(0, 10**6))
def test_a_right_backward_passes_in_float32(judge, B, D, H, seed):
    report = check(layer, layer_backward, layer_inputs(seed, B, D, H, np.float32), judge=judge, seed=seed)
    assert report, str(report)


def entry_times(index, factor):
    def change(g):
        g[index] *= factor
        return g

    return change


SPOILED_GRADIENTS = {
    "sign": ("W", lambda g: -g, None),
    "factor 2": ("b", lambda g: 2 * g, None),
    "forgotten": ("x", lambda g: 0 * g, None),
    "same numbers, other places": ("W", lambda g: g.reshape(3, 4).T.copy(), None),
    "0-d input": ("s", lambda g: g * (1 + 1e-6), ()),
    "missing term in one entry": ("W", entry_times((2, 1), 0.5), (2, 1)),
    "one entry off by 1e-6": ("x", entry_times((1, 2), 1 + 1e-6), (1, 2)),
}


@pytest.mark.parametrize("judge", ["auto", "differences"])
@pytest.mark.parametrize("mistake", SPOILED_GRADIENTS)
@pytest.mark.parametrize("mode", MODES)
def test_a_planted_mistake_fails_where_it_is(mistake, judge, mode):
    name, change, index = SPOILED_GRADIENTS[mistake]
    report = check(layer, spoiled(name, change), layer_inputs(3), judge=judge, mode=mode, seed=3)
    assert report.verdict is Verdict.FAIL
    assert report.failed() == (name,)
    if mode == "directional":
        assert report[name].index is None
    elif index is not None:
        row = report[name]
        assert row.index == index
        assert row.wrong == 1
        gradient = layer_backward(*_upstreams_of(3), layer(*layer_inputs(3))[-1])[NAMES.index(name)]
        assert row.numeric == pytest.approx(float(gradient[index]), rel=1e-9)


@pytest.mark.parametrize("judge", ["auto", "differences"])
def test_of_several_wrong_entries_the_worst_is_shown(judge):
    def change(g):
        g[0, 0] += 0.1
        g[2, 1] += 0.3
        g[3, 2] += 0.2
        return g

    row = check(layer, spoiled("W", change), layer_inputs(3), judge=judge)["W"]
    assert (row.index, row.wrong) == ((2, 1), 3)


def test_a_direction_is_judged_on_the_gradients_norm():
    """For a standard normal v, the standard deviation of <v, g> is the norm of g."""
    x = np.ones(400)
    report = check(square, square_backward, (x,), mode="directional", upstream=x)
    assert report["x"].scale == pytest.approx(np.linalg.norm(2 * x))


def _upstreams_of(seed):
    """Return the upstream gradients that `check` draws: the first numbers of the seed's generator, output by output."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal((2, 4)), rng.standard_normal(())


@pytest.mark.parametrize("judge", ["auto", "differences"])
def test_a_real_mistake_fails_in_float32_too(judge):
    inputs = layer_inputs(5, dtype=np.float32)
    report = check(layer, spoiled("W", entry_times((2, 1), 1.5)), inputs, judge=judge)
    assert report.failed() == ("W",)
    assert report["W"].index == (2, 1)


def test_saturated_units_in_float32_are_no_mistake():
    """If y is nearly 1, 1 - y**2 has the absolute rounding error of a 1, even in a correct float32 backward."""
    for seed in range(100):
        x, W, b, s = layer_inputs(seed, 1, 3, 1, dtype=np.float32)
        report = check(layer, layer_backward, (x, W, b + np.float32(3), s), seed=seed)
        assert report, str(report)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("step", [1e-6, 1e-5, 1e-9])
def test_float32_with_a_tiny_step_cannot_tell(seed, step):
    report = check(layer, layer_backward, layer_inputs(seed, dtype=np.float32), step=step, seed=seed)
    assert report.verdict is Verdict.CANNOT_TELL
    assert not report


@pytest.mark.parametrize("seed", range(20))
def test_a_forward_of_float32_alone_is_never_called_wrong(seed):
    def stubborn(x, W, b, s):
        if x.dtype != np.float32 or W.dtype != np.float32:
            raise TypeError("float32 only")
        return layer(x, W, b, s)

    inputs = layer_inputs(seed, dtype=np.float32)
    assert check(stubborn, layer_backward, inputs, seed=seed).verdict is not Verdict.FAIL
    wrong = check(stubborn, spoiled("b", lambda g: 2 * g), inputs, seed=seed)
    assert wrong.failed() == ("b",)


def test_float32_inside_a_float64_function_is_noise_and_not_a_mistake():
    def rounded(x):
        return (x.astype(np.float32) ** 3).astype(np.float64), x

    x = np.random.default_rng(0).standard_normal((3, 4))
    assert check(rounded, lambda dy, x: 3 * x**2 * dy, (x,)).verdict is Verdict.CANNOT_TELL
    assert check(rounded, lambda dy, x: 4 * x**2 * dy, (x,)).verdict is Verdict.FAIL


def test_an_input_lost_in_rounding_cannot_be_judged():
    """1e20 + x rounds to 1e20, so a gradient of 0 that agrees with a difference of 0 proves nothing."""
    report = check(lambda x: (1e20 + x, None), lambda dy, _: 0 * dy, (np.ones(3),), judge="differences")
    assert report.verdict is Verdict.CANNOT_TELL


def test_a_forward_that_draws_numbers_cannot_be_judged():
    rng = np.random.default_rng(0)
    report = check(lambda x: (x * rng.random(x.shape), None), lambda dy, _: dy, (np.ones((2, 3)),))
    assert report.verdict is Verdict.CANNOT_TELL
    assert "different results for the same inputs" in str(report)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("size", [1e4, 1e6, 1e8])
def test_a_function_that_varies_within_the_step_is_never_called_wrong(seed, size):
    x = size * np.random.default_rng(seed).standard_normal(5)
    report = check(lambda x: (np.sin(x), x), lambda dy, x: np.cos(x) * dy, (x,), judge="differences")
    assert report.verdict is not Verdict.FAIL, str(report)


@pytest.mark.parametrize("at_zero", [0.0, 0.3, 1.0])
def test_an_entry_at_a_kink_is_left_out(at_zero):
    x = np.random.default_rng(0).standard_normal((3, 4))
    x[1, 2] = 0.0

    def backward(dy, x):
        return dy * np.where(x == 0, at_zero, x > 0)

    report = check(lambda x: (np.maximum(x, 0), x), backward, (x,))
    assert report, str(report)
    assert report["x"].kinks == 1
    assert "kink" in str(report)
    wrong = check(lambda x: (np.maximum(x, 0), x), lambda dy, x: dy * np.where(x == 0, 3.0, x > 0), (x,))
    assert wrong["x"].index == (1, 2)
    assert wrong.verdict is Verdict.FAIL


def test_a_kink_spoils_a_direction_and_the_report_says_what_to_do():
    x = np.array([0.0, 1.0, -2.0])
    report = check(lambda x: (np.maximum(x, 0), x), lambda dy, x: dy * (x > 0), (x,), mode="directional")
    assert report.verdict is Verdict.CANNOT_TELL
    assert 'mode="full"' in str(report)


@given(seed=st.integers(0, 10**6), distance=st.floats(1e-12, 1e-2))
def test_a_kink_near_an_entry_is_no_mistake(seed, distance):
    x = np.random.default_rng(seed).standard_normal(12)
    x[5] = distance
    report = check(lambda x: (np.abs(x), x), lambda dy, x: dy * np.sign(x), (x,), judge="differences", seed=seed)
    assert report, str(report)


def test_token_ids_are_not_differentiated():
    E = np.random.default_rng(0).standard_normal((5, 3))
    ids = np.array([1, 3, 1])

    def embed(ids, E):
        return E[ids], (ids, E.shape)

    def right(dout, cache):
        dE = np.zeros(cache[1])
        np.add.at(dE, cache[0], dout)
        return dE

    def overwrites(dout, cache):
        dE = np.zeros(cache[1])
        dE[cache[0]] = dout
        return None, dE

    assert check(embed, right, (ids, E))
    assert check(embed, lambda dout, cache: (None, right(dout, cache)), (ids, E))
    report = check(embed, overwrites, (ids, E))
    assert report.failed() == ("E",)
    assert report["E"].index[0] == 1


def test_backward_may_leave_out_inputs_that_are_not_floats_though_few_are_judged():
    E, b = np.ones((5, 3)), np.arange(3.0)

    def backward(dout, ids):
        dE = np.zeros((5, 3))
        np.add.at(dE, ids, dout)
        return dE, -dout.sum(axis=0)

    inputs = (np.array([1, 3, 1]), E, b)
    assert check(lambda ids, E, b: (E[ids] + b, ids), backward, inputs, wrt="E")
    assert check(lambda ids, E, b: (E[ids] + b, ids), backward, inputs).failed() == ("b",)


@pytest.mark.parametrize("shape", [(), (0, 3), (1,), (2, 0)])
def test_scalars_and_empty_arrays(shape):
    x = np.asarray(np.random.default_rng(0).standard_normal(shape))
    for mode in MODES:
        assert check(square, square_backward, (x,), mode=mode)
    if x.size:
        assert check(square, lambda dy, x: -2 * x * dy, (x,)).failed() == ("x",)


def test_non_contiguous_inputs_stay_untouched_though_the_functions_write_into_theirs():
    whole = np.random.default_rng(0).standard_normal((6, 8))
    view, turned = whole[::2, ::-2], np.asfortranarray(whole[:3, :4])
    before = whole.tobytes(), turned.tobytes()

    def forward(x, y):
        out = x * y
        kept = (x.copy(), y.copy())
        x[...] = np.inf
        return out, kept

    def backward(dout, cache):
        x, y = cache
        gradients = dout * y, dout * x
        dout[...] = 0
        return gradients

    report = check(forward, backward, (view, turned))
    assert {row.verdict for row in report.rows} == {Verdict.PASS}
    assert report.faults == ("x changed in place", "backward changes its upstream gradient in place")
    assert report.verdict is Verdict.FAIL
    assert (whole.tobytes(), turned.tobytes()) == before


def test_the_seed_fixes_every_number_and_is_printed():
    wrong = spoiled("W", lambda g: g * 1.01)
    one, two, other = (check(layer, wrong, layer_inputs(0), mode="directional", seed=seed) for seed in (7, 7, 8))
    assert str(one) == str(two)
    assert one["W"].numeric != other["W"].numeric
    assert "seed 7" in str(one)


def test_the_upstream_is_random_and_never_all_ones():
    seen = []
    check(square, lambda dy, x: seen.append(dy.copy()) or 2 * x * dy, (np.ones((3, 3)),))
    assert len(np.unique(seen[0])) == 9


def test_a_given_upstream_is_used_and_none_means_zero():
    seen = []

    def backward(dy, dz, cache):
        seen.append((dy, dz))
        return layer_backward(dy, 0.0 if dz is None else dz, cache)

    dy = np.random.default_rng(1).standard_normal((2, 4))
    assert check(layer, backward, layer_inputs(0), upstream=(dy, None))
    assert np.array_equal(seen[0][0], dy)
    assert seen[0][1] is None


def test_only_the_chosen_inputs_are_judged():
    wrong = spoiled("W", lambda g: -g)
    assert check(layer, wrong, layer_inputs(0), wrt=["x", 2])
    report = check(layer, lambda dy, dz, cache: wrong(dy, dz, cache)[1], layer_inputs(0), wrt="W")
    assert report.failed() == ("W",)


@pytest.mark.parametrize(
    ("gradient", "says"),
    [
        (None, "None"),
        (np.ones((3, 2)), r"shape (3, 2), expected (2, 3)"),
        (np.ones((2, 3), int), "int64"),
        (np.ones((2, 3), bool), "bool"),
        (np.ones((2, 3), complex), "complex128"),
        (np.array([[1, 2, 3], [4, np.nan, 6]]), "the first at (1, 1): nan"),
        (np.array([[1, 2, 3], [4, 5, -np.inf]]), "the first at (1, 2): -inf"),
        ("gradient", "returned a str"),
    ],
)
def test_what_is_no_gradient_fails_with_the_tensors_name(gradient, says):
    report = check(square, lambda dy, x: gradient, (np.ones((2, 3)),))
    assert report.failed() == ("x",)
    assert says in report["x"].problem
    assert f"x: {report['x'].problem}" in str(report)


def test_a_wrong_number_of_gradients_fails():
    report = check(layer, lambda dy, dz, cache: layer_backward(dy, dz, cache)[:3], layer_inputs(0))
    assert report.verdict is Verdict.FAIL
    assert "3 results, expected 4 gradients" in str(report)


def test_a_float32_gradient_of_a_float64_tensor_is_judged_as_float32_and_said():
    report = check(square, lambda dy, x: square_backward(dy, x).astype(np.float32), (np.linspace(0.1, 1, 5),))
    assert report, str(report)
    assert "float32" in report["x"].note


def test_raise_unless_pass():
    check(square, square_backward, (np.ones(2),)).raise_unless_pass()
    with pytest.raises(GradientError, match="FAIL"):
        check(square, lambda dy, x: -2 * x * dy, (np.ones(2),)).raise_unless_pass()


def cell_inputs(cell, dtype, seed, B=3, D=4, H=5):
    rng = np.random.default_rng(seed)
    K = len(cell.gates) * H
    shapes = [(B, D), *[(B, H)] * len(cell.states), (K, D), (K, H), *[(K,)] * len(cell.biases)]
    return tuple((0.7 * rng.standard_normal(shape)).astype(dtype) for shape in shapes)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
@pytest.mark.parametrize("judge", JUDGES)
def test_the_cells_are_checked_as_they_are_called(cell, judge, dtype):
    forward, backward = getattr(cells, f"{cell.name}_step"), getattr(cells, f"{cell.name}_step_backward")
    report = check(forward, backward, cell_inputs(cell, dtype, 0), judge=judge)
    assert report, str(report)
    assert report["W_hh"].gradient.dtype == dtype


def test_a_forgotten_gradient_far_smaller_than_the_others_is_no_pass():
    def forward(x, h0):
        return np.sin(x) + 5e-13 * np.sin(h0), (x, h0)

    def backward(dy, cache):
        x, h0 = cache
        return dy * np.cos(x), np.zeros_like(h0)

    rng = np.random.default_rng(0)
    report = check(forward, backward, [rng.standard_normal(3), rng.standard_normal(3)])
    assert report["h0"].verdict is Verdict.CANNOT_TELL
    assert "with an error as large as its entries" in str(report)
    assert report["x"].verdict is Verdict.PASS


def test_a_question_without_content_is_an_error():
    with pytest.raises(ValueError, match="forward returned a cache and no output"):
        check(lambda x: (x**2,), lambda cache: np.zeros(3), [np.ones(3)])
    with pytest.raises(ValueError, match="upstream is zero everywhere"):
        check(np.square, lambda dy: 17 * dy, [np.ones(3)], upstream=np.zeros(3), names=["x"])


def test_gradients_that_are_all_zero_prove_nothing():
    def forward(x):
        return np.where(x > 0, x, 0), x

    report = check(forward, lambda dy, x: np.zeros_like(x), [np.array([-3.0, -4.0])])
    assert report.verdict is Verdict.CANNOT_TELL
    assert "every gradient is exactly zero" in str(report)


def test_a_forgotten_return_is_named():
    report = check(lambda x, w: (x * w, None), lambda dy, cache: None, [np.ones(2), np.ones(2)])
    assert "backward returned one NoneType, expected 2 gradients" in str(report)
