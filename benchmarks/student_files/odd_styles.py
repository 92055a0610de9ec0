"""Files that are right, however odd: none may be called wrong. Each is text, with the task that it solves."""

from __future__ import annotations

from student_files import mutants

STYLES: dict[str, tuple[str, str]] = {}  # name -> (task, source)


def add(name: str, task: str, source: str) -> None:
    STYLES[name] = (task, source)


def edit(name: str, style: str, cell: str, *edits: tuple[str, str], before: str = "") -> None:
    text = mutants.edited(style, cell, list(edits))
    add(name, cell, text.replace("import numpy as np\n", "import numpy as np\n" + before, 1))


for style in mutants.STYLES:
    for cell in mutants.CELLS:
        add(f"{style} {cell}", cell, mutants.source(style))

edit("results in Fortran order", "fused", "lstm", ("return dx, dh0, dWx, dWh, db\n", "return tuple(np.asfortranarray(v) for v in (dx, dh0, dWx, dWh, db))\n"))
edit("results that are views", "fused", "lstm", ("return dx, dh0, dWx, dWh, db\n", "return np.repeat(dx, 2, axis=2)[:, :, ::2], dh0[::-1][::-1], np.vstack([dWx, dWh])[: len(dWx)], np.vstack([dWx, dWh])[len(dWx):], db\n"))
edit("in place on own copies", "fused", "lstm", ("    dx = np.zeros((N, T, x.shape[1]))\n", "    dx = np.zeros((N, T, x.shape[1]))\n    dh = dh.copy()\n"),
     ("dh[:, t] + dprev_h, dprev_c", "dh[:, t], dprev_c"), ("        dx[:, t], dprev_h, dprev_c", "        dh[:, t] += dprev_h\n        dx[:, t], dprev_h, dprev_c"))
edit("prints", "separate", "lstm", ("    dx = np.zeros((N, T, D))\n", "    dx = np.zeros((N, T, D))\n    print('backward', dh.shape, '{' * 50, '\\x00')\n"))
edit("warns", "separate", "gru", ("    dx = np.zeros((N, T, D))\n", "    dx = np.zeros((N, T, D))\n    import warnings\n    warnings.warn('slow')\n    np.log(np.zeros(1))\n"))
edit("seeds the global generator", "stacked", "rnn", ("    past, tape = h0, []\n", "    past, tape = h0, []\n    np.random.seed(0)\n    np.random.random(3)\n"))
edit("clips far away", "stacked", "lstm", ("flow, dW[:D], dW[D:], db", "np.clip(flow, -1e9, 1e9), dW[:D], dW[D:], db"))
edit("uses its cache up", "fused", "gru", ("gru_step_backward(dh[:, t] + dprev_h, cache[t])", "gru_step_backward(dh[:, t] + dprev_h, cache.pop())"))
edit("long doubles inside", "separate", "rnn", ("dx = np.zeros(x.shape)", "dh = dh.astype(np.longdouble)\n    dx = np.zeros(x.shape)"))
edit("read-only caches", "stacked", "lstm", ("        tape.append(s)\n", "        for v in s.values():\n            v.setflags(write=False)\n        tape.append(s)\n"), ("        s[\"old\"] = cell\n", "        s[\"old\"] = cell.copy()\n"), ("        z = np.hstack([xt, past])\n", "        z = np.hstack([xt, past])\n        past = past.copy()\n"))
edit("lists as results", "separate", "lstm", ("return dx, dh_next, dWx, dWh, db", "return [dx.tolist(), dh_next, dWx, dWh, db]"))
edit("negative zeros and where", "fused", "rnn", ("dnext_h * (1 - next_h ** 2)", "np.where(dnext_h == 0, -0.0, dnext_h) * (1 - next_h) * (1 + next_h)"))
edit("tensordot", "fused", "gru", ("x.T.dot(dax)", "np.tensordot(x, dax, axes=(0, 0))"), ("prev_h.T.dot(dah)", "np.tensordot(prev_h, dah, axes=(0, 0))"))
edit("weights after the loop", "separate", "rnn", ("        dWx += x[:, t].T @ zh\n", "        Z = np.zeros((N, T, H)) if t == T - 1 else Z\n        Z[:, t] = zh\n"), ("    return dx, dh_next", "    dWx = np.einsum('ntd,nth->dh', x, Z)\n    return dx, dh_next"))
edit("a decorator and keywords", "fused", "lstm", ("def lstm_backward(dh, cache):", "@quiet\ndef lstm_backward(dh, cache=None, *, verbose=False):"),
     before="import functools\n\n\ndef quiet(f):\n    @functools.wraps(f)\n    def wrapped(*args, **kwargs):\n        return f(*args, **kwargs)\n    return wrapped\n")

