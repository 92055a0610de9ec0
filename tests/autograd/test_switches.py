"""The switches: no_grad in threads and tasks, and the reports of detect_anomaly."""

import asyncio
import threading

import numpy as np
import pytest

import minirnn.autograd.switches as module
from minirnn import Tensor, detect_anomaly, grad, is_grad_enabled, no_grad
from minirnn.autograd.switches import calling_line
from minirnn.autograd.tensor import apply_fused
from tests.doubles.strict_array import StrictArray


def tensor(*shape, seed=0):
    return Tensor(np.random.default_rng(seed).normal(size=shape), requires_grad=True)


# ------------------------------------------------------------------------------------------ no_grad


def test_no_grad_as_context_and_decorator_nested_and_after_an_error():
    t = tensor(3)
    assert is_grad_enabled()
    with no_grad():
        assert not (t * 2.0).requires_grad
        with no_grad():
            assert not is_grad_enabled()
        assert not is_grad_enabled()
    assert is_grad_enabled()

    @no_grad()
    def double(x):
        """Twice x."""
        return x * 2.0 if x.size < 5 else double(x[:3])

    assert not double(tensor(9)).requires_grad
    assert double.__doc__ == "Twice x."
    assert (t * 2.0).requires_grad
    with pytest.raises(ZeroDivisionError), no_grad():
        1 / 0  # noqa: B018
    assert is_grad_enabled()
    again = no_grad()
    for _ in range(2):
        with again, again:
            assert not is_grad_enabled()
        assert is_grad_enabled()


def test_no_grad_does_not_decorate_coroutines_and_generators():
    async def coroutine(): ...

    def generator():
        yield

    async def both():
        yield

    for function in (coroutine, generator, both):
        with pytest.raises(TypeError, match=f"{function.__name__}.*suspends"):
            no_grad()(function)


def test_no_grad_of_one_thread_is_not_another_ones():
    entered, looked = threading.Event(), threading.Event()
    seen = []

    def inside():
        with no_grad():
            entered.set()
            looked.wait(10)
            seen.append(("inside", is_grad_enabled()))

    def outside():
        entered.wait(10)
        seen.append(("outside", is_grad_enabled() and (tensor(2) * 2.0).requires_grad))
        looked.set()

    threads = [threading.Thread(target=f) for f in (inside, outside)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seen) == [("inside", False), ("outside", True)]


def test_no_grad_of_one_task_is_not_another_ones():
    shared = no_grad()

    async def inside(log):
        with shared:
            await asyncio.sleep(0.01)
            log.append(("inside", is_grad_enabled()))
        log.append(("after", is_grad_enabled()))

    async def outside(log):
        await asyncio.sleep(0.005)
        log.append(("outside", is_grad_enabled()))
        await asyncio.sleep(0.02)

    async def both():
        log = []
        await asyncio.gather(inside(log), outside(log), inside(log))
        return log

    assert sorted(set(asyncio.run(both()))) == [("after", True), ("inside", False), ("outside", True)]


# ------------------------------------------------------------------------------------------ detect_anomaly


def test_detect_anomaly_names_the_operation_its_shapes_and_the_line():
    t = Tensor(np.zeros((2, 3)), requires_grad=True)
    with detect_anomaly(), np.errstate(divide="ignore"):
        y = np.sqrt(t)  # the line to be named
        with pytest.raises(FloatingPointError) as caught:
            (y * 2.0).sum().backward()
    message = str(caught.value)
    assert "sqrt((2, 3))" in message
    assert "turned a finite gradient into a non-finite" in message
    assert f"{__file__}:" in message
    assert "the line to be named" in message
    with np.errstate(divide="ignore"):
        np.sqrt(t).sum().backward()
    assert np.isinf(t.grad).all()


def test_detect_anomaly_accepts_finite_gradients_and_says_if_a_line_is_unknown():
    t = Tensor(np.zeros(3), requires_grad=True)
    y = np.sqrt(t).sum()
    with detect_anomaly():
        (t * 2.0).sum().backward()
        with np.errstate(divide="ignore"), pytest.raises(FloatingPointError, match="line is unknown"):
            y.backward()


def test_detect_anomaly_reports_a_non_finite_upstream_gradient():
    t = tensor(3)
    with detect_anomaly(), pytest.raises(FloatingPointError, match="is not finite"):
        (t * 2.0).backward(np.array([1.0, np.nan, 1.0]))


@pytest.mark.parametrize("create", [False, True])
def test_detect_anomaly_with_grad_and_on_another_device(create):
    for array in (np.asarray, StrictArray):
        t = Tensor(array(np.zeros(3)), requires_grad=True)
        with detect_anomaly(), np.errstate(divide="ignore"):
            grad((t * 2.0).sum(), t, create_graph=create)
            with pytest.raises(FloatingPointError, match="sqrt"):
                grad(np.sqrt(t).sum(), t, create_graph=create)


def test_detect_anomaly_watches_fused_nodes():
    class Bad:
        name = "bad layer"

        def backward(self, grads, *, keep):
            return [g if g is None else g * np.inf for g in grads]

        def composed(self, *args):
            raise AssertionError

    a, b = tensor(3), tensor(3)
    with detect_anomaly():
        y, _ = apply_fused(Bad(), (a, b), (a.data + 1, b.data + 1))  # made here
        with pytest.raises(FloatingPointError, match=r"bad layer(?s:.*)made here"):
            y.sum().backward()


def test_the_calling_line_is_the_users_even_if_their_folder_name_begins_with_minirnn():
    file = module.__file__.removesuffix("/autograd/switches.py") + "_examples/user.py"
    names = {}
    exec(compile("def call(f):\n    return f()\n", file, "exec"), names)
    assert names["call"](calling_line).startswith(f"{file}:2")


def test_detect_anomaly_notices_sums_that_overflow():
    t = Tensor(np.full(2, 1.0), requires_grad=True)
    y = +t
    with (
        detect_anomaly(),
        np.errstate(over="ignore"),
        pytest.raises(FloatingPointError, match="have a non-finite sum"),
    ):
        (y * 1e308 + y * 1e308).sum().backward()
