"""Optimisers, gradient clipping and learning-rate schedules, with PyTorch's names, defaults and numbers.

Optimisers write into `param.data` in place, in its own dtype, and bump the parameter's version. A parameter without a
gradient is skipped and its state stays as it is. A state dict holds NumPy's arrays and numbers, for a checkpoint. The
state is where the parameters are, on the host or a GPU.

Clipping comes in two kinds, which differ. `clip_grad_norm_` scales all gradients by one factor so that their common
norm is at most `max_norm`: the direction of the step stays. `clip_grad_value_` cuts each entry off at ±value on its
own: the direction changes. "Clip at 5" is the first in most papers and courses, and the second in min-char-rnn.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from minirnn.autograd import Tensor, devices

Array = Any
State = dict[str, Any]  # of one parameter: name -> array of its shape, or the int "step"


class Optimizer:
    """Base of the optimisers: keeps the parameters and the state of each, and asks `_update` for one step of one.

    `options` names the attributes that are the hyperparameters; they can be changed between steps, as schedules do with
    `lr`, but a momentum can't be switched on or off. Raises ValueError for no parameters, the same one twice, and
    hyperparameters out of range; TypeError for what isn't a Tensor that requires grad.
    """

    options: tuple[str, ...] = ("lr", "weight_decay")
    lr: float
    weight_decay: float

    def __init__(self, params: Iterable[Tensor], **options: Any) -> None:
        self.params = _tensors(params)
        if not self.params:
            raise ValueError("params: expected at least one parameter, got none")
        for i, p in enumerate(self.params):
            if not (p.requires_grad and p.is_leaf):
                what = "an operation made it" if p.requires_grad else "it does not require grad"
                raise TypeError(f"params[{i}]: can't optimise this Tensor: {what}")
        if len(set(map(id, self.params))) < len(self.params):
            raise ValueError("params: the same parameter appears twice")
        self._set_options(options)
        self.state: list[State] = [{} for _ in self.params]

    def step(self) -> None:
        """Move every parameter that has a gradient by one step."""
        for i, (p, state) in enumerate(zip(self.params, self.state, strict=True)):
            if p.grad is not None:
                if not state:
                    state.update(self._initial(p.data))
                for name, value in state.items():
                    if not hasattr(value, "dtype") or (type(value) is type(p.data) and value.dtype == p.dtype):
                        continue
                    raise TypeError(
                        f"params[{i}] is {p.dtype} on {devices.device_of(p.data)}, its {name} is {value.dtype} on "
                        f"{devices.device_of(value)}: make a new optimiser after .to()"
                    )
                self._update(p.data, p.grad, state)
                p.bump_version()

    def zero_grad(self) -> None:
        """Set the `.grad` of every parameter to None."""
        for p in self.params:
            p.grad = None

    def state_dict(self) -> dict[str, Any]:
        """{"optimizer": name, "options": {name: number}, "state": [state of each parameter]}, the arrays copied."""
        options = {name: getattr(self, name) for name in self.options}
        state = [{name: _host_copy(value) for name, value in state.items()} for state in self.state]
        return {"optimizer": type(self).__name__, "options": options, "state": state}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over hyperparameters and state; ValueError, and nothing is changed, if they belong to something else."""
        try:
            name, options, states = (state_dict[k] for k in ("optimizer", "options", "state"))
        except (KeyError, TypeError, IndexError):
            raise ValueError("state_dict: expected the entries optimizer, options and state") from None
        if name != type(self).__name__:
            raise ValueError(f"state_dict: it is of {name}, this is {type(self).__name__}")
        if set(options) != set(self.options):
            raise ValueError(f"state_dict: expected the options {sorted(self.options)}, got {sorted(options)}")
        if len(states) != len(self.params):
            raise ValueError(f"state_dict: it has state for {len(states)} parameters, this has {len(self.params)}")
        loaded = copy.copy(self)  # so that this one stays whole if something doesn't fit
        loaded._set_options(options)
        for i, (p, state) in enumerate(zip(self.params, states, strict=True)):
            loaded._check_state(i, state, loaded._initial(p.data))
        loaded.state = [
            {name: devices.like(_host_copy(v), p.data) if hasattr(v, "dtype") else v for name, v in state.items()}
            for p, state in zip(self.params, states, strict=True)
        ]
        vars(self).update(vars(loaded))

    def _set_options(self, options: Mapping[str, Any]) -> None:
        checked = {name: _in_range(name, value) for name, value in options.items()}
        for name, value in checked.items():
            setattr(self, name, value)

    def _check_state(self, i: int, state: State, expected: State) -> None:
        if state and set(state) != set(expected):
            raise ValueError(f"state_dict: parameter {i}: expected {sorted(expected)}, got {sorted(state)}")
        for name, value in state.items():
            if (got := _kind(value)) != (wanted := _kind(expected[name])):
                raise ValueError(f"state_dict: parameter {i}: {name}: expected {wanted}, got {got}")

    def _decayed(self, data: Array, g: Array) -> Array:
        """The gradient of the loss plus weight_decay/2 · |p|²."""
        if not self.weight_decay:
            return g
        decayed = np.multiply(data, self.weight_decay, out=np.empty_like(data))
        decayed += g
        return decayed

    def _initial(self, data: Array) -> State:
        """The state that a parameter has before its first step."""
        raise NotImplementedError

    def _update(self, data: Array, g: Array, state: State) -> None:
        """One step of one parameter, in place in `data` and `state`; g is only read."""
        raise NotImplementedError