LOOPS = '''
import math
import numpy as np

def rnn_forward(x, h0, Wx, Wh, b):
    N, T, D = x.shape; H = len(b)
    h = np.zeros((N, T, H))
    for n in range(N):
        for t in range(T):
            for j in range(H):
                a = float(b[j])
                for k in range(D): a += x[n, t, k] * Wx[k, j]
                for k in range(H): a += (h[n, t - 1, k] if t else h0[n, k]) * Wh[k, j]
                h[n, t, j] = math.tanh(a)
    return h, (x, h0, Wx, Wh, h)

def rnn_backward(dh, cache):
    x, h0, Wx, Wh, h = cache
    dx, dh0, dWx, dWh = (np.zeros_like(v) for v in (x, h0, Wx, Wh))
    db = np.zeros(len(Wh))
    for n in range(len(x)):
        carry = np.zeros(len(Wh))
        for t in range(x.shape[1] - 1, -1, -1):
            d = (dh[n, t] + carry) * (1 - h[n, t] * h[n, t])
            dx[n, t] = Wx @ d
            carry = Wh @ d
            dWx += np.outer(x[n, t], d)
            dWh += np.outer(h[n, t - 1] if t else h0[n], d)
            db += d
        dh0[n] = carry
    return dx, dh0, dWx, dWh, db
'''
add("loops over samples and units", "rnn", LOOPS)

RECURSION = '''
import numpy as np
def rnn_forward(x, h0, Wx, Wh, b):
    def go(t):
        if t < 0: return [h0]
        past = go(t - 1)
        return past + [np.tanh(x[:, t] @ Wx + past[-1] @ Wh + b)]
    hs = go(x.shape[1] - 1)
    return np.stack(hs[1:], 1), (x, hs, Wx, Wh)
def rnn_backward(dh, cache):
    x, hs, Wx, Wh = cache
    def go(t):
        """-> gradient into h_t from later steps, dx so far, sums"""
        if t == x.shape[1]: return 0, [], 0, 0, 0
        flow, dxs, a, b, c = go(t + 1)
        d = (dh[:, t] + flow) * (1 - hs[t + 1] ** 2)
        return d @ Wh.T, [d @ Wx.T] + dxs, a + x[:, t].T @ d, b + hs[t].T @ d, c + d.sum(0)
    flow, dxs, a, b, c = go(0)
    return np.stack(dxs, 1), flow, a, b, c
'''
add("recursion", "rnn", RECURSION)

CLASS = '''
import numpy as np
from dataclasses import dataclass
class Layer:
    def __init__(self): self.reset()
    def reset(self): self.dWx = self.dWh = self.db = 0; self.steps = []
    def forward(self, x, h0, Wx, Wh, b):
        self.reset(); self.Wx, self.Wh = Wx, Wh; h = h0; out = []
        for t in range(x.shape[1]):
            new = np.tanh(x[:, t] @ Wx + h @ Wh + b); self.steps.append((x[:, t], h, new)); h = new; out.append(h)
        return np.stack(out, 1)
    def backward(self, dh):
        self.dWx = self.dWh = self.db = 0
        flow = 0; dx = []
        for t in reversed(range(len(self.steps))):
            x, h, new = self.steps[t]; d = (dh[:, t] + flow) * (1 - new ** 2)
            self.dWx = self.dWx + x.T @ d; self.dWh = self.dWh + h.T @ d; self.db = self.db + d.sum(0)
            flow = d @ self.Wh.T; dx.insert(0, d @ self.Wx.T)
        return np.stack(dx, 1), flow, self.dWx, self.dWh, self.db
layer = Layer()
def rnn_forward(*args): return layer.forward(*args), layer
def rnn_backward(dh, cache): return cache.backward(dh)
'''
add("a global class that resets its state", "rnn", CLASS)

