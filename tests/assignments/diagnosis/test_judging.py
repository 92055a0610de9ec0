"""Verdicts: the forward pass and side effects before the gradients; places, circumstances, the smallest problem."""

import numpy as np
import pytest

from minirnn.assignments import TASKS, Functions, judge
from minirnn.assignments.catalogue import gallery, tasks
from tests.assignments.students import answers, judged, load

PLAIN = load(gallery.answers()).functions
LSTM = gallery.specimen("c-carry-dropped")


def test_where_and_when_of_the_dropped_carry():
    finding = judged(LSTM.source, "lstm")
    wrong = {place.tensor: place for place in finding.places if place.wrong}
    assert wrong["dx"].steps == [True, True, True, False]
    two = {place.tensor: place for place in finding.maps["T = 2"]}
    assert two["dx"].steps == [True, False]
    assert two["dWx"].blocks == {"i": True, "f": False, "o": False, "g": True}
    assert "for T = 1" in finding.exact
    assert "when the forget gate is shut" in finding.exact
    assert finding.smallest.sizes == {"N": 1, "T": 2, "D": 1, "H": 1}
    assert finding.causes[0].deviation < 1e-14


def test_a_wrong_forward_is_found_though_its_backward_belongs_to_it():
    """A layer without a bias is wrong, although its backward pass is the gradient of its forward pass."""

    def forward(x, h0, Wx, Wh, b):
        return PLAIN["rnn_forward"](x, h0, Wx, Wh, 0 * b)

    def backward(dh, cache):
        *rest, db = PLAIN["rnn_backward"](dh, cache)
        return (*rest, 0 * db)

    finding = judge(answers(rnn_forward=forward, rnn_backward=backward), TASKS["rnn"])
    assert (finding.status, finding.stage) == ("wrong", "forward")
    assert "it equals a forward pass without the bias" in finding.problems
    assert any("belong to this forward pass; fix the forward pass" in problem for problem in finding.problems)


def test_another_order_of_gates_is_recognised():
    order = tasks.chosen(gates="ifgo")["lstm"]
    finding = judge(load(gallery.answers()), order)
    assert finding.stage == "forward"
    assert any("--gates ifog" in problem for problem in finding.problems)


def test_stubs_are_unfinished_and_what_there_is_is_checked():
    assert judge(Functions({"rnn_forward": lambda *a: (None, None)}), TASKS["rnn"]).status == "unfinished"
    finding = judge(Functions({"rnn_forward": PLAIN["rnn_forward"]}), TASKS["rnn"])
    assert (finding.status, finding.notes) == ("unfinished", ["rnn_forward is right"])
    wrong = judge(Functions({"rnn_forward": lambda *a: (0 * PLAIN["rnn_forward"](*a)[0], None)}), TASKS["rnn"])
    assert (wrong.status, wrong.stage) == ("wrong", "forward")


def test_a_file_that_runs_only_for_equal_sizes_is_wrong():
    finding = judged(gallery.specimen("weights-exchanged").source, "rnn")
    assert finding.problems[0] == "the functions run only if D = H"
    assert finding.named == ["weights-exchanged"]


def test_a_crash_on_one_probe_is_said():
    def backward(dh, cache):
        if len(dh) == 1:
            raise IndexError("too many indices")
        return PLAIN["rnn_backward"](dh, cache)

    finding = judge(answers(rnn_backward=backward), TASKS["rnn"])
    assert finding.status == "wrong"
    assert finding.problems[0].startswith("the functions fail for a batch of one: rnn_backward: raised IndexError")


@pytest.mark.parametrize("result", [(1, 2), None, np.zeros(3), [np.zeros(2)] * 7])
def test_a_wrong_number_of_results_cannot_be_judged(result):
    finding = judge(answers(rnn_backward=lambda dh, cache: result), TASKS["rnn"])
    assert finding.status == ("unfinished" if result is None else "broken")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda g: np.full_like(g, np.nan), "aren't finite"),
        (lambda g: g[:, None], "its shape is"),
        (lambda g: None, "it is None"),
        (lambda g: g.astype(complex), "it is complex"),
        (lambda g: np.array(["a"]), "isn't an array of numbers"),
        (lambda g: g.astype(int), "dtype int64"),
    ],
)
def test_malformed_results_are_described(spoil, words):
    def backward(dh, cache):
        dx, *rest = PLAIN["rnn_backward"](dh, cache)
        return (spoil(dx), *rest)

    finding = judge(answers(rnn_backward=backward), TASKS["rnn"])
    assert finding.status == "wrong"
    assert any(words in problem for problem in finding.problems)
    assert [place.tensor for place in finding.places if place.wrong] == ["dx"]


def test_float32_inside_is_noticed_and_judged_as_such():
    def forward(*arrays):
        h, cache = PLAIN["gru_forward"](*(a.astype(np.float32) for a in arrays))
        return h.astype(float), cache

    finding = judge(answers(gru_forward=forward), TASKS["gru"])
    assert finding.status == "right"
    assert any("float32" in note for note in finding.notes)


def test_small_errors_are_found():
    def backward(dh, cache):
        dx, *rest = PLAIN["lstm_backward"](dh, cache)
        dx[0, 0, 0] += 1e-8 * np.abs(dx).max()
        return (dx, *rest)

    finding = judge(answers(lstm_backward=backward), TASKS["lstm"], quick=True)
    assert [place.tensor for place in finding.places if place.wrong] == ["dx"]


@pytest.mark.parametrize("k", [2, 3])
def test_truncation_is_right_where_it_is_asked_for(k):
    def backward(dh, cache):
        caches = cache[-1]
        x, Wx, Wh, _ = cache
        parts = []
        for start in range(0, len(caches), k):
            part = (x[:, start : start + k], Wx, Wh, caches[start : start + k])
            parts.append(PLAIN["rnn_backward"](dh[:, start : start + k], part))
        sums = (sum(part[n] for part in parts) for n in (2, 3, 4))
        return (np.concatenate([part[0] for part in parts], axis=1), parts[0][1], *sums)

    truncated = answers(rnn_backward=backward)
    assert judge(truncated, tasks.chosen(truncate=k)["rnn"]).status == "right"
    assert judge(truncated, TASKS["rnn"]).named == ["truncated"]
    assert judge(load(gallery.answers()), tasks.chosen(truncate=k)["rnn"]).status == "wrong"
