"""Initialisers: their distributions, their generators, and errors."""

import math

import numpy as np
import pytest

from minirnn import Tensor, nn, random
from minirnn.nn import init


def rng(seed=0):
    return np.random.default_rng(seed)


def test_initialisers_fill_in_place_and_return_the_tensor():
    for fill in (init.zeros_, init.uniform_, init.normal_, init.xavier_uniform_, init.orthogonal_):
        p = nn.Parameter(np.full((3, 4), 7.0, np.float32))
        held = p.data
        assert fill(p) is p
        assert p.data is held
        assert not (held == 7).any()
        assert held.dtype == np.float32


def test_initialising_makes_old_graphs_stale():
    p = nn.Parameter(np.ones((2, 2), np.float32))
    loss = (p * p).sum()
    init.zeros_(p)
    with pytest.raises(RuntimeError, match="changed in place"):
        loss.backward()


def test_constant_and_zeros():
    p = nn.Parameter(np.ones((2, 3), np.float32))
    assert (init.constant_(p, 0.25).data == 0.25).all()
    assert (init.zeros_(p).data == 0).all()


def test_uniform_covers_its_interval():
    x = init.uniform_(Tensor(np.empty((300, 200))), -2.0, 1.0, rng(1)).data
    assert -2 <= x.min() < -1.99
    assert 0.99 < x.max() < 1
    # The mean has standard deviation 3/√12/√60000 = 0.0035.
    assert abs(x.mean() + 0.5) < 0.02


def test_normal_has_its_mean_and_deviation():
    x = init.normal_(Tensor(np.empty((300, 200))), 3.0, 0.5, rng(2)).data
    assert abs(x.mean() - 3) < 0.01
    assert abs(x.std() - 0.5) < 0.01


def test_fan_uniform_is_bounded_by_the_fan():
    x = init.fan_uniform_(Tensor(np.empty((100, 50))), 25, rng(3)).data
    assert 0.199 < np.abs(x).max() <= 0.2


def test_xavier_uniform_is_bounded_by_both_sides():
    x = init.xavier_uniform_(Tensor(np.empty((100, 50))), gain=2.0, rng=rng(4)).data
    bound = 2 * math.sqrt(6 / 150)
    assert 0.99 * bound < np.abs(x).max() <= bound


@pytest.mark.parametrize("shape", [(5, 5), (7, 3), (3, 7), (1, 4)])
def test_orthogonal_rows_or_columns_are_orthonormal(shape):
    q = init.orthogonal_(Tensor(np.empty(shape)), gain=3.0, rng=rng(5)).data / 3
    product = q @ q.T if shape[0] <= shape[1] else q.T @ q
    np.testing.assert_allclose(product, np.eye(min(shape)), atol=1e-14)


def test_orthogonal_has_no_preferred_sign():
    """Without the correction of signs, the first entry of Q from LAPACK's Householder steps is never positive."""
    generator = rng(6)
    first = [init.orthogonal_(Tensor(np.empty((3, 3))), rng=generator).data[0, 0] for _ in range(200)]
    # Of 200 random signs, fewer than 60 or more than 140 are positive with probability 1e-8.
    assert 60 < np.sum(np.array(first) > 0) < 140


def test_orthogonal_fills_one_gate_through_a_view():
    p = nn.Parameter(np.zeros((8, 2)))
    for block in np.split(p.data, 4):
        init.orthogonal_(block, rng=rng(7))
    for block in np.split(p.data, 4):
        np.testing.assert_allclose(block @ block.T, np.eye(2), atol=1e-14)


def test_one_seed_gives_the_same_weights_in_both_precisions():
    for fill in (init.uniform_, init.normal_, init.xavier_uniform_, init.orthogonal_):
        single = fill(Tensor(np.empty((3, 4), np.float32)), rng=rng(8)).data
        double = fill(Tensor(np.empty((3, 4))), rng=rng(8)).data
        np.testing.assert_array_equal(single, double.astype(np.float32))


def test_the_default_generator_is_the_one_of_manual_seed():
    draws = []
    for seed in (3, 3, 4):
        random.manual_seed(seed)
        draws.append(init.uniform_(Tensor(np.empty(5))).data)
    np.testing.assert_array_equal(draws[0], draws[1])
    assert (draws[0] != draws[2]).all()


@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "bidirectional": True}])
def test_forget_bias_is_the_sum_of_both_biases(options):
    lstm = nn.LSTM(3, 5, rng=rng(9), **options)
    before = lstm.state_dict()
    assert init.forget_bias_(lstm, 1.5) is lstm
    f = slice(5, 10)
    after = lstm.state_dict()
    names = [name for name in after if name.startswith("bias_ih")]
    assert len(names) == (4 if options else 1)
    for name in names:
        other = name.replace("ih", "hh")
        assert (after[name][f] + after[other][f] == 1.5).all()
        after[name][f], after[other][f] = before[name][f], before[other][f]
    for name, values in after.items():
        np.testing.assert_array_equal(values, before[name])


