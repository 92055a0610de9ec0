"""The GPU of the tests, and a device whose launches are altered: random waits in the kernels, or fewer polls.

CuPy is imported only inside functions, so that every file of this folder can be imported on any machine.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from minirnn_kernels.cuda.device import Kernel
from minirnn_kernels.cuda.plans import PassPlan, Work, plans

WAYS = ("1", "2", "block", "cluster 2", "cluster 4", "cluster 8", "grid")


@dataclass(frozen=True)
class Gpu:
    """A device (see minirnn_kernels/cuda/device.py), and functions that copy arrays to it and back."""

    device: Any
    to_device: Callable[[Any], Any]
    to_host: Callable[[Any], Any]
    wait: Callable[[], Any]
    another: Callable[[], Any]  # returns a new device object of the same GPU, which has compiled nothing yet

    @classmethod
    def of_cupy(cls) -> Gpu:
        import cupy

        from minirnn_kernels.cuda.cupy_device import CupyDevice

        return cls(CupyDevice(), cupy.asarray, cupy.asnumpy, cupy.cuda.runtime.deviceSynchronize, CupyDevice)

    @property
    def architecture(self) -> int:
        return int(self.device.properties.architecture)


def narrowed(way: str) -> dict[str, Any]:
    """Return a way to run a pass, by its name in `plans`, as arguments of `sequences.kernels`."""
    return {"level": int(way)} if way in ("1", "2") else {"level": 3, "team": way}


def runs(device: Any, way: str, work: Work) -> bool:
    """Return whether the device can run a pass this way, with all blocks at once if they wait for each other."""
    plan = plans(work, device.properties)[way]
    if not isinstance(plan, PassPlan):
        return False
    if not plan.cooperative:
        return True
    return bool(device.blocks_at_once(plan.kernel(work)) >= plan.blocks)


class Altered:
    """A device that launches kernels with random waits and with a different limit of polls."""

    def __init__(self, device: Any, jitter: bool = True, spin_limit: int | None = None) -> None:
        self._device, self._jitter, self._spin_limit = device, jitter, spin_limit

    def __getattr__(self, name: str) -> Any:
        return getattr(self._device, name)

    def launch(self, kernel: Kernel, *args: Any, **options: Any) -> None:
        self._device.launch(self._altered(kernel), *args, **options)

    def blocks_at_once(self, kernel: Kernel) -> int:
        return int(self._device.blocks_at_once(self._altered(kernel)))

    def _altered(self, kernel: Kernel) -> Kernel:
        return replace(kernel, configuration=replace(kernel.configuration, jitter=self._jitter))

    def record(self, values: Any, into: Any = None) -> Any:
        if self._spin_limit is not None:
            values = np.array(values)
            values["spin_limit"] = self._spin_limit
        return self._device.record(values, into)


def mute(source: Callable[[str], str]) -> Callable[[str], str]:
    """Return `source.text` without one line: no block of a grid announces that it has done a tile."""

    def spoilt(name: str) -> str:
        text, count = re.subn(r"[^;{}]*store_release\(pass\.flags[^;]*;", "", source(name))
        assert count == (name == "sequence"), f"{name}: {count} places where a block announces a step"
        return text

    return spoilt
