"""Modules: objects that own parameters and other modules, and the iteration over them.

A module is an ordinary object. The Parameters and Modules among its attributes belong to it, in the order in which they
were first assigned. There is no other registration. A module keeps parameters, never hidden states.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Self, TypeVar, overload

import numpy as np
import numpy.typing as npt

from minirnn.autograd import Tensor, devices

Array = Any


class Parameter(Tensor):
    """A Tensor that a module trains: it owns its array (a contiguous, writable copy of `data`) and requires grad.

    `data`: any argument of `Tensor` with a floating-point dtype; TypeError otherwise.
    """

    def __init__(self, data: Array, requires_grad: bool = True) -> None:
        super().__init__(_aligned_copy(Tensor(data).data), requires_grad=requires_grad)

    def __repr__(self) -> str:
        return f"Parameter({self.data!r})"


class LoadResult(NamedTuple):
    """The names that `load_state_dict` found on one side only; both lists are empty after a strict load."""

    missing_keys: list[str]
    unexpected_keys: list[str]


class Module:
    """Base of all modules: a subclass assigns Parameters and Modules to attributes and defines `forward`."""

    training: bool = True

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} does not define forward()")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.forward(*args, **kwargs)

    def __setattr__(self, name: str, value: Any) -> None:
        # `m.weight = m.weight * 2` would replace the parameter with the result of an operation, which is not trained.
        if isinstance(vars(self).get(name), Parameter) and not (value is None or isinstance(value, Parameter)):
            raise TypeError(
                f"{type(self).__name__}.{name} is a Parameter and can only be replaced by a Parameter or None, "
                f"got {type(value).__name__}; to change its values, write into {name}.data, then {name}.bump_version()"
            )
        super().__setattr__(name, value)

    # Iteration

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Return an iterator over (name, module) for each module directly in this one, each once."""
        return _once((name, value) for name, value in vars(self).items() if isinstance(value, Module))

    def children(self) -> Iterator[Module]:
        """Return an iterator over the modules directly in this one, each once."""
        return (child for _, child in self.named_children())

    def named_modules(self) -> Iterator[tuple[str, Module]]:
        """Return an iterator over (dotted name, module) for this module, named "", and all modules in it, each once.

        A module comes before the modules in it.
        """
        return _once(self._walk(""))

    def modules(self) -> Iterator[Module]:
        """Return an iterator over this module and all modules in it, each once."""
        return (module for _, module in self.named_modules())

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Return an iterator over (dotted name, parameter), each parameter once; a shared one has its first name."""
        return _once(self._all_parameters())

    def parameters(self) -> Iterator[Parameter]:
        """Return an iterator over the parameters of this module and of all modules in it, each once."""
        return (parameter for _, parameter in self.named_parameters())

    def _walk(self, prefix: str) -> Iterator[tuple[str, Module]]:
        yield prefix, self
        for name, value in list(vars(self).items()):
            if isinstance(value, Module):
                yield from value._walk(f"{prefix}.{name}" if prefix else name)

    def _all_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Yield every name of every parameter, in the order of a state dict: own parameters before children's."""
        for prefix, module in self._walk(""):
            for name, value in vars(module).items():
                if isinstance(value, Parameter):
                    yield (f"{prefix}.{name}" if prefix else name), value

    # State

    def state_dict(self) -> dict[str, npt.NDArray[Any]]:
        """Return a copy of each parameter's values by its dotted name, and a shared parameter under each of its names.

        The copies are NumPy arrays, even if the parameters are on a GPU.
        """
        return {name: devices.host(parameter.data).copy() for name, parameter in self._all_parameters()}

    def load_state_dict(self, state_dict: Mapping[str, Array], strict: bool = True) -> LoadResult:
        """Copy the arrays of `state_dict` into the parameters of the same names. On any error nothing is copied.

        The arrays are NumPy arrays; the values are moved to the device of the parameters.
        Raises ValueError with a list of all missing and unexpected names (with `strict=False` they are returned) and
        of all arrays whose shape or dtype differs from the parameter's; TypeError for a value that is not an array.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"state_dict: expected a mapping of names to arrays, got {type(state_dict).__name__}")
        own = dict(self._all_parameters())
        missing = [name for name in own if name not in state_dict]
        unexpected = [name for name in state_dict if name not in own]
        arrays = {name: _as_array(name, value).copy() for name, value in state_dict.items() if name in own}
        problems = [f"missing: {name}" for name in missing] + [f"unexpected: {name}" for name in unexpected]
        problems = problems if strict else []
        problems += [text for name, p in own.items() if name in arrays for text in _mismatches(name, p, arrays[name])]
        if problems:
            raise ValueError(f"state_dict does not fit {type(self).__name__}:\n  " + "\n  ".join(problems))
        for name, values in arrays.items():
            own[name].data[...] = devices.like(values, own[name].data)
            own[name].bump_version()
        return LoadResult(missing, unexpected)

    def zero_grad(self) -> None:
        """Set the `.grad` of every parameter to None."""
        for parameter in self.parameters():
            parameter.grad = None

    def train(self, mode: bool = True) -> Self:
        """Set `training` of this module and of every module in it: dropout is active while it is True."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Set `training` to False: `train(False)`."""
        return self.train(False)

    def to(self, dtype_or_device: npt.DTypeLike) -> Self:
        """Convert all parameters and gradients to float32 or float64, or move them to "cpu" or "cupy", in place.

        Create optimisers after this call. Raises TypeError for any other argument, and DeviceError if there is no CuPy
        or no GPU. If an error is raised, nothing is moved.
        """
        made: Callable[[Array], Array]
        if isinstance(dtype_or_device, str) and dtype_or_device in devices.DEVICES:
            device = dtype_or_device
            made = lambda data: _moved(data, device)
        else:
            wanted = float_dtype(dtype_or_device, "np.float32, np.float64, 'cpu' or 'cupy'")
            made = lambda data: data if data.dtype == wanted else data.astype(wanted)
        parameters = list(self.parameters())
        # All results are made before the first assignment, so that an error changes nothing.
        arrays = [(made(p.data), None if p.grad is None else made(p.grad)) for p in parameters]
        for parameter, (data, grad) in zip(parameters, arrays, strict=True):
            if data is not parameter.data:
                parameter.data, parameter.grad = data, grad
                parameter.bump_version()
        return self

    # Text

    def extra_repr(self) -> str:
        """Return the arguments to show in the module's repr."""
        return ""

    def __repr__(self) -> str:
        lines = [f"({name}): " + repr(child).replace("\n", "\n  ") for name, child in self.named_children()]
        if not lines:
            return f"{type(self).__name__}({self.extra_repr()})"
        if self.extra_repr():
            lines.insert(0, self.extra_repr())
        return f"{type(self).__name__}(\n  " + "\n  ".join(lines) + "\n)"