class SGD(Optimizer):
    """p ← p - lr·g; with momentum μ: v ← μv + g, p ← p - lr·v; nesterov: p ← p - lr·(g + μv). v starts as the first g.

    Source of the momentum's form: Sutskever, Martens, Dahl and Hinton 2013, with lr outside of v as in PyTorch.
    """

    options = ("lr", "momentum", "nesterov", "weight_decay")
    momentum: float
    nesterov: bool

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 1e-3,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
    ) -> None:
        if nesterov and not momentum:
            raise ValueError("nesterov: needs a momentum > 0")
        super().__init__(params, lr=lr, momentum=momentum, nesterov=nesterov, weight_decay=weight_decay)

    def _initial(self, data: Array) -> State:
        return {"momentum_buffer": np.zeros_like(data)} if self.momentum else {}

    def _update(self, data: Array, g: Array, state: State) -> None:
        g = self._decayed(data, g)
        if self.momentum:
            v = state["momentum_buffer"]
            v *= self.momentum
            v += g
            g = g + self.momentum * v if self.nesterov else v
        data -= self.lr * g


class RMSprop(Optimizer):
    """s ← αs + (1-α)g²; p ← p - lr·g/(√s + eps); with momentum μ: v ← μv + g/(√s + eps), p ← p - lr·v.

    Source: Tieleman and Hinton 2012, lecture 6.5 of "Neural Networks for Machine Learning".
    """

    options = ("lr", "alpha", "eps", "weight_decay", "momentum")
    alpha: float
    eps: float
    momentum: float

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
    ) -> None:
        super().__init__(params, lr=lr, alpha=alpha, eps=eps, weight_decay=weight_decay, momentum=momentum)

    def _initial(self, data: Array) -> State:
        state = {"square_avg": np.zeros_like(data)}
        return state | {"momentum_buffer": np.zeros_like(data)} if self.momentum else state

    def _update(self, data: Array, g: Array, state: State) -> None:
        g = self._decayed(data, g)
        work = np.multiply(g, g, out=np.empty_like(data))
        _average(state["square_avg"], work, self.alpha)
        _over_root(g, state["square_avg"], self.eps, work)
        if self.momentum:
            v = state["momentum_buffer"]
            v *= self.momentum
            v += work
            work[...] = v
        work *= self.lr
        data -= work


class Adagrad(Optimizer):
    """s ← s + g²; p ← p - lr·g/(√s + eps). Source: Duchi, Hazan and Singer 2011. min-char-rnn has it, with lr = 0.1."""

    options = ("lr", "weight_decay", "eps")
    eps: float

    def __init__(
        self, params: Iterable[Tensor], lr: float = 1e-2, *, weight_decay: float = 0.0, eps: float = 1e-10
    ) -> None:
        super().__init__(params, lr=lr, weight_decay=weight_decay, eps=eps)

    def _initial(self, data: Array) -> State:
        return {"sum": np.zeros_like(data)}

    def _update(self, data: Array, g: Array, state: State) -> None:
        g = self._decayed(data, g)
        work = np.multiply(g, g, out=np.empty_like(data))
        state["sum"] += work
        _over_root(g, state["sum"], self.eps, work)
        work *= self.lr
        data -= work


class Adam(Optimizer):
    """m ← β₁m + (1-β₁)g; v ← β₂v + (1-β₂)g²; p ← p - lr·m̂/(√v̂ + eps), m̂ = m/(1-β₁ᵗ), v̂ = v/(1-β₂ᵗ) at step t.

    weight_decay adds weight_decay·p to g (L2); AdamW decays apart from g. Source: Kingma and Ba 2015, algorithm 1.
    """

    options = ("lr", "betas", "eps", "weight_decay")
    betas: tuple[float, float]
    eps: float

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)

    def _initial(self, data: Array) -> State:
        return {"step": 0, "exp_avg": np.zeros_like(data), "exp_avg_sq": np.zeros_like(data)}

    def _update(self, data: Array, g: Array, state: State) -> None:
        self._adam(data, self._decayed(data, g), state)

    def _adam(self, data: Array, g: Array, state: State) -> None:
        state["step"] += 1
        beta1, beta2 = self.betas
        correction1 = 1.0 - beta1 ** state["step"]
        correction2 = 1.0 - beta2 ** state["step"]
        work = np.empty_like(data)
        work[...] = g
        _average(state["exp_avg"], work, beta1)
        np.multiply(g, g, out=work)
        _average(state["exp_avg_sq"], work, beta2)
        _over_root(state["exp_avg"], state["exp_avg_sq"], self.eps, work, math.sqrt(correction2))
        work *= self.lr / correction1
        data -= work


