"""The model answers: every function of every assignment, as plainly as possible.

`gallery.py` makes each of its specimens by changing one thing in this file. Each expression that people get wrong is
therefore on its own line. The order of the gates is i, f, o, g in the LSTM and r, z, n in the GRU. The derivations are
in `minirnn_kernels.gates`.
"""

import numpy as np


def sigmoid(x):
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, e) / (1 + e)


# ---- rnn


def rnn_step_forward(x, prev_h, Wx, Wh, b):
    a = x @ Wx + prev_h @ Wh + b
    next_h = np.tanh(a)
    return next_h, (x, prev_h, Wx, Wh, a, next_h)


def rnn_step_backward(dnext_h, cache):
    x, prev_h, Wx, Wh, a, next_h = cache
    da = dnext_h * (1 - next_h**2)
    dx = da @ Wx.T
    dprev_h = da @ Wh.T
    dWx = x.T @ da
    dWh = prev_h.T @ da
    db = da.sum(axis=0)
    return dx, dprev_h, dWx, dWh, db


def rnn_forward(x, h0, Wx, Wh, b):
    h = np.zeros((*x.shape[:2], h0.shape[1]), x.dtype)
    state, caches = h0, []
    for t in range(x.shape[1]):
        state, cache = rnn_step_forward(x[:, t], state, Wx, Wh, b)
        h[:, t] = state
        caches.append(cache)
    return h, (x, Wx, Wh, caches)


def rnn_backward(dh, cache):
    x, Wx, Wh, caches = cache
    N, T, H = dh.shape
    dx, dWx, dWh, db = np.zeros_like(x), np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(Wh[0])
    dstate = np.zeros_like(dh[:, 0])
    for t in reversed(range(T)):
        dh_t = dh[:, t] + dstate
        dx[:, t], dstate, dWx_t, dWh_t, db_t = rnn_step_backward(dh_t, caches[t])
        dWx += dWx_t
        dWh += dWh_t
        db += db_t
    dh0 = dstate
    return dx, dh0, dWx, dWh, db


# ---- lstm


def lstm_step_forward(x, prev_h, prev_c, Wx, Wh, b):
    a = x @ Wx + prev_h @ Wh + b
    ai, af, ao, ag = np.split(a, 4, axis=1)
    i, f, o, g = sigmoid(ai), sigmoid(af), sigmoid(ao), np.tanh(ag)
    next_c = f * prev_c + i * g
    tanh_c = np.tanh(next_c)
    next_h = o * tanh_c
    return next_h, next_c, (x, prev_h, prev_c, Wx, Wh, a, i, f, o, g, next_c, tanh_c, next_h)


def lstm_step_backward(dnext_h, dnext_c, cache):
    x, prev_h, prev_c, Wx, Wh, a, i, f, o, g, next_c, tanh_c, next_h = cache
    ai, af, ao, ag = np.split(a, 4, axis=1)
    do = dnext_h * tanh_c
    dc = dnext_c + dnext_h * o * (1 - tanh_c**2)
    di = dc * g
    df = dc * prev_c
    dg = dc * i
    dprev_c = dc * f
    dai = di * i * (1 - i)
    daf = df * f * (1 - f)
    dao = do * o * (1 - o)
    dag = dg * (1 - g**2)
    da = np.concatenate([dai, daf, dao, dag], axis=1)
    dx = da @ Wx.T
    dprev_h = da @ Wh.T
    dWx = x.T @ da
    dWh = prev_h.T @ da
    db = da.sum(axis=0)
    return dx, dprev_h, dprev_c, dWx, dWh, db


def lstm_forward(x, h0, Wx, Wh, b):
    h = np.zeros((*x.shape[:2], h0.shape[1]), x.dtype)
    state, c, caches = h0, np.zeros_like(h0), []
    for t in range(x.shape[1]):
        state, c, cache = lstm_step_forward(x[:, t], state, c, Wx, Wh, b)
        h[:, t] = state
        caches.append(cache)
    return h, (x, Wx, Wh, caches)


def lstm_backward(dh, cache):
    x, Wx, Wh, caches = cache
    N, T, H = dh.shape
    dx, dWx, dWh, db = np.zeros_like(x), np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(Wh[0])
    dstate, dc = np.zeros_like(dh[:, 0]), np.zeros_like(dh[:, 0])
    for t in reversed(range(T)):
        dh_t = dh[:, t] + dstate
        dx[:, t], dstate, dc, dWx_t, dWh_t, db_t = lstm_step_backward(dh_t, dc, caches[t])
        dWx += dWx_t
        dWh += dWh_t
        db += db_t
    dh0 = dstate
    return dx, dh0, dWx, dWh, db