class _Numbered(Module):
    """Modules in order, under the names "0", "1", …"""

    def _put(self, index: int, module: Module) -> None:
        if not isinstance(module, Module):
            raise TypeError(f"{type(self).__name__}: expected a Module, got {type(module).__name__}")
        setattr(self, str(index), module)

    def _extend(self, modules: Iterable[Module]) -> Self:
        for module in modules:
            self._put(len(self), module)
        return self

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
        items = self._items()[index]
        return type(self)()._extend(items) if isinstance(items, list) else items


class ModuleList(_Numbered):
    """A list of modules whose parameters belong to it. It has no forward: iterate over it."""

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        self._extend(modules)

    def append(self, module: Module) -> Self:
        """Add a module at the end."""
        return self._extend([module])

    def extend(self, modules: Iterable[Module]) -> Self:
        """Add modules at the end."""
        return self._extend(modules)

    def __setitem__(self, index: int, module: Module) -> None:
        self._put(range(len(self))[index], module)


class Sequential(_Numbered):
    """Modules applied one after another: the result of each is the argument of the next."""

    def __init__(self, *modules: Module) -> None:
        self._extend(modules)

    def forward(self, x: Any) -> Any:
        for module in self:
            x = module(x)
        return x


Named = TypeVar("Named")


def _once(pairs: Iterable[tuple[str, Named]]) -> Iterator[tuple[str, Named]]:
    """Yield each pair of a name and an object, without the objects that were already yielded."""
    seen: set[int] = set()
    for name, value in pairs:
        if id(value) not in seen:
            seen.add(id(value))
            yield name, value


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


def _mismatches(name: str, own: Tensor, given: npt.NDArray[Any]) -> list[str]:
    """Return the reasons why an array does not fit a parameter: one text for its shape and one for its dtype."""
    shape = f"{name}: shape {given.shape}, expected {own.shape}"
    dtype = f"{name}: dtype {given.dtype}, expected {own.dtype} (convert the arrays, or the module with .to())"
    return [shape] * (given.shape != own.shape) + [dtype] * (given.dtype != own.dtype)


def float_dtype(dtype: Any, expected: str = "np.float32 or np.float64") -> np.dtype[Any]:
    """Return float32 or float64 as a dtype. Raise TypeError for any other argument."""
    try:
        wanted = np.dtype("O" if dtype is None else dtype)
    except TypeError:
        wanted = np.dtype("O")
    if wanted not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise TypeError(f"dtype: expected {expected}, got {dtype!r}")
    return wanted


def _aligned_copy(array: Array) -> Array:
    """Return a contiguous copy whose address is a multiple of 64 bytes, so that no vector spans two cache lines."""
    if type(array) is not np.ndarray:
        return array.copy(order="C")
    room = np.empty(array.nbytes + 64, np.uint8)
    start = -room.ctypes.data % 64
    copy = room[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy
