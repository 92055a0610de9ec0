"""The reach of a gradient: on matrices where it is known, on a network where it can be computed, and the verdict."""

import numpy as np
import pytest

import minirnn
from minirnn.course.experiments import vanishing


@pytest.fixture(autouse=True)
def _kernels_that_need_no_compiling():
    with minirnn.kernels("numpy"):
        yield


def test_shares_and_reach_of_a_gradient_that_halves_with_each_step():
    T = vanishing.ROWS + 15
    t, s = np.mgrid[:T, :T]
    sizes = np.arange(1, T + 1)[:, None]  # the size of each step's own gradient is not to matter
    share = vanishing.over_distance(np.where(s <= t, 0.5 ** (t - s).clip(0), 0.0) * sizes)
    np.testing.assert_allclose(share, 0.5 ** np.arange(15))
    assert vanishing.reach(share) == 7  # 1/128 is the first under 1 %
    assert vanishing.reach(share[:7]) is None


def test_the_spectral_radius_and_the_forget_bias_are_set():
    rnn = vanishing.network("rnn", 0, 0.7).rnn
    assert np.abs(np.linalg.eigvals(rnn.weight_hh_l0.data)).max() == pytest.approx(0.7)
    lstm = vanishing.network("lstm", 0, 3.0).rnn
    H = lstm.hidden_size
    np.testing.assert_allclose((lstm.bias_ih_l0.data + lstm.bias_hh_l0.data)[H : 2 * H], 3.0)


def test_with_a_small_spectral_radius_the_share_falls_as_its_power():
    measured = vanishing.measure(vanishing.network("rnn", 0, 0.3), vanishing.ROWS + 12)
    share = np.array(measured["share"]["h"])
    factors = share[4:] / share[3:-1]
    assert np.all((factors > 0.15) & (factors < 0.33))  # tanh's slope makes it less than 0.3; W isn't normal
    assert measured["reach"]["h"] == np.flatnonzero(share < 0.01)[0]


def test_ways_are_all_of_them_or_the_product_of_the_forget_gates():
    model = vanishing.network("lstm", 0)
    length = vanishing.ROWS + 6
    paths = vanishing.by_paths(model, length)
    np.testing.assert_allclose(paths["ifgo"], vanishing.measure(model, length)["share"]["c"], rtol=1e-3)
    np.testing.assert_allclose(paths[""], 0.5 ** np.arange(6), rtol=0.3)  # forget gates are about a half
    assert paths[""][5] < paths["ifgo"][5]


def numbers(reaches, right, longest=140):
    """What `judge` looks at: reaches by (state, kind), and the share of right answers at any distance by kind."""
    found = {"longest": longest, "swept": [{"kind": k, "value": 1.0, "reach": [20]} for k in ("rnn", "lstm")]}
    for state in ("untrained", "trained"):
        found[state] = {
            kind: [{"reach": {vanishing.MEMORY[kind]: reaches[state, kind]}, "right": [right[kind]] * longest}]
            for kind in ("rnn", "lstm")
        }
        found[state]["gru"] = [{"right": [1.0] * longest}]
    return found


def test_the_verdict_comes_from_the_numbers():
    as_claimed = {(s, k): r for s in ("untrained", "trained") for k, r in (("rnn", 12), ("lstm", None))}
    assert vanishing.judge(numbers(as_claimed, {"rnn": 0.3, "lstm": 0.9})).verdict == "held"
    half = vanishing.judge(numbers(as_claimed, {"rnn": 0.9, "lstm": 0.9}))
    assert half.verdict == "held in part"
    assert "5 of six" in half.why
    other = {(s, k): r for s in ("untrained", "trained") for k, r in (("rnn", 8), ("lstm", 9))}
    assert vanishing.judge(numbers(other, {"rnn": 0.9, "lstm": 0.3})).verdict == "did not hold"


def test_an_example_names_its_symbols_and_the_figure_is_drawn(monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.setitem(vanishing.EFFORTS, "quick", (1, 2, vanishing.ROWS + 105))
    monkeypatch.setattr(vanishing, "HIDDEN", 5)
    monkeypatch.setattr(vanishing, "PATHS", {"lstm": ("ifgo", "")})
    monkeypatch.setattr(vanishing, "RADII", (0.5,))
    monkeypatch.setattr(vanishing, "FORGET_BIASES", (1.0,))
    outcome = vanishing.run("quick", 0, lambda done, what: None)
    shown = outcome.numbers["example"]["lstm"]
    assert "".join(shown["tokens"]).replace("·", "") == "ACB"
    assert np.shape(shown["f"]) == (40, 5)
    assert len(vanishing.tables(outcome.numbers)) == 3
    assert [axes.get_title() for axes in vanishing.draw(outcome.numbers).axes[:2]] == ["untrained", "trained"]
