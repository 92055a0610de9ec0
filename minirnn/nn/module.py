"""Modules: objects that own parameters and other modules, and the walk over them.

A module is an ordinary object. Whatever Parameters and Modules are among its attributes belong to it, in the order in
which they were first assigned; nothing else is registered anywhere. A module keeps parameters, never hidden states.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Self, overload

import numpy as np
import numpy.typing as npt

from minirnn.autograd import Tensor, devices

Array = Any


class Parameter(Tensor):
    """A Tensor that a module trains: it owns its array (a contiguous, writable copy of `data`) and requires grad.

    `data`: what `Tensor` takes, of a floating dtype; TypeError otherwise.
    """

    def __init__(self, data: Array, requires_grad: bool = True) -> None:
        super().__init__(_aligned_copy(Tensor(data).data), requires_grad=requires_grad)

    def __repr__(self) -> str:
        return f"Parameter({self.data!r})"


class LoadResult(NamedTuple):
    """What `load_state_dict` could not pair up; both empty after a strict load."""

    missing_keys: list[str]
    unexpected_keys: list[str]


class Module:
    """Base of all that has parameters: a subclass assigns Parameters and Modules to attributes, and has a `forward`."""

    training: bool = True

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} does not define forward()")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.forward(*args, **kwargs)

    def __setattr__(self, name: str, value: Any) -> None:
        # `m.weight = m.weight * 2` would put a node of a graph in the parameter's place, and nothing would train it.
        if isinstance(vars(self).get(name), Parameter) and not (value is None or isinstance(value, Parameter)):
            raise TypeError(
                f"{type(self).__name__}.{name} is a Parameter and can only be replaced by a Parameter or None, "
                f"got {type(value).__name__}; to change its values, write into {name}.data, then {name}.bump_version()"
            )
        super().__setattr__(name, value)

    # The walk

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """(name, module) for each module directly inside this one, each once."""
        seen: set[int] = set()
        for name, value in vars(self).items():
            if isinstance(value, Module) and id(value) not in seen:
                seen.add(id(value))
                yield name, value

    def children(self) -> Iterator[Module]:
        return (child for _, child in self.named_children())

    def named_modules(self) -> Iterator[tuple[str, Module]]:
        """(dotted name, module) for this module (its name is "") and all inside it, each once, outermost first."""
        seen: set[int] = set()
        for name, module in self._walk(""):
            if id(module) not in seen:
                seen.add(id(module))
                yield name, module

    def modules(self) -> Iterator[Module]:
        return (module for _, module in self.named_modules())

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """(dotted name, parameter), each parameter once: a shared one under the first of its names."""
        seen: set[int] = set()
        for name, parameter in self._all_parameters():
            if id(parameter) not in seen:
                seen.add(id(parameter))
                yield name, parameter

    def parameters(self) -> Iterator[Parameter]:
        return (parameter for _, parameter in self.named_parameters())

    def _walk(self, prefix: str) -> Iterator[tuple[str, Module]]:
        yield prefix, self
        for name, value in list(vars(self).items()):
            if isinstance(value, Module):
                yield from value._walk(f"{prefix}.{name}" if prefix else name)

    def _all_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Every name of every parameter, as a state dict has them: own parameters before those of modules inside."""
        for prefix, module in self._walk(""):
            for name, value in vars(module).items():
                if isinstance(value, Parameter):
                    yield (f"{prefix}.{name}" if prefix else name), value

    # State

    def state_dict(self) -> dict[str, npt.NDArray[Any]]:
        """A copy of every parameter's values under its dotted name; a shared parameter under each of its names.

        The copies are NumPy's arrays wherever the parameters are.
        """
        return {name: _host_copy(parameter.data) for name, parameter in self._all_parameters()}

    def load_state_dict(self, state_dict: Mapping[str, Array], strict: bool = True) -> LoadResult:
        """Copy the arrays of `state_dict` into the parameters of the same names, all of them or, on any error, none.

        The arrays are NumPy's; the values go to where the parameters are.
        Raises ValueError that lists every missing and unexpected name (not with `strict=False`, which returns them) and
        every array whose shape or dtype differs from its parameter's; TypeError for what isn't an array.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"state_dict: expected a mapping of names to arrays, got {type(state_dict).__name__}")
        own = dict(self._all_parameters())
        missing = [name for name in own if name not in state_dict]
        unexpected = [name for name in state_dict if name not in own]
        pairs = [(own[name], _as_array(name, value).copy()) for name, value in state_dict.items() if name in own]
        problems = [f"missing: {name}" for name in missing] if strict else []
        problems += [f"unexpected: {name}" for name in unexpected] if strict else []
        for name, parameter in own.items():
            if name in state_dict:
                problems += _mismatches(name, parameter.data, _as_array(name, state_dict[name]))
        if problems:
            raise ValueError(f"state_dict does not fit {type(self).__name__}:\n  " + "\n  ".join(problems))
        for parameter, values in pairs:
            parameter.data[...] = devices.like(values, parameter.data)
            parameter.bump_version()
        return LoadResult(missing, unexpected)

    def zero_grad(self) -> None:
        """Set the `.grad` of every parameter to None."""
        for parameter in self.parameters():
            parameter.grad = None

    def train(self, mode: bool = True) -> Self:
        """Set `training` here and in every module inside: dropout is active while it is True."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        return self.train(False)

    def to(self, dtype_or_device: npt.DTypeLike) -> Self:
        """Convert every parameter, and its gradient, to float32 or float64, or move them to "cpu" or "cupy", in place.

        An optimiser made before must be made anew. TypeError for anything else; DeviceError where there is no CuPy or
        no GPU, and then nothing is moved.
        """
        made: Callable[[Array], Array]
        if isinstance(dtype_or_device, str) and dtype_or_device in devices.DEVICES:
            device = dtype_or_device
            made = lambda data: _moved(data, device)
        else:
            wanted = float_dtype(dtype_or_device, "np.float32, np.float64, 'cpu' or 'cupy'")
            made = lambda data: data if data.dtype == wanted else data.astype(wanted)
        parameters = list(self.parameters())
        arrays = [(made(p.data), None if p.grad is None else made(p.grad)) for p in parameters]  # all, or none
        for parameter, (data, grad) in zip(parameters, arrays, strict=True):
            if data is not parameter.data:
                parameter.data, parameter.grad = data, grad
                parameter.bump_version()
        return self

    # Text

    def extra_repr(self) -> str:
        """The arguments to show in the module's repr."""
        return ""

    def __repr__(self) -> str:
        lines = [f"({name}): " + repr(child).replace("\n", "\n  ") for name, child in self.named_children()]
        if not lines:
            return f"{type(self).__name__}({self.extra_repr()})"
        if self.extra_repr():
            lines.insert(0, self.extra_repr())
        return f"{type(self).__name__}(\n  " + "\n  ".join(lines) + "\n)"