class AdamW(Adam):
    """Adam whose weight decay is a shrinking of its own, p ← (1 - lr·weight_decay)·p, before each step.

    Source: Loshchilov and Hutter 2019, algorithm 2.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay)

    def _update(self, data: Array, g: Array, state: State) -> None:
        if self.weight_decay:
            data *= 1.0 - self.lr * self.weight_decay
        self._adam(data, g, state)


def _average(average: Array, work: Array, keep: float) -> None:
    """average ← keep·average + (1-keep)·work, in place; work is used up."""
    work *= 1.0 - keep
    average *= keep
    average += work


def _over_root(g: Array, square: Array, eps: float, out: Array, scale: float = 1.0) -> None:
    """out ← g / (√square/scale + eps)."""
    np.sqrt(square, out=out)
    if scale != 1.0:
        out /= scale
    out += eps
    np.divide(g, out, out=out)


# ------------------------------------------------------------------------------------------------ clipping


def clip_grad_norm_(params: Iterable[Tensor] | Tensor, max_norm: float, error_if_nonfinite: bool = False) -> float:
    """Scale all gradients by max_norm/(norm + 1e-6) if the norm of all of them together is above that; return the norm.

    On a GPU one short array is read back for this, the squared norms, and more only where one is 0 or out of range.
    The norm is the one before clipping; 0.0 without gradients. A norm of nan makes every gradient nan, one of inf makes
    finite entries 0 and infinite ones nan, or, with `error_if_nonfinite`, either is a FloatingPointError and nothing
    changes. `max_norm` may be inf: finite gradients then stay as they are. Source: Pascanu, Mikolov and Bengio 2013,
    section 3.2.
    """
    if not max_norm >= 0:
        raise ValueError(f"max_norm: expected a number >= 0, got {max_norm}")
    grads = _gradients(params)
    norms = _norms(grads)
    norm = math.nan if any(map(math.isnan, norms)) else math.hypot(*norms)
    if error_if_nonfinite and not math.isfinite(norm):
        raise FloatingPointError(f"the norm of the gradients is {norm}; they were not clipped")
    scale = max_norm / (norm + 1e-6)
    if not scale >= 1.0:
        with np.errstate(invalid="ignore"):  # inf * 0
            for g in grads:
                g *= scale
    return norm


def clip_grad_value_(params: Iterable[Tensor] | Tensor, value: float) -> None:
    """Cut each entry of each gradient off at ±value; nan stays nan."""
    if not value >= 0:
        raise ValueError(f"value: expected a number >= 0, got {value}")
    for g in _gradients(params):
        np.clip(g, -value, value, out=g)


def _norms(grads: list[Array]) -> list[float]:
    """The norm of each: a dot product, or, where the squares leave the range of the dtype, one of scaled values."""
    flat = [g.reshape(-1) for g in grads]
    with np.errstate(over="ignore"):
        squares = devices.host(np.stack([np.dot(g, g) for g in flat])).tolist() if flat else []
    return [
        math.sqrt(square) if 1e-20 < square < 1e30 else _scaled_norm(g) for g, square in zip(flat, squares, strict=True)
    ]


def _scaled_norm(flat: Array) -> float:
    top = float(np.abs(flat).max()) if flat.size else 0.0
    if top == 0.0 or not math.isfinite(top):
        return top
    scaled = flat / top
    return top * math.sqrt(float(np.dot(scaled, scaled)))


# ------------------------------------------------------------------------------------------------ schedules


class Schedule:
    """Base of the schedules: sets optimizer.lr to base_lr · factor(number of steps so far), now and after each `step`.

    base_lr is the optimiser's lr when the schedule is made. Call `step` after the optimiser's step, as often as the
    schedule counts (per update or per epoch).
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer
        self.base_lr = optimizer.lr
        self.steps = 0
        self._apply()

    def factor(self, step: int) -> float:
        raise NotImplementedError

    def step(self) -> None:
        self.steps += 1
        self._apply()

    def state_dict(self) -> dict[str, Any]:
        return {"schedule": type(self).__name__, "base_lr": self.base_lr, "steps": self.steps}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue from there; the schedule's own arguments are not in the state and must be the same."""
        if state_dict.get("schedule") != type(self).__name__:
            raise ValueError(f"state_dict: it is of {state_dict.get('schedule')}, this is {type(self).__name__}")
        self.base_lr, self.steps = state_dict["base_lr"], state_dict["steps"]
        self._apply()

    def _apply(self) -> None:
        self.optimizer.lr = float(self.base_lr * self.factor(self.steps))


