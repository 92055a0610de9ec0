"""Timing with a fake clock: alternating blocks, first calls that are not counted, quartiles and ratios."""

import pytest

from minirnn.bench import timing
from minirnn.bench.timing import geometric_mean, interleaved, ratio, summary


class Clock:
    """A clock that advances only when a function calls it."""

    def __init__(self):
        self.now = 0.0
        self.calls = []

    def __call__(self):
        return self.now

    def function(self, name, seconds):
        def run():
            self.calls.append(name)
            self.now += seconds

        return run


@pytest.fixture
def clock(monkeypatch):
    monkeypatch.setattr(timing.time, "sleep", lambda seconds: None)
    return Clock()


def test_each_function_is_called_in_turns_for_its_share_of_the_time(clock):
    functions = {"a": clock.function("a", 0.01), "b": clock.function("b", 0.02)}
    times = interleaved(functions, seconds=4.0, rounds=4, clock=clock)
    for name, seconds in (("a", 0.01), ("b", 0.02)):
        assert len(times[name]) == 4
        for taken in times[name]:
            assert taken == pytest.approx([seconds] * len(taken))
            assert len(taken) == pytest.approx(0.5 / seconds, abs=1)
    blocks = [name for k, name in enumerate(clock.calls) if k == 0 or clock.calls[k - 1] != name]
    assert "".join(blocks[2:]) in ("abbaabba".replace("bb", "b").replace("aa", "a"), "ababab")  # the order rotates
    assert sum(map(sum, times["a"] + times["b"])) == pytest.approx(4.0, rel=0.05)


def test_the_first_call_of_a_block_is_not_counted(clock):
    state = {"last": ""}

    def function(name):
        def run():
            clock.now += 1.0 if state["last"] != name else 0.01
            state["last"] = name

        return run

    times = interleaved({"a": function("a"), "b": function("b")}, seconds=10.0, rounds=3, clock=clock)
    assert max(max(taken) for each in times.values() for taken in each) == pytest.approx(0.01)


def test_a_slow_function_is_called_at_least_once_in_each_round(clock):
    times = interleaved({"slow": clock.function("slow", 7.0)}, seconds=1.0, rounds=3, clock=clock)
    assert times == {"slow": [[7.0]] * 3}


def test_short_calls_are_timed_several_at_once(clock):
    times = interleaved({"short": clock.function("short", 1e-6)}, seconds=0.01, rounds=2, clock=clock)
    assert sum(map(len, times["short"])) < 200
    assert summary(times["short"]).median == pytest.approx(1e-6)


def test_the_summary_is_of_all_rounds_together():
    found = summary([[1.0, 2.0], [3.0, 4.0, 5.0]])
    assert (found.samples, found.q1, found.median, found.q3) == (5, 2.0, 3.0, 4.0)
    found = summary([[7.0]])
    assert (found.samples, found.q1, found.median, found.q3) == (1, 7.0, 7.0, 7.0)


def test_a_ratio_above_1_means_that_ours_is_faster():
    found = ratio([[2.0], [4.0], [6.0]], [[1.0], [2.0], [2.0]])
    assert found["median"] == 2.0
    assert (found["q1"], found["q3"]) == (2.0, 2.5)


def test_the_geometric_mean_of_a_ratio_and_its_inverse_is_1():
    assert geometric_mean([4.0, 0.25]) == pytest.approx(1)
    with pytest.raises(ValueError, match="no ratios"):
        geometric_mean([])
