"""The trainer: the computation of a step, and the errors for invalid steps, texts and checkpoints."""

import dataclasses
import math

import numpy as np
import pytest

from minirnn import checkpoint, kernels, optim, random
from minirnn.autograd.devices import device_of
from minirnn.checkpoint import CheckpointError
from minirnn.language import (
    BEST,
    LAST,
    ConfigError,
    Diverged,
    TextTooShort,
    Trainer,
    calibrate,
    from_arrays,
    load_model,
    mixed_inputs,
    run,
    to_arrays,
)
from minirnn.language.config import usual_dropout
from minirnn.nn import cross_entropy
from tests.language.trainers import CORPUS, SMALL, Silent, make_corpus, small

RTOL = 1e-10  # float64 sums of a few hundred terms, in another order


# ---- learning


def test_it_learns(tmp_path):
    trainer, reporter = small(dropout=0.0, steps=200), Silent()
    assert run(trainer, tmp_path, reporter)
    first, last = reporter.validations[0][1], reporter.validations[-1][1]
    assert first == pytest.approx(math.log(trainer.tokenizer.vocab_size), rel=0.2)
    assert last < 0.5 * first
    assert trainer.best_loss == min(loss for _step, loss, _best in reporter.validations)


def test_dropout_grows_with_the_passes_unless_it_is_given(tmp_path):
    assert [round(usual_dropout(passes), 2) for passes in (0, 3, 11, 28, 1000)] == [0, 0.15, 0.28, 0.45, 0.6]
    short, long, given = small(dropout=None, steps=20), small(dropout=None, steps=2000), small(dropout=0.125)
    for trainer in (short, long):
        assert trainer.config.dropout == usual_dropout(trainer.config.steps / len(trainer.batches))
        assert trainer.model.dropout.p == trainer.config.dropout
    assert 0 < short.config.dropout < long.config.dropout < 0.6
    assert given.config.dropout == 0.125
    short.save(tmp_path / LAST)  # a resumed run keeps the rate and therefore its masks
    assert Trainer.resume(tmp_path / LAST, lambda _name: CORPUS).config == short.config


def test_a_step_is_forward_backward_clip_update():
    """A step equals its explicit computation: the loss, the norm, and plain SGD with a clipped gradient."""
    trainer = small(optimizer="sgd", lr=0.5, warmup=0, clip_norm=0.01, dropout=0.0, dtype="float64", cell="gru")
    twin = small(optimizer="sgd", lr=0.5, warmup=0, clip_norm=0.01, dropout=0.0, dtype="float64", cell="gru")
    x, y = twin.batches[0]
    logits, _state = twin.model(x)
    loss = cross_entropy(logits.reshape(-1, logits.shape[-1]), y.reshape(-1))
    loss.backward()
    norm = math.sqrt(sum(float((p.grad**2).sum()) for p in twin.model.parameters()))
    report = trainer.step()
    assert (report.step, report.lr) == (1, 0.5)
    assert report.loss == pytest.approx(loss.item(), rel=RTOL)
    assert report.grad_norm == pytest.approx(norm, rel=RTOL)
    assert norm > 0.01
    for moved, start in zip(trainer.model.parameters(), twin.model.parameters(), strict=True):
        expected = start.data - 0.5 * start.grad * (0.01 / (norm + 1e-6))
        np.testing.assert_allclose(moved.data, expected, rtol=RTOL, atol=1e-14)


def test_with_scheduled_sampling_a_step_learns_from_the_mixed_window():
    """The loss of the second step, with a share of true inputs of 1 - 0.9/4, is the loss of the mixed window."""
    changes = {"teacher": "linear", "teacher_end": 0.1, "steps": 4, "dropout": 0.0, "dtype": "float64"}
    trainer, twin = small(**changes), small(**changes)
    trainer.step()
    trainer.model.load_state_dict(twin.model.state_dict())
    state = random.get_state()
    report = trainer.step()
    random.set_state(state)
    (x, _y), (later, targets) = twin.batches[0], twin.batches[1]
    carried = to_arrays(twin.model(x)[1])
    mixed = mixed_inputs(twin.model, later, carried, 1 - 0.9 / 4, random.generator())
    assert (mixed != later).any()
    logits, _state = twin.model(mixed, from_arrays(carried))
    loss = cross_entropy(logits.reshape(-1, logits.shape[-1]), targets.reshape(-1))
    assert report.loss == pytest.approx(loss.item(), rel=RTOL)


def test_clipping_by_value_cuts_each_entry():
    trainer = small(optimizer="sgd", lr=1.0, warmup=0, clip_norm=None, clip_value=1e-4, dtype="float64")
    before = [p.data.copy() for p in trainer.model.parameters()]
    trainer.step()
    moves = [np.abs(p.data - b).max() for p, b in zip(trainer.model.parameters(), before, strict=True)]
    assert max(moves) == pytest.approx(1e-4, rel=1e-6)