CLOSURE = '''
import numpy as np
def rnn_forward(x, h0, Wx, Wh, b):
    hs = [h0]
    for t in range(x.shape[1]): hs.append(np.tanh(x[:, t] @ Wx + hs[-1] @ Wh + b))
    def backward(dh):
        flow = np.zeros_like(h0); D = np.zeros_like(dh)
        for t in reversed(range(x.shape[1])):
            D[:, t] = (dh[:, t] + flow) * (1 - hs[t + 1] ** 2); flow = D[:, t] @ Wh.T
        H = np.stack(hs[:-1], 1)
        return D @ Wx.T, flow, np.einsum("ntd,nth->dh", x, D), np.einsum("ntk,nth->kh", H, D), D.sum((0, 1))
    return np.stack(hs[1:], 1), backward
def rnn_backward(dh, cache): return cache(dh)
'''
add("the cache is a closure", "rnn", CLOSURE)

COMPLEX = '''
import numpy as np
def forward(x, h0, Wx, Wh, b):
    h, out = h0, []
    for t in range(x.shape[1]):
        h = np.tanh(x[:, t] @ Wx + h @ Wh + b); out.append(h)
    return np.stack(out, 1)
def rnn_forward(*args): return forward(*args), args
def rnn_backward(dh, args):
    results = []
    for k, v in enumerate(args):
        g = np.zeros_like(v)
        for i in np.ndindex(v.shape):
            z = v.astype(complex); z[i] += 1e-30j
            g[i] = np.sum(dh * forward(*args[:k], z, *args[k + 1:]).imag) / 1e-30
        results.append(g)
    return tuple(results)
'''
add("the complex step itself", "rnn", COMPLEX)

RECOMPUTE = '''
import numpy as np
from collections import namedtuple
Cache = namedtuple("Cache", "x h0 Wx Wh b")
s = lambda v: 1 / (1 + np.exp(-v))
def run(c):
    H = c.h0.shape[1]; h, m, kept = c.h0, 0 * c.h0, []
    for t in range(c.x.shape[1]):
        a = c.x[:, t] @ c.Wx + h @ c.Wh + c.b
        i, f, o, g = s(a[:, :H]), s(a[:, H:2*H]), s(a[:, 2*H:3*H]), np.tanh(a[:, 3*H:])
        new = f * m + i * g; kept.append((h, m, i, f, o, g, np.tanh(new))); m = new; h = o * np.tanh(new)
        yield h, kept[-1]
def lstm_forward(x, h0, Wx, Wh, b):
    c = Cache(x, h0, Wx, Wh, b); return np.stack([h for h, _ in run(c)], 1), c
def lstm_backward(dh, c):
    kept = [k for _, k in run(c)]; fh = fm = 0; dx, W1, W2, B = [], [], [], []
    for t in range(len(kept))[::-1]:
        h, m, i, f, o, g, tm = kept[t]; d = dh[:, t] + fh; e = d * o * (1 - tm ** 2) + fm
        z = np.concatenate((e * g * i * (1 - i), e * m * f * (1 - f), d * tm * o * (1 - o), e * i * (1 - g ** 2)), 1)
        fm = e * f; fh = z @ c.Wh.T; dx.append(z @ c.Wx.T); W1.append(c.x[:, t].T @ z); W2.append(h.T @ z); B.append(z.sum(0))
    return np.stack(dx[::-1], 1), fh, sum(W1), sum(W2), sum(B)
'''
add("forward again in backward, named tuples", "lstm", RECOMPUTE)

MATRIX = '''
import numpy as np
class Node:
    __slots__ = ("x", "p", "n")
    def __init__(self, x, p, n): self.x, self.p, self.n = x, p, n
def rnn_step_forward(x, prev_h, Wx, Wh, b):
    n = np.sinh(u := x @ Wx + prev_h @ Wh + b) / np.cosh(u)
    return n, dict(node=Node(x, prev_h, n), W=[Wx, Wh])
def rnn_step_backward(dnext_h, cache):
    v = cache["node"]; d = dnext_h / np.cosh(np.arctanh(v.n)) ** 2
    both = np.hstack([v.x, v.p]).T @ d; back = d @ np.vstack(cache["W"]).T; k = v.x.shape[1]
    return back[:, :k], back[:, k:], both[:k], both[k:], np.ones(len(d)) @ d
'''
add("slots, sinh over cosh", "rnn_step", MATRIX)