def test_forget_bias_of_a_cell():
    cell = init.forget_bias_(nn.LSTMCell(3, 2, rng=rng(9)), 2.0)
    assert (cell.bias_ih.data[2:4] + cell.bias_hh.data[2:4] == 2).all()


def test_forget_bias_refuses_modules_without_a_forget_gate():
    for module in (nn.GRU(2, 3), nn.RNN(2, 4), nn.Linear(2, 8), nn.Sequential(nn.LSTM(2, 3))):
        with pytest.raises(
            ValueError, match=f"lstm: expected an LSTM or LSTMCell with biases, got {type(module).__name__}"
        ):
            init.forget_bias_(module, 1.0)
    with pytest.raises(ValueError, match="got LSTM without biases"):
        init.forget_bias_(nn.LSTM(2, 3, bias=False), 1.0)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: init.zeros_([1.0]), TypeError, "tensor: expected a Tensor or array of floats, got list"),
        (lambda: init.zeros_(np.zeros(3, int)), TypeError, "got int64"),
        (lambda: init.uniform_(np.zeros(3), 1.0, 0.0), ValueError, r"expected a <= b, got a = 1\.0, b = 0\.0"),
        (lambda: init.normal_(np.zeros(3), std=-1.0), ValueError, r"std: expected a number >= 0, got -1\.0"),
        (lambda: init.fan_uniform_(np.zeros(3), 0), ValueError, "fan: expected an integer >= 1, got 0"),
        (
            lambda: init.xavier_uniform_(np.zeros(3)),
            ValueError,
            r"xavier_uniform_: expected a nonempty matrix, got shape \(3,\)",
        ),
        (lambda: init.orthogonal_(np.zeros((2, 3, 4))), ValueError, "orthogonal_: expected a nonempty matrix"),
        (lambda: init.orthogonal_(np.zeros((0, 4))), ValueError, "orthogonal_: expected a nonempty matrix"),
        (lambda: init.uniform_(np.zeros(3), rng=5), TypeError, "rng: expected"),
    ],
)
def test_initialisers_refuse(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("module", [nn.LSTM(2, 400, 2, bidirectional=True), nn.LSTMCell(2, 400)])
def test_chrono_sets_forget_gates_for_the_promised_numbers_of_steps_and_input_gates_to_the_opposite(module):
    assert init.chrono_(module, 50, rng(3)) is module
    for name, values in module.state_dict().items():
        if not name.startswith("bias"):
            continue
        i, f, g, o = np.split(values, 4)
        if name.startswith("bias_hh"):
            assert not values.any()
            continue
        # A gate at σ(f) keeps its state for kept + 1 steps; kept is uniform over 1..49.
        kept = 1 / (1 - 1 / (1 + np.exp(-f.astype(float)))) - 1
        assert 1 <= kept.min() < 1.7
        assert 48.3 < kept.max() < 49.001
        assert abs(kept.mean() - 25) < 3  # the mean has standard deviation 48/√12/√400 = 0.7
        np.testing.assert_array_equal(i, -f)
        assert not g.any()
        assert not o.any()


def test_chrono_of_a_gru_sets_the_gate_that_keeps():
    r, z, n = np.split(init.chrono_(nn.GRU(2, 5), 30, rng(4)).bias_ih_l0.data, 3)
    assert (z >= 0).all()
    assert (z <= np.log(29)).all()
    assert z.std() > 0
    assert not r.any()
    assert not n.any()


def test_units_initialised_by_chrono_keep_their_state_for_that_many_steps():
    gru = init.chrono_(nn.GRU(1, 200), 100, rng(5))
    for weight in (gru.weight_ih_l0, gru.weight_hh_l0):
        init.zeros_(weight)
    steps = 40
    out, _ = gru(np.zeros((steps, 1, 1), np.float32), np.ones((1, 1, 200), np.float32))
    z = 1 / (1 + np.exp(-gru.bias_ih_l0.data[200:400].astype(float)))
    np.testing.assert_allclose(out.data[-1, 0], z**steps, rtol=1e-4)


def test_chrono_refuses():
    for module in (nn.RNN(2, 3), nn.LSTM(2, 3, bias=False), nn.Linear(2, 8)):
        with pytest.raises(ValueError, match=f"expected an LSTM or GRU, or a cell of one.*got {type(module).__name__}"):
            init.chrono_(module, 10)
    with pytest.raises(ValueError, match=r"longest: expected at least 2 steps, got 1\.5"):
        init.chrono_(nn.GRU(2, 3), 1.5)