def test_the_rate_warms_up_and_falls_to_nearly_zero():
    trainer = small(steps=100, warmup=10)
    rates = [trainer.step().lr for _ in range(100)]
    assert rates[0] == pytest.approx(SMALL.lr / 10)
    assert max(rates) == pytest.approx(SMALL.lr)
    assert rates.index(max(rates)) in (9, 10)
    assert 0 < rates[-1] < 0.01 * SMALL.lr
    assert rates[10:] == sorted(rates[10:], reverse=True)


def test_warm_up_is_at_most_a_tenth_of_the_run():
    assert small(steps=20, warmup=50).schedule.warmup_steps == 2
    assert small(steps=1, warmup=50).schedule.warmup_steps == 0


def test_the_state_is_carried_within_a_pass_and_fresh_at_its_start():
    trainer = small()
    seen = []
    forward = trainer.model.forward
    trainer.model.forward = lambda ids, state=None: (seen.append(state), forward(ids, state))[1]
    for _ in range(len(trainer.batches) + 2):
        trainer.step()
    fresh = [index for index, state in enumerate(seen) if state is None]
    assert fresh == [0, len(trainer.batches)]


def test_validation_reads_all_of_the_last_tenth_and_changes_nothing():
    trainer = small(dtype="float64", batch=2, seq=9)
    before = random.get_state(), trainer.model.state_dict()
    loss = trainer.validate()
    assert random.get_state() == before[0]
    assert all(np.array_equal(a, before[1][name]) for name, a in trainer.model.state_dict().items())
    assert trainer.model.training
    assert len(trainer.valid_ids) == 200
    trainer.model.eval()
    total = 0.0
    for stream in range(2):  # 2 streams of (200 - 1) // 2 = 99 tokens, each read at once
        piece = trainer.valid_ids[stream * 99 : stream * 99 + 100]
        logits, _state = trainer.model(piece[:-1, None])
        total += cross_entropy(logits[:, 0], piece[1:], reduction="sum").item()
    assert loss == pytest.approx(total / 198, rel=RTOL)


def test_a_short_validation_part_takes_fewer_streams():
    assert math.isfinite(Trainer(dataclasses.replace(SMALL, batch=8, seq=7), make_corpus(70)).validate())


# ---- errors in a run


def poison(trainer, value=np.nan):
    parameter = next(iter(trainer.model.parameters()))
    parameter.data[...] = value
    parameter.bump_version()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_loss_that_is_no_number_stops_and_keeps_the_last_checkpoint(tmp_path, value):
    trainer = small(checkpoint_every=5, validate_every=1000)
    with pytest.raises(Diverged, match=r"training diverged at step 8: the loss is .*Try a lower --lr"):
        run(trainer, tmp_path, Silent({7: lambda: poison(trainer, value)}))
    kept = checkpoint.load(tmp_path / LAST)
    assert kept["step"] == 5
    assert all(np.isfinite(array).all() for array in kept["model"].values())


def test_broken_weights_are_never_stored(tmp_path):
    trainer = small(checkpoint_every=5, validate_every=1000)
    with pytest.raises(Diverged, match="a weight is no longer finite"):
        run(trainer, tmp_path, Silent({10: lambda: poison(trainer)}))
    assert checkpoint.load(tmp_path / LAST)["step"] == 5


def test_a_broken_validation_is_never_the_best(tmp_path):
    trainer = small(validate_every=5)
    with pytest.raises(Diverged, match="the validation loss is nan"):
        run(trainer, tmp_path, Silent({5: lambda: poison(trainer)}))
    assert checkpoint.load(tmp_path / BEST)["step"] == 0


def test_a_gradient_that_overflows_stops_before_the_update():
    trainer = small(clip_norm=None, dropout=0.0)
    trainer.model.linear.weight.data *= np.float32(1e38)
    trainer.model.linear.weight.bump_version()
    before = trainer.model.state_dict()
    with pytest.raises(Diverged):
        trainer.step()
    assert all(np.array_equal(array, before[name]) for name, array in trainer.model.state_dict().items())


@pytest.mark.parametrize("norm", [math.nan, math.inf])
def test_a_gradient_that_is_no_number_stops_even_if_the_loss_is_one(monkeypatch, norm):
    trainer = small()
    before = trainer.model.state_dict()
    monkeypatch.setattr(optim, "clip_grad_norm_", lambda *_args: norm)
    with pytest.raises(Diverged, match=f"the gradient's norm {norm}"):
        trainer.step()
    assert all(np.array_equal(array, before[name]) for name, array in trainer.model.state_dict().items())


@pytest.mark.parametrize("length", [0, 1, 19, 32])
def test_a_text_too_short_says_how_long_it_must_be(length):
    with pytest.raises(TextTooShort, match=rf"has {length} characters; batch 4 x seq 7 needs 33"):
        Trainer(SMALL, make_corpus(length))


