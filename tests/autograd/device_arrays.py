"""Arrays and modules on the simulated GPU, and their comparison with the host: results must be bitwise equal."""

import numpy as np

import minirnn
from minirnn import Tensor
from minirnn.autograd import devices
from tests.doubles.strict_array import StrictArray


def rng(seed=0):
    return np.random.default_rng(seed)


def normal(*shape, dtype=np.float32):
    return rng(sum(shape)).normal(size=shape).astype(dtype)


def there(array):
    return devices.to(array, "cupy")


def same(host, device):
    """Assert that `device` is an array on the GPU that is bitwise equal to `host` and has its dtype."""
    assert type(device) is StrictArray
    assert device.dtype == host.dtype
    np.testing.assert_array_equal(device.host, host)


def twins(build):
    """Return the same module on the host and on the GPU."""
    minirnn.manual_seed(3)
    host = build()
    minirnn.manual_seed(3)
    return host, build().to("cupy")


def compare(host, device, call, *arrays):
    """Assert that the results of call(module, *tensors) and all gradients are bitwise equal on both devices."""
    with minirnn.kernels("numpy"):
        expected = results(host, call, arrays)
    for a, b in zip(expected, results(device, call, map(there, arrays)), strict=True):
        same(a, b)


def results(module, call, arrays):
    xs = [Tensor(a, requires_grad=True) for a in arrays]
    minirnn.manual_seed(7)
    ys = call(module, *xs)
    sum((y * y).sum() for y in ys).backward()
    return [y.data for y in ys] + [p.grad for p in module.parameters()] + [x.grad for x in xs]
