"""The optimisers: SGD, RMSprop, Adagrad, Adam and AdamW.

They write into `param.data` in place, in its own dtype, and bump the parameter's version. A parameter without a
gradient is skipped, and its state does not change. The state is on the parameter's device, the host or a GPU; a state
dict holds NumPy arrays and numbers, for a checkpoint.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from minirnn.autograd import Array, Tensor, devices

State = dict[str, Any]  # of one parameter: name -> array of the parameter's shape, or the int "step"


class Optimizer:
    """Base of the optimisers. It keeps the parameters and their states; `_update` computes one step of one parameter.

    `options`: the names of the hyperparameters, which are attributes. They can be changed between steps, as schedules
    change `lr`, but a momentum can't be switched on or off. Raises ValueError if there are no parameters, if one
    appears twice, or if a hyperparameter is out of range; TypeError if a parameter is not a leaf Tensor that requires
    grad.
    """

    options: tuple[str, ...]
    lr: float
    weight_decay: float

    def __init__(self, params: Iterable[Tensor], **options: Any) -> None:
        self.params = tensors(params)
        if not self.params:
            raise ValueError("params: expected at least one parameter, got none")
        for i, p in enumerate(self.params):
            if not (p.requires_grad and p.is_leaf):
                what = "an operation made it" if p.requires_grad else "it does not require grad"
                raise TypeError(f"params[{i}]: expected a leaf that requires grad, but {what}")
        if len(set(self.params)) < len(self.params):
            raise ValueError("params: the same parameter appears twice")
        self.options = tuple(options)
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
        """Return {"optimizer": name, "options": {name: number}, "state": [state of each parameter]}, arrays copied."""
        options = {name: getattr(self, name) for name in self.options}
        state = [{name: _host_copy(value) for name, value in state.items()} for state in self.state]
        return {"optimizer": type(self).__name__, "options": options, "state": state}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Set hyperparameters and state. A state of another kind of optimiser raises ValueError and changes nothing."""
        try:
            name, options, states = (state_dict[k] for k in ("optimizer", "options", "state"))
        except (KeyError, TypeError, IndexError):
            raise ValueError("state_dict: expected the entries optimizer, options and state") from None
        if name != type(self).__name__:
            raise ValueError(f"state_dict: expected a state of {type(self).__name__}, got one of {name}")
        if set(options) != set(self.options):
            raise ValueError(f"state_dict: expected the options {sorted(self.options)}, got {sorted(options)}")
        if len(states) != len(self.params):
            raise ValueError(f"state_dict: expected the states of {len(self.params)} parameters, got {len(states)}")
        loaded = copy.copy(self)  # self does not change if a check fails
        loaded._set_options(options)
        for i, (p, state) in enumerate(zip(self.params, states, strict=True)):
            loaded._check_state(i, state, loaded._initial(p.data))
        loaded.state = [
            {name: devices.like(_host_copy(v), p.data) if hasattr(v, "dtype") else v for name, v in state.items()}
            for p, state in zip(self.params, states, strict=True)
        ]
        vars(self).update(vars(loaded))

    def _set_options(self, options: Mapping[str, Any]) -> None:
        vars(self).update({name: _hyperparameter(name, value) for name, value in options.items()})

    def _check_state(self, i: int, state: State, expected: State) -> None:
        """Raise ValueError unless the saved state of parameter i has the names, dtypes and shapes of `expected`."""
        if state and set(state) != set(expected):
            raise ValueError(f"state_dict: parameter {i}: expected {sorted(expected)}, got {sorted(state)}")
        for name, value in state.items():
            if (got := _description(value)) != (wanted := _description(expected[name])):
                raise ValueError(f"state_dict: parameter {i}: {name}: expected {wanted}, got {got}")

    def _decayed(self, data: Array, g: Array) -> Array:
        """Return the gradient of the loss plus weight_decay/2 · |p|²."""
        if not self.weight_decay:
            return g
        decayed = np.multiply(data, self.weight_decay, out=np.empty_like(data))
        decayed += g
        return decayed

    def _initial(self, data: Array) -> State:
        """Return the state of a parameter before its first step."""
        raise NotImplementedError

    def _update(self, data: Array, g: Array, state: State) -> None:
        """Update one parameter by one step: changes `data` and `state` in place, and only reads g."""
        raise NotImplementedError


class SGD(Optimizer):
    """p ← p - lr·g; with momentum μ: v ← μv + g, p ← p - lr·v; nesterov: p ← p - lr·(g + μv). At the first step v = g.

    Source of this form of momentum: Sutskever, Martens, Dahl and Hinton 2013, with lr outside v as in PyTorch.
    """

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
            raise ValueError(f"nesterov: needs a momentum > 0, got {momentum}")
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
        names = ("square_avg", "momentum_buffer") if self.momentum else ("square_avg",)
        return {name: np.zeros_like(data) for name in names}

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
    """s ← s + g²; p ← p - lr·g/(√s + eps). Source: Duchi, Hazan and Singer 2011. min-char-rnn uses lr = 0.1."""

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

    weight_decay adds weight_decay·p to g (L2); AdamW decays separately. Source: Kingma and Ba 2015, algorithm 1.
    """

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
        g = self._decayed(data, g)
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
    """Adam with decoupled weight decay, p ← (1 - lr·weight_decay)·p, before each step.

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

    def _decayed(self, data: Array, g: Array) -> Array:
        """Shrink the parameter in place. The gradient does not change."""
        if self.weight_decay:
            data *= 1.0 - self.lr * self.weight_decay
        return g


def _average(average: Array, work: Array, keep: float) -> None:
    """Compute average ← keep·average + (1-keep)·work, in place. It overwrites work."""
    work *= 1.0 - keep
    average *= keep
    average += work


def _over_root(g: Array, square: Array, eps: float, out: Array, scale: float = 1.0) -> None:
    """Compute out ← g / (√square/scale + eps)."""
    np.sqrt(square, out=out)
    if scale != 1.0:
        out /= scale
    out += eps
    np.divide(g, out, out=out)


def _host_copy(value: Any) -> Any:
    """Return a copy of a state's array on the host, or the number."""
    if devices.device_of(value) != "cpu":
        return devices.host(value)
    return value.copy() if hasattr(value, "copy") else value


def _description(value: Any) -> str:
    dtype = value.dtype if hasattr(value, "dtype") else np.asarray(value).dtype
    return f"{dtype} of shape {np.shape(value)}"


# ------------------------------------------------------------------------------------------------ arguments


def tensors(params: Any) -> list[Tensor]:
    """Return params as a list. Raises TypeError unless they are a sequence of Tensors."""
    if isinstance(params, Tensor):
        raise TypeError("params: expected several parameters, as from module.parameters(), got one Tensor: write [t]")
    listed = list(params)
    for i, p in enumerate(listed):
        if not isinstance(p, Tensor):
            raise TypeError(f"params[{i}]: expected a Tensor, got {type(p).__name__}")
    return listed


def _hyperparameter(name: str, value: Any) -> Any:
    """Return a hyperparameter as a Python number, or a pair of them. TypeError or ValueError if it is out of range."""
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