STEP = '''
import numpy as np
def sig(x): return np.exp(-np.logaddexp(0, -x))
def lstm_step_forward(x, prev_h, prev_c, Wx, Wh, b):
    a = (x @ Wx + prev_h @ Wh + b).T.copy().T
    i, f, o, g = np.array_split(a, 4, -1); i, f, o = map(sig, (i, f, o)); g = np.tanh(g)
    c = f * prev_c; c += i * g
    return o * np.tanh(c), c, locals()
def lstm_step_backward(dnext_h, dnext_c, cache):
    L = cache; i, f, o, g, c = (L[k] for k in "ifogc")
    t = np.tanh(c); dc = np.array(dnext_c, copy=True); dc += dnext_h * o * (1 - t * t)
    d = np.empty((len(dc), 4, dc.shape[1])); d[:, 0] = dc * g * i * (1 - i); d[:, 1] = dc * L["prev_c"] * f * (1 - f)
    d[:, 2] = dnext_h * t * o * (1 - o); d[:, 3] = dc * i * (1 - g * g); d = d.reshape(len(dc), -1)
    return d @ L["Wx"].T, d @ L["Wh"].T, dc * f, L["x"].T @ d, L["prev_h"].T @ d, d.sum(0)
'''
add("locals() as the cache", "lstm_step", STEP)

EMBED = '''
import numpy as np
def word_embedding_forward(x, W): return np.eye(len(W))[x] @ W, (x, W.shape)
def word_embedding_backward(dout, cache):
    x, shape = cache
    return np.eye(shape[0])[x].reshape(-1, shape[0]).T @ dout.reshape(-1, shape[1])
'''
add("embedding by one-hot products", "word_embedding", EMBED)

LOSS = '''
import numpy as np
def temporal_softmax_loss(x, y, mask, verbose=False):
    N, T, V = x.shape
    z = x.reshape(N * T, V); m = mask.reshape(-1)
    logp = z - z.max(1, keepdims=True); logp = logp - np.log(np.exp(logp).sum(1, keepdims=True))
    d = np.exp(logp); d[np.arange(N * T), y.ravel()] -= 1; d /= N; d *= m[:, None]
    return -np.sum(m * logp[np.arange(N * T), y.ravel()]) / N, d.reshape(N, T, V)
'''
add("the loss, flattened", "temporal_softmax_loss", LOSS)

ATTEND = '''
import numpy as np
def attention_forward(query, keys, values, mask):
    out, caches = [], []
    for q, k, v, m in zip(query, keys, values, mask):
        e = np.exp(k @ q / len(q) ** 0.5) * m; a = e / e.sum(); out.append(a @ v); caches.append((q, k, v, a))
    return np.array(out), caches
def attention_backward(dout, caches):
    rows = []
    for d, (q, k, v, a) in zip(dout, caches):
        J = np.diag(a) - np.outer(a, a); s = J @ (v @ d) / len(q) ** 0.5
        rows.append((s @ k, np.outer(s, q), np.outer(a, d)))
    return tuple(np.array(part) for part in zip(*rows))
'''
add("attention, sample by sample", "attention", ATTEND)

SINGLE: dict[str, tuple[str, str]] = {}  # float32 inside: to be noticed, and told
for style, cell, old, new in (
    ("fused", "rnn", "    a = x.dot(Wx) + prev_h.dot(Wh) + b\n", "    x, prev_h, Wx, Wh, b = (v.astype(np.float32) for v in (x, prev_h, Wx, Wh, b))\n    a = x.dot(Wx) + prev_h.dot(Wh) + b\n"),
    ("separate", "lstm", "    hs = np.zeros((T + 1, N, H))\n", "    hs = np.zeros((T + 1, N, H), dtype=np.float32)\n"),
    ("stacked", "gru", "    up = dh.transpose(1, 0, 2)\n", "    up = dh.transpose(1, 0, 2).astype(np.float32)\n"),
    ("separate", "rnn", "        zh = dht * (1 - h * h)\n", "        zh = (dht * (1 - h * h)).astype(np.float32)\n"),
    ("stacked", "lstm", "        du = du.reshape(N, 4 * H)\n", "        du = du.reshape(N, 4 * H).astype('f4')\n"),
):  # fmt: skip
    SINGLE[f"float32 {style} {cell}"] = (cell, mutants.edited(style, cell, [(old, new)]))