@pytest.mark.parametrize(("batch", "seq"), [(1, 1), (4, 7), (3, 11), (32, 64)])
def test_the_length_it_asks_for_is_enough(batch, seq):
    config = dataclasses.replace(SMALL, batch=batch, seq=seq)
    with pytest.raises(TextTooShort) as caught:
        Trainer(config, make_corpus(2))
    needed = int(str(caught.value).split("needs ")[1].split()[0])
    trainer = Trainer(config, make_corpus(needed))
    trainer.step()
    trainer.validate()


# ---- checkpoints that do not fit


@pytest.fixture
def stored(tmp_path):
    run(small(steps=3), tmp_path, Silent())
    return tmp_path / LAST


def changed(path, change):
    state = checkpoint.load(path)
    change(state)
    checkpoint.save(path, state)


def test_another_text_is_refused(stored):
    other = dataclasses.replace(CORPUS, sha256="1" * 64)
    with pytest.raises(ConfigError, match=r"not the text that .* was trained on"):
        Trainer.resume(stored, lambda _name: other)


def test_a_moved_text_is_found_where_it_is_said_to_be(stored):
    asked = []
    Trainer.resume(stored, lambda name: (asked.append(name), CORPUS)[1])
    Trainer.resume(stored, lambda name: (asked.append(name), CORPUS)[1], "elsewhere")
    assert asked == ["made up", "elsewhere"]


@pytest.mark.parametrize(
    "key", ["config", "corpus", "model", "optimizer", "schedule", "step", "position", "random", "carried", "best"]
)
def test_a_missing_part_is_named(stored, key):
    changed(stored, lambda state: state.pop(key))
    with pytest.raises(CheckpointError, match=f"lacks '{key}'") as caught:
        Trainer.resume(stored, lambda _name: CORPUS)
    assert str(stored) in str(caught.value)


def test_weights_of_another_size_are_refused(stored):
    changed(stored, lambda state: state["config"].update(hidden=9))
    with pytest.raises(CheckpointError, match="doesn't fit"):
        Trainer.resume(stored, lambda _name: CORPUS)
    with pytest.raises(CheckpointError, match="doesn't fit"):
        load_model(stored)


@pytest.mark.parametrize("state", [3, [], {}, {"config": 1}, {"config": {"hiden": 3}}, {"tokenizer": [], "config": {}}])
def test_a_checkpoint_of_something_else_is_refused(tmp_path, state):
    checkpoint.save(tmp_path / "c", state)
    for reading in (load_model, lambda path: Trainer.resume(path, lambda _name: CORPUS)):
        with pytest.raises(CheckpointError):
            reading(tmp_path / "c")


def test_the_model_in_a_checkpoint_is_the_trained_one(tmp_path):
    trainer = small(steps=3, dropout=0.0)
    run(trainer, tmp_path, Silent())
    model, tokenizer, state = load_model(tmp_path / LAST)
    ids = tokenizer.encode("tok maro")[:, None]
    assert np.array_equal(model(ids)[0].data, trainer.model(ids)[0].data)
    assert state["step"] == 3


# ---- on a GPU


@pytest.mark.parametrize(("cell", "optimizer", "teacher"), [("lstm", "adam", "linear"), ("gru", "sgd", "always")])
def test_on_a_gpu_it_computes_the_same_and_either_device_continues(gpu, tmp_path, cell, optimizer, teacher):
    """The fake GPU uses the NumPy kernels, so the results must be bitwise equal."""
    settings = {"cell": cell, "optimizer": optimizer, "teacher": teacher, "clip_value": 0.05, "steps": 60}
    config = dataclasses.replace(SMALL, **settings)
    with kernels("numpy"):
        trainer = Trainer(config, CORPUS)
        expected = [trainer.step().loss for _ in range(50)]  # past the end of the text
        expected.append(trainer.validate())
    found = []
    for part, device in enumerate(("cupy", "cpu", "cupy", "cupy", "cpu")):
        if part:
            other = Trainer.resume(tmp_path / "c", lambda name: CORPUS, device=device)
        else:
            other = Trainer(config, CORPUS, device)
        assert {device_of(p.data) for p in other.model.parameters()} == {device}
        with kernels("cupy" if device == "cupy" else "numpy"):
            found += [other.step().loss for _ in range(10)]
            if part == 4:
                found.append(other.validate())
            assert {device_of(part) for part in other.carried} == {device}
            other.save(tmp_path / "c")
    assert found == expected
    state = other.model.state_dict()
    for name, value in trainer.model.state_dict().items():
        np.testing.assert_array_equal(state[name], value)


def test_a_checkpoint_says_which_kernels_made_it_and_nothing_of_a_device(gpu, tmp_path):
    trainer = Trainer(SMALL, CORPUS, "cupy")
    assert "device" not in repr(trainer.state_dict()["config"])
    assert trainer.state_dict()["environment"]["kernels"] == "cupy"
    assert run(Trainer(dataclasses.replace(SMALL, steps=3), CORPUS, "cupy"), tmp_path, Silent())
    model, *_ = load_model(tmp_path / LAST, "cupy")
    assert device_of(model.linear.weight.data) == "cupy"
    assert calibrate(SMALL, CORPUS, 0.2, "cupy").steps >= 1
