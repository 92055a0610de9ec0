"""The observations of a run: changes in place, calls that differ, failures with their line."""

import numpy as np

from minirnn.assignments import TASKS
from minirnn.assignments.catalogue import gallery
from minirnn.assignments.diagnosis.probes import Probe, problem
from minirnn.assignments.sandbox.observe import Functions, observe
from tests.assignments.students import answers, load

PLAIN = load(gallery.answers()).functions
TASK = TASKS["rnn"]


def seen(careful=True, **replaced):
    given, into = problem(TASK, Probe("base"), 0, {})
    return observe({**PLAIN, **replaced}, TASK, given, into, careful)


def test_clean_functions_leave_no_remarks():
    remarks = seen().remarks
    assert not any(remarks[name] for name in ("inputs changed", "upstream changed", "forward differs", "aliases"))
    assert not remarks["same cache differs"]
    assert "second call" not in remarks


def test_changes_in_place_are_named():
    def forward(x, *rest):
        x += 1
        return PLAIN["rnn_forward"](x, *rest)

    def backward(dh, cache):
        result = PLAIN["rnn_backward"](dh, cache)
        dh *= 2
        return result

    remarks = seen(rnn_forward=forward, rnn_backward=backward).remarks
    assert remarks["inputs changed"] == ["x"]
    assert remarks["upstream changed"] == ["dh"]


def test_a_changed_cache_and_a_used_up_cache_are_distinguished():
    def changing(dh, cache):
        result = PLAIN["rnn_backward"](dh, cache)
        cache[-1][0][0][...] *= 2
        return result

    def using(dh, cache):
        cache = (*cache[:-1], [cache[-1].pop(0) for _ in range(4)])
        return PLAIN["rnn_backward"](dh, cache)

    assert seen(rnn_backward=changing).remarks["same cache differs"]
    assert seen(rnn_backward=using).remarks["cache used up"]


def test_accumulation_gives_its_factor():
    totals = []

    def backward(dh, cache):
        result = PLAIN["rnn_backward"](dh, cache)
        totals.append(result[2])
        return (*result[:2], sum(totals), *result[3:])

    remarks = seen(rnn_backward=backward).remarks
    assert remarks["second differs"] == ["dWx"]
    assert round(remarks["second call"], 6) == 2


def test_random_forwards_differ():
    def forward(*arguments):
        h, cache = PLAIN["rnn_forward"](*arguments)
        return h + np.random.default_rng().random(h.shape), cache

    assert seen(rnn_forward=forward).remarks["forward differs"]


def test_shared_memory_is_reported():
    both = np.zeros((2, 5))
    remarks = seen(rnn_backward=lambda dh, cache: (dh, both, both, dh, dh)).remarks
    assert remarks["aliases"][0] == "dx and dWh"
    assert "dh0 and dWx" in remarks["aliases"]


def test_failures_say_what_and_where():
    source = "def rnn_backward(dh, cache):\n    x = 1\n    return dh / cache[99]\n"
    failure = seen(rnn_backward=load(source).functions["rnn_backward"]).failure
    assert (failure.kind, failure.function, failure.line) == ("raised", "rnn_backward", 3)
    assert seen(rnn_backward=None).failure.kind == "missing"
    assert seen(rnn_backward=lambda *a: (1, 2)).failure.message.startswith("returned 2 results, expected 5: dx")


def test_exits_and_warnings_are_caught():
    def leaving(*arguments):
        raise SystemExit(3)

    assert "SystemExit" in seen(rnn_forward=leaving).failure.message

    def warning(dh, cache):
        import warnings

        warnings.warn("look out", stacklevel=1)
        return PLAIN["rnn_backward"](dh, cache)

    assert seen(rnn_backward=warning).remarks["warnings"] == ["look out"]


def test_functions_are_loaded_again():
    subject = load("count = [0]\ndef rnn_forward(*a):\n    count[0] += 1\n    return count[0]\n")
    assert subject.functions["rnn_forward"]() == 1
    subject.fresh()
    assert subject.functions["rnn_forward"]() == 1
    assert subject.has("rnn_forward")
    assert not subject.has("count")
    plain = Functions(answers().functions)
    plain.fresh()
    assert plain.has("rnn_forward")


def test_a_gradient_that_is_missing_in_the_second_call_is_reported():
    calls = []

    def backward(dh, cache):
        calls.append(1)
        result = PLAIN["rnn_backward"](dh, cache)
        return result if len(calls) == 1 else (*result[:-1], None)

    assert seen(rnn_backward=backward).remarks["second differs"] == ["db"]