class _Numbered(Module):
    """Modules kept in order under the names "0", "1", …"""

    def _append(self, module: Module) -> None:
        if not isinstance(module, Module):
            raise TypeError(f"{type(self).__name__}: expected a Module, got {type(module).__name__}")
        setattr(self, str(len(self)), module)

    def _items(self) -> list[Module]:
        return [value for name, value in vars(self).items() if name.isdecimal() and isinstance(value, Module)]

    def __len__(self) -> int:
        return len(self._items())

    def __iter__(self) -> Iterator[Module]:
        return iter(self._items())

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> Self: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            part = type(self)()
            for module in self._items()[index]:
                part._append(module)
            return part
        return self._items()[index]


class ModuleList(_Numbered):
    """A list of modules whose parameters count as its own. It has no forward: loop over it."""

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        self.extend(modules)

    def append(self, module: Module) -> Self:
        self._append(module)
        return self

    def extend(self, modules: Iterable[Module]) -> Self:
        for module in modules:
            self._append(module)
        return self

    def __setitem__(self, index: int, module: Module) -> None:
        if not isinstance(module, Module):
            raise TypeError(f"ModuleList: expected a Module, got {type(module).__name__}")
        setattr(self, str(range(len(self))[index]), module)


class Sequential(_Numbered):
    """Modules applied one after the other: each is called with what the one before returned."""

    def __init__(self, *modules: Module) -> None:
        for module in modules:
            self._append(module)

    def forward(self, x: Any) -> Any:
        for module in self:
            x = module(x)
        return x


def _as_array(name: str, value: Any) -> npt.NDArray[Any]:
    value = value.data if isinstance(value, Tensor) else value
    if not isinstance(value, np.ndarray):
        kind = type(value).__name__ if devices.device_of(value) == "cpu" else "one on a GPU"
        raise TypeError(f"state_dict[{name!r}]: expected a NumPy array, got {kind}")
    return value


def _moved(data: Array, device: str) -> Array:
    if devices.device_of(data) == device:
        return data
    return _aligned_copy(devices.host(data)) if device == "cpu" else devices.to(data, device)


def _host_copy(data: Array) -> npt.NDArray[Any]:
    return data.copy() if isinstance(data, np.ndarray) else devices.host(data)


def _mismatches(name: str, own: npt.NDArray[Any], given: npt.NDArray[Any]) -> list[str]:
    found = []
    if given.shape != own.shape:
        found.append(f"{name}: shape {given.shape}, expected {own.shape}")
    if given.dtype != own.dtype:
        found.append(
            f"{name}: dtype {given.dtype}, expected {own.dtype} (convert the arrays, or the module with .to())"
        )
    return found


def float_dtype(dtype: Any, expected: str = "np.float32 or np.float64") -> np.dtype[Any]:
    """float32 or float64 as a dtype; whatever else came is an error that says so."""
    try:
        wanted = np.dtype("O" if dtype is None else dtype)
    except TypeError:
        wanted = np.dtype("O")
    if wanted not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise TypeError(f"dtype: expected {expected}, got {dtype!r}")
    return wanted


def _aligned_copy(array: Array) -> Array:
    """A contiguous copy that begins at a multiple of 64 bytes, a cache line: no vector of weights lies across two."""
    if type(array) is not np.ndarray:
        return array.copy(order="C")
    room = np.empty(array.nbytes + 64, np.uint8)
    start = -room.ctypes.data % 64
    copy = room[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy
