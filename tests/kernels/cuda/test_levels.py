"""cuda/levels.py: estimates choose the level and change as expected; levels can be forced; errors give a reason."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minirnn_kernels.cell import LSTM
from minirnn_kernels.cuda.device import Properties
from minirnn_kernels.cuda.levels import VARIABLE, choose, estimate, explain, forced_level, graph_steps
from minirnn_kernels.cuda.plans import STORAGES, PassPlan, Work, plans
from tests.kernels.cuda.works import A100, works_of

H100 = Properties()


def lstm(H, B=16, T=100, **other):
    return Work(LSTM, STORAGES["float32"], T, B, H, **other)


@pytest.mark.parametrize("H", [32, 64, 96, 128, 192, 256, 512])
@pytest.mark.parametrize("B", [1, 16, 32])
@pytest.mark.parametrize("backward", [False, True])
def test_sequences_of_usual_sizes_are_one_launch(H, B, backward):
    assert choose(lstm(H, B, backward=backward), H100).plan.level == 3


def test_teams_grow_with_the_hidden_size():
    teams = [choose(lstm(H, product="TF32"), H100).plan for H in (64, 256, 1024)]
    assert [plan.team for plan in teams] == ["block", "cluster", "grid"]


def test_without_clusters_the_grid_takes_their_sizes():
    assert choose(lstm(256), A100).plan.team == "grid"


def test_a_large_batch_of_large_layers_goes_to_cublas():
    assert choose(lstm(2048, B=512), H100).plan.level == 1


works = works_of(B=600, H=1500)


@given(work=works, properties=st.sampled_from([H100, A100]))
def test_the_choice_is_the_cheapest_of_all(work, properties):
    if work.storage.name in ("half", "bf16"):
        work = dataclasses.replace(work, product="MMA16")
    choice = choose(work, properties)
    possible = [plan for plan in plans(work, properties).values() if isinstance(plan, PassPlan)]
    assert choice.plan in possible
    assert estimate(choice.plan, work, properties) == min(estimate(plan, work, properties) for plan in possible)
    assert all(0 < us < 1e9 for us in choice.estimates.values())


@given(work=works)
def test_more_steps_are_never_cheaper(work):
    longer = dataclasses.replace(work, T=work.T + 50)
    for name, plan in plans(work, H100).items():
        if isinstance(plan, PassPlan):
            assert estimate(plan, longer, H100) > estimate(plan, work, H100), name


@given(steps=st.integers(1, 5000))
def test_graphs_have_few_sizes(steps):
    captured = graph_steps(steps)
    assert captured in (1, 2, 4, 8, 16, 32)
    assert captured >= min(steps, 32)
    assert captured < 2 * steps


@pytest.mark.parametrize("level", [1, 2, 3])
def test_a_level_is_forced_by_the_environment(monkeypatch, level):
    monkeypatch.setenv(VARIABLE, str(level))
    assert choose(lstm(128), H100, forced_level()).plan.level == level
    line = explain(lstm(128), H100)
    assert line.startswith(f"level {level}")
    assert "forced by MINIRNN_CUDA_LEVEL" in line


@pytest.mark.parametrize("value", ["0", "4", "three", "3 "])
def test_a_level_that_isnt_one_is_an_error(monkeypatch, value):
    monkeypatch.setenv(VARIABLE, value)
    with pytest.raises(ValueError, match=f"MINIRNN_CUDA_LEVEL is '{value}', expected 1, 2 or 3"):
        forced_level()


@pytest.mark.parametrize("value", ["", None])
def test_without_a_value_nothing_is_forced(monkeypatch, value):
    monkeypatch.delenv(VARIABLE, raising=False)
    if value is not None:
        monkeypatch.setenv(VARIABLE, value)
    assert forced_level() is None


def test_a_forced_level_that_cant_run_says_what_each_team_needs():
    tiny = dataclasses.replace(H100, shared_bytes=2048)
    with pytest.raises(ValueError, match="level 3 can't run the forward pass of LSTM") as caught:
        choose(lstm(100), tiny, 3)
    for part in ("H = 100, B = 16", "float32", "block needs", "cluster 8 needs", "grid needs", "there are 2,048"):
        assert part in str(caught.value)
    with pytest.raises(ValueError, match="level 2 can't run"):
        choose(lstm(100), tiny, 2)
    assert choose(lstm(100), tiny).plan.level == 1


def test_a_team_that_isnt_there_is_an_error():
    with pytest.raises(ValueError, match=r"team pair can't run .* there is no such team"):
        choose(lstm(100), H100, team="pair")


def test_the_explanation_says_level_team_and_units(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    assert explain(lstm(128), H100).startswith("level 3, cluster of 8, 16 units a block, weights resident (the fastest")
    assert "level 1, cuBLAS" in explain(lstm(2048, B=512), H100)
    monkeypatch.setenv(VARIABLE, "2")
    assert explain(lstm(256), H100).startswith("level 2, graphs of steps, 8 units a block, weights streamed")
