"""nn.RNN, nn.LSTM and nn.GRU on the GPU agree with PyTorch on cuDNN: outputs, final states and every gradient."""

import itertools

import numpy as np
import pytest

import minirnn
from minirnn import Tensor, grad, nn
from tests.nn.test_recurrent import KINDS, make

# relative to the norm of a result: sums have up to a few thousand terms, and both sides have errors
ALLOWED = {"float64": 1e-12, "float32": 1e-5}

# T, B, I, H
SIZES = ((1, 1, 1, 1), (7, 5, 6, 12), (20, 33, 17, 130), (30, 16, 64, 256), (12, 40, 24, 520))


def bits(number, count):
    return tuple(bool(number >> k & 1) for k in range(count))


GRID = [
    (kind, size, dtype, layers, *bits(k + number, 4))
    for number, (kind, size, dtype, layers) in enumerate(itertools.product(KINDS, SIZES, ALLOWED, (1, 2)))
    for k in (0, 5, 10, 15)  # every combination of pairs of options
]


@pytest.mark.parametrize("combination", GRID)
def test_equal(gpu, torch, combination):
    kind, (T, B, I, H), dtype, layers, bidirectional, bias, with_state, with_lengths = combination
    options = {"bidirectional": bidirectional, "bias": bias}
    theirs = make(torch.nn, kind, I, H, layers, dtype=getattr(torch, dtype), device="cuda", **options)
    ours = make(nn, kind, I, H, layers, dtype=getattr(np, dtype), **options)
    ours.load_state_dict({name: p.detach().cpu().numpy() for name, p in theirs.named_parameters()})
    ours.to("cupy")
    rng = np.random.default_rng(T + B + I + H)
    states, count = 2 if kind == "lstm" else 1, layers * (1 + bidirectional)
    draw = lambda *shape: rng.uniform(-1, 1, shape).astype(dtype)
    x, initial = draw(T, B, I), [draw(count, B, H) for _ in range(states)] if with_state else []
    lengths = rng.integers(1, T + 1, B) if with_lengths else None
    upstream = [draw(T, B, H * (1 + bidirectional)), *(draw(count, B, H) for _ in range(states))]
    if lengths is not None:
        upstream[0][np.arange(T)[:, None] >= lengths] = 0

    leaves = [Tensor(gpu.to_device(a), requires_grad=True) for a in (x, *initial)]
    state = None if not initial else tuple(leaves[1:]) if states == 2 else leaves[1]
    with minirnn.kernels("cupy"):
        out, final = ours(leaves[0], state, lengths=lengths)
        results = [out, *(final if states == 2 else (final,))]
        grads = grad(results, [*leaves, *ours.parameters()], [gpu.to_device(u) for u in upstream])

    torch_leaves = [torch.tensor(a, device="cuda", requires_grad=True) for a in (x, *initial)]
    torch_state = None if not initial else tuple(torch_leaves[1:]) if states == 2 else torch_leaves[1]
    fed = torch_leaves[0]
    if lengths is not None:
        fed = torch.nn.utils.rnn.pack_padded_sequence(fed, torch.tensor(lengths), enforce_sorted=False)
    torch_out, torch_final = theirs(fed, torch_state)
    if lengths is not None:
        torch_out, _ = torch.nn.utils.rnn.pad_packed_sequence(torch_out, total_length=T)
    torch_results = [torch_out, *(torch_final if states == 2 else (torch_final,))]
    given = [torch.tensor(u, device="cuda") for u in upstream]
    torch_grads = torch.autograd.grad(torch_results, [*torch_leaves, *theirs.parameters()], given)

    names = ["out", "h_n", "c_n"][: 1 + states] + ["dx", "dh0", "dc0"][: len(leaves)]
    names += [f"d{name}" for name, _ in theirs.named_parameters()]
    for name, a, b in zip(names, [*results, *grads], [*torch_results, *torch_grads], strict=True):
        got, expected = gpu.to_host(a.data), b.detach().cpu().numpy()
        assert got.shape == expected.shape, name
        assert got.dtype == expected.dtype, name
        off = np.linalg.norm(got - expected) / max(np.linalg.norm(expected), 1e-30)
        assert off <= ALLOWED[dtype], f"{name}: off by {off:.2g} of its norm"