class LambdaLR(Schedule):
    """base_lr · lr_lambda(step)."""

    def __init__(self, optimizer: Optimizer, lr_lambda: Callable[[int], float]) -> None:
        self.lr_lambda = lr_lambda
        super().__init__(optimizer)

    def factor(self, step: int) -> float:
        return self.lr_lambda(step)


class StepLR(Schedule):
    """base_lr · gamma^⌊step / step_size⌋."""

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1) -> None:
        if step_size < 1:
            raise ValueError(f"step_size: expected an integer >= 1, got {step_size}")
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer)

    def factor(self, step: int) -> float:
        return self.gamma ** (step // self.step_size)


class ExponentialLR(Schedule):
    """base_lr · gamma^step."""

    def __init__(self, optimizer: Optimizer, gamma: float) -> None:
        self.gamma = gamma
        super().__init__(optimizer)

    def factor(self, step: int) -> float:
        return self.gamma**step


class CosineLR(Schedule):
    """Rises linearly over warmup_steps, then falls along half a cosine to min_lr at total_steps, and stays there.

    The first step of a warm-up of n has lr base_lr/n, the n-th base_lr. Source of the cosine: Loshchilov and Hutter
    2017, equation 5; without warm-up it is PyTorch's CosineAnnealingLR up to total_steps.
    """

    def __init__(self, optimizer: Optimizer, total_steps: int, warmup_steps: int = 0, min_lr: float = 0.0) -> None:
        if not 0 <= warmup_steps < total_steps:
            raise ValueError(f"expected 0 <= warmup_steps < total_steps, got {warmup_steps} and {total_steps}")
        if not 0 <= min_lr <= optimizer.lr:
            raise ValueError(f"min_lr: expected a number between 0 and the lr {optimizer.lr}, got {min_lr}")
        self.total_steps, self.warmup_steps, self.min_lr = total_steps, warmup_steps, min_lr
        super().__init__(optimizer)

    def factor(self, step: int) -> float:
        if step < self.warmup_steps:
            return (step + 1) / self.warmup_steps
        done = min(1.0, (step - self.warmup_steps) / (self.total_steps - self.warmup_steps))
        low = self.min_lr / self.base_lr if self.base_lr else 0.0
        return low + (1.0 - low) * 0.5 * (1.0 + math.cos(math.pi * done))


# ------------------------------------------------------------------------------------------------ arguments


def _tensors(params: Any) -> list[Tensor]:
    if isinstance(params, Tensor):
        raise TypeError("params: expected several parameters, as from module.parameters(), got one Tensor: write [t]")
    listed = list(params)
    for i, p in enumerate(listed):
        if not isinstance(p, Tensor):
            raise TypeError(f"params[{i}]: expected a Tensor, got {type(p).__name__}")
    return listed


def _gradients(params: Iterable[Tensor] | Tensor) -> list[Array]:
    """The gradients there are, each once."""
    listed = [params] if isinstance(params, Tensor) else _tensors(params)
    return [p.grad for p in {id(p): p for p in listed}.values() if p.grad is not None]


def _host_copy(value: Any) -> Any:
    """A state's array copied, to the host; or its number."""
    if devices.device_of(value) != "cpu":
        return devices.host(value)
    return value.copy() if hasattr(value, "copy") else value


def _kind(value: Any) -> str:
    dtype = value.dtype if hasattr(value, "dtype") else np.asarray(value).dtype
    return f"{dtype} of shape {np.shape(value)}"


def _in_range(name: str, value: Any) -> Any:
    """A hyperparameter as a Python number, or pair of them; TypeError or ValueError if it can't be one."""
    if name == "nesterov":
        return bool(value)
    if name == "betas":
        if not isinstance(value, (tuple, list)) or len(value) != 2 or not all(0.0 <= beta < 1.0 for beta in value):
            raise ValueError(f"betas: expected two numbers in [0, 1), got {value}")
        return float(value[0]), float(value[1])
    if not isinstance(value, (int, float, np.number)):
        raise TypeError(f"{name}: expected a number, got {value!r}")
    if name == "alpha" and not 0.0 <= value <= 1.0:
        raise ValueError(f"alpha: expected a number in [0, 1], got {value}")
    if not 0.0 <= value < math.inf:
        raise ValueError(f"{name}: expected a finite number >= 0, got {value}")
    return float(value)