# ---- gru


def gru_step_forward(x, prev_h, Wx, Wh, bx, bh):
    axr, axz, axn = np.split(x @ Wx + bx, 3, axis=1)
    ahr, ahz, ahn = np.split(prev_h @ Wh + bh, 3, axis=1)
    r, z = sigmoid(axr + ahr), sigmoid(axz + ahz)
    an = axn + r * ahn
    n = np.tanh(an)
    next_h = (1 - z) * n + z * prev_h
    return next_h, (x, prev_h, Wx, Wh, axr + ahr, axz + ahz, an, r, z, n, ahn, next_h)


def gru_step_backward(dnext_h, cache):
    x, prev_h, Wx, Wh, ar, az, an, r, z, n, ahn, next_h = cache
    dz = dnext_h * (prev_h - n)
    dn = dnext_h * (1 - z)
    dan = dn * (1 - n**2)
    dr = dan * ahn
    dar = dr * r * (1 - r)
    daz = dz * z * (1 - z)
    dax = np.concatenate([dar, daz, dan], axis=1)
    dah = np.concatenate([dar, daz, dan * r], axis=1)
    dx = dax @ Wx.T
    dprev_h = dah @ Wh.T + dnext_h * z
    dWx = x.T @ dax
    dWh = prev_h.T @ dah
    dbx = dax.sum(axis=0)
    dbh = dah.sum(axis=0)
    return dx, dprev_h, dWx, dWh, dbx, dbh


def gru_forward(x, h0, Wx, Wh, bx, bh):
    h = np.zeros((*x.shape[:2], h0.shape[1]), x.dtype)
    state, caches = h0, []
    for t in range(x.shape[1]):
        state, cache = gru_step_forward(x[:, t], state, Wx, Wh, bx, bh)
        h[:, t] = state
        caches.append(cache)
    return h, (x, Wx, Wh, caches)


def gru_backward(dh, cache):
    x, Wx, Wh, caches = cache
    N, T, H = dh.shape
    dx, dWx, dWh, dbx, dbh = (
        np.zeros_like(x),
        np.zeros_like(Wx),
        np.zeros_like(Wh),
        np.zeros_like(Wh[0]),
        np.zeros_like(Wh[0]),
    )
    dstate = np.zeros_like(dh[:, 0])
    for t in reversed(range(T)):
        dh_t = dh[:, t] + dstate
        dx[:, t], dstate, dWx_t, dWh_t, dbx_t, dbh_t = gru_step_backward(dh_t, caches[t])
        dWx += dWx_t
        dWh += dWh_t
        dbx += dbx_t
        dbh += dbh_t
    dh0 = dstate
    return dx, dh0, dWx, dWh, dbx, dbh


# ---- embedding


def word_embedding_forward(x, W):
    return W[x], (x, W)


def word_embedding_backward(dout, cache):
    x, W = cache
    dW = np.zeros_like(W)
    np.add.at(dW, x, dout)
    return dW


# ---- softmax-loss


def temporal_softmax_loss(x, y, mask, verbose=False):
    N, T, V = x.shape
    e = np.exp(x - x.max(axis=2, keepdims=True))
    p = e / e.sum(axis=2, keepdims=True)
    chosen = np.eye(V)[y]
    loss = -np.sum(mask[..., None] * chosen * np.log(p)) / N
    dx = (p - chosen) / N
    dx = dx * mask[..., None]
    return loss, dx


# ---- attention


def attention_forward(query, keys, values, mask):
    scores = np.einsum("nd,ntd->nt", query, keys) / np.sqrt(query.shape[1])
    scores = np.where(mask, scores, -np.inf)
    e = np.exp(scores - scores.max(axis=1, keepdims=True))
    a = e / e.sum(axis=1, keepdims=True)
    return np.einsum("nt,nte->ne", a, values), (query, keys, values, a)


def attention_backward(dout, cache):
    query, keys, values, a = cache
    dvalues = a[:, :, None] * dout[:, None]
    da = np.einsum("ne,nte->nt", dout, values)
    ds = a * (da - np.sum(a * da, axis=1, keepdims=True))
    ds = ds / np.sqrt(query.shape[1])
    dquery = np.einsum("nt,ntd->nd", ds, keys)
    dkeys = ds[:, :, None] * query[:, None]
    return dquery, dkeys, dvalues


# ---- clipping


def clip_grad_norm(grads, max_norm):
    norm = np.sqrt(sum(np.sum(g**2) for g in grads))
    factor = min(1.0, max_norm / norm)
    return [g * factor for g in grads]


def clip_grad_value(grads, limit):
    return [np.clip(g, -limit, limit) for g in grads]
