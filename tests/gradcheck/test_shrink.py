"""`shrink` finds the smallest sizes that still fail, and sets as many switches as possible."""

from minirnn.gradcheck import shrink


def test_it_finds_the_smallest():
    fails = lambda sizes, thrown: sizes["T"] >= 2 and sizes["N"] >= 3 and "x" not in thrown
    assert shrink(fails, {"N": 5, "T": 4, "D": 3}, ["x", "h"]) == ({"N": 3, "T": 2, "D": 1}, frozenset({"h"}))


def test_sizes_that_depend_on_each_other():
    fails = lambda sizes, thrown: sizes["D"] == sizes["H"] or sizes["T"] > 1
    sizes, _ = shrink(fails, {"T": 3, "D": 4, "H": 5})
    assert fails(sizes, frozenset())
    assert sizes == {"T": 2, "D": 1, "H": 1} or sizes == {"T": 1, "D": 1, "H": 1}


def test_the_number_of_calls_is_bounded():
    calls = []
    shrink(lambda sizes, thrown: calls.append(1) or True, {"N": 50, "T": 50}, list("abcdef"), most=7)
    assert len(calls) <= 7
