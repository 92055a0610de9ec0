"""A student's file: [x, h] side by side on one matrix, time first, a dictionary for each step, einsum."""

import numpy as np


def logistic(u):
    e = np.exp(-np.abs(u))
    return np.where(u >= 0, 1.0, e) / (1.0 + e)


# ---- rnn


def rnn_forward(x, h0, Wx, Wh, b):
    W = np.vstack([Wx, Wh])
    past, tape = h0, []
    for xt in x.transpose(1, 0, 2):
        z = np.hstack([xt, past])
        u = z @ W + b
        now = np.tanh(u)
        tape.append(dict(z=z, u=u, past=past, now=now))
        past = now
    return np.stack([s["now"] for s in tape], axis=1), (tape, Wx, Wh)


def rnn_backward(dh, cache):
    tape, Wx, Wh = cache
    D = Wx.shape[0]
    W = np.vstack([Wx, Wh])
    up = dh.transpose(1, 0, 2)
    T, N, H = up.shape
    dxs = np.zeros((T, N, D))
    dW = np.zeros(W.shape)
    db = np.zeros(W.shape[1])
    flow = np.zeros((N, H))
    for t in reversed(range(T)):
        s = tape[t]
        total = up[t] + flow
        du = total * (1 - s["now"] ** 2)
        z = s["z"]
        dW += np.einsum("nz,nk->zk", z, du)
        db += np.einsum("nk->k", du)
        dz = np.einsum("nk,zk->nz", du, W)
        dxs[t] = dz[:, :D]
        flow = dz[:, D:]
    return dxs.transpose(1, 0, 2), flow, dW[:D], dW[D:], db


# ---- lstm


def lstm_forward(x, h0, Wx, Wh, b):
    W = np.vstack([Wx, Wh])
    past, cell, tape = h0, np.zeros(h0.shape), []
    for xt in x.transpose(1, 0, 2):
        z = np.hstack([xt, past])
        u = (z @ W + b).reshape(len(z), 4, -1)
        s = dict(z=z, past=past, u=u, i=logistic(u[:, 0]), f=logistic(u[:, 1]), o=logistic(u[:, 2]), g=np.tanh(u[:, 3]))
        s["old"] = cell
        cell = s["f"] * cell + s["i"] * s["g"]
        s["cell"] = cell
        past = s["o"] * np.tanh(cell)
        s["now"] = past
        tape.append(s)
    return np.stack([s["now"] for s in tape], axis=1), (tape, Wx, Wh)


def lstm_backward(dh, cache):
    tape, Wx, Wh = cache
    D = Wx.shape[0]
    W = np.vstack([Wx, Wh])
    up = dh.transpose(1, 0, 2)
    T, N, H = up.shape
    dxs = np.zeros((T, N, D))
    dW = np.zeros(W.shape)
    db = np.zeros(W.shape[1])
    flow = np.zeros((N, H))
    memory = np.zeros((N, H))
    for t in reversed(range(T)):
        s = tape[t]
        i, f, o, g, old, new, u = s["i"], s["f"], s["o"], s["g"], s["old"], s["cell"], s["u"]
        th = np.tanh(new)
        total = up[t] + flow
        dcell = total * o * (1 - th ** 2)
        dcell = dcell + memory
        du = np.zeros((N, 4, H))
        du[:, 0] = dcell * g * i * (1 - i)
        du[:, 1] = dcell * old * f * (1 - f)
        du[:, 2] = total * th * o * (1 - o)
        du[:, 3] = dcell * i * (1 - g ** 2)
        du = du.reshape(N, 4 * H)
        memory = dcell * f
        z = s["z"]
        dW += np.einsum("nz,nk->zk", z, du)
        db += np.einsum("nk->k", du)
        dz = np.einsum("nk,zk->nz", du, W)
        dxs[t] = dz[:, :D]
        flow = dz[:, D:]
    return dxs.transpose(1, 0, 2), flow, dW[:D], dW[D:], db


# ---- gru


def gru_forward(x, h0, Wx, Wh, bx, bh):
    past, tape = h0, []
    for xt in x.transpose(1, 0, 2):
        left = (xt @ Wx + bx).reshape(len(xt), 3, -1)
        right = (past @ Wh + bh).reshape(len(xt), 3, -1)
        u = left + right
        r, z = logistic(u[:, 0]), logistic(u[:, 1])
        un = left[:, 2] + r * right[:, 2]
        n = np.tanh(un)
        now = n + z * (past - n)
        tape.append(dict(x=xt, past=past, now=now, u=u, un=un, r=r, z=z, n=n, m=right[:, 2]))
        past = now
    return np.stack([s["now"] for s in tape], axis=1), (tape, Wx, Wh)


def gru_backward(dh, cache):
    tape, Wx, Wh = cache
    up = dh.transpose(1, 0, 2)
    T, N, H = up.shape
    dxs = np.zeros((T, N, len(Wx)))
    dWx, dWh = np.zeros(Wx.shape), np.zeros(Wh.shape)
    dbx, dbh = np.zeros(3 * H), np.zeros(3 * H)
    flow = np.zeros((N, H))
    for t in reversed(range(T)):
        s = tape[t]
        r, z, n, past, now, m, u, un = s["r"], s["z"], s["n"], s["past"], s["now"], s["m"], s["u"], s["un"]
        total = up[t] + flow
        dn = total * (1 - z) * (1 - n ** 2)
        dz = total * (past - n) * z * (1 - z)
        dr = dn * m * r * (1 - r)
        left = np.concatenate([dr, dz, dn], axis=1)
        right = np.concatenate([dr, dz, dn * r], axis=1)
        dWx += np.einsum("nd,nk->dk", s["x"], left)
        dWh += np.einsum("nh,nk->hk", past, right)
        dbx += np.einsum("nk->k", left)
        dbh += np.einsum("nk->k", right)
        dxs[t] = np.einsum("nk,dk->nd", left, Wx)
        flow = np.einsum("nk,hk->nh", right, Wh)
        flow += total * z
    return dxs.transpose(1, 0, 2), flow, dWx, dWh, dbx, dbh
