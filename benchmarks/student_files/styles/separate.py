"""A student's file: a matrix for each gate, whole-sequence arrays in the cache, one long loop."""

import numpy as np


def sig(v):
    return 0.5 * (1 + np.tanh(0.5 * v))


def split(M, k):
    return np.split(M, k, axis=-1)


# ---- rnn


def rnn_forward(x, h0, Wx, Wh, b):
    N, T, D = x.shape
    H = len(Wh)
    A = np.empty((N, T, H))
    hs = np.empty((N, T + 1, H))
    hs[:, 0] = h0
    for t in range(T):
        A[:, t] = x[:, t] @ Wx + hs[:, t] @ Wh + b
        hs[:, t + 1] = np.tanh(A[:, t])
    return hs[:, 1:].copy(), {"x": x, "hs": hs, "A": A, "Wx": Wx, "Wh": Wh}


def rnn_backward(dh, cache):
    x, hs, A, Wx, Wh = cache["x"], cache["hs"], cache["A"], cache["Wx"], cache["Wh"]
    N, T, D = x.shape
    H = len(Wh)
    dx = np.zeros(x.shape)
    dWx, dWh, db = np.zeros((D, H)), np.zeros((H, H)), np.zeros(H)
    dh_next = np.zeros((N, H))
    for t in range(T - 1, -1, -1):
        h_prev, h = hs[:, t], hs[:, t + 1]
        dht = dh[:, t] + dh_next
        zh = dht * (1 - h * h)
        dWx += x[:, t].T @ zh
        dWh += h_prev.T @ zh
        db += np.sum(zh, axis=0)
        dx[:, t] = zh @ Wx.T
        dh_next = zh @ Wh.T
    return dx, dh_next, dWx, dWh, db


# ---- lstm


def lstm_forward(x, h0, Wx, Wh, b):
    N, T, D = x.shape
    H = h0.shape[1]
    Wxi, Wxf, Wxo, Wxg = split(Wx, 4)
    Whi, Whf, Who, Whg = split(Wh, 4)
    bi, bf, bo, bg = split(b, 4)
    hs = np.zeros((T + 1, N, H))
    cs = np.zeros((T + 1, N, H))
    AI, AF, AO, AG = (np.zeros((T, N, H)) for _ in range(4))
    hs[0] = h0
    for t in range(T):
        AI[t] = x[:, t] @ Wxi + hs[t] @ Whi + bi
        AF[t] = x[:, t] @ Wxf + hs[t] @ Whf + bf
        AO[t] = x[:, t] @ Wxo + hs[t] @ Who + bo
        AG[t] = x[:, t] @ Wxg + hs[t] @ Whg + bg
        cs[t + 1] = sig(AF[t]) * cs[t] + sig(AI[t]) * np.tanh(AG[t])
        hs[t + 1] = sig(AO[t]) * np.tanh(cs[t + 1])
    return hs[1:].transpose(1, 0, 2), (x, Wx, Wh, hs, cs, AI, AF, AO, AG)


def lstm_backward(dh, cache):
    x, Wx, Wh, hs, cs, AI, AF, AO, AG = cache
    N, T, D = x.shape
    H = Wh.shape[0]
    Wxi, Wxf, Wxo, Wxg = split(Wx, 4)
    Whi, Whf, Who, Whg = split(Wh, 4)
    dWxi, dWxf, dWxo, dWxg = (np.zeros((D, H)) for _ in range(4))
    dWhi, dWhf, dWho, dWhg = (np.zeros((H, H)) for _ in range(4))
    dbi, dbf, dbo, dbg = (np.zeros(H) for _ in range(4))
    dx = np.zeros((N, T, D))
    dh_next = np.zeros((N, H))
    dc_next = np.zeros((N, H))
    for t in range(T - 1, -1, -1):
        ai, af, ao, ag = AI[t], AF[t], AO[t], AG[t]
        i, f, o, g = sig(ai), sig(af), sig(ao), np.tanh(ag)
        xt, h_prev, c_prev, c, h = x[:, t], hs[t], cs[t], cs[t + 1], hs[t + 1]
        tc = np.tanh(c)
        dht = dh[:, t] + dh_next
        dc = dc_next + dht * o * (1 - tc * tc)
        zo = dht * tc * o * (1 - o)
        zi = dc * g * i * (1 - i)
        zf = dc * c_prev * f * (1 - f)
        zg = dc * i * (1 - g * g)
        dWxi += xt.T @ zi
        dWxf += xt.T @ zf
        dWxo += xt.T @ zo
        dWxg += xt.T @ zg
        dWhi += h_prev.T @ zi
        dWhf += h_prev.T @ zf
        dWho += h_prev.T @ zo
        dWhg += h_prev.T @ zg
        dbi += zi.sum(0)
        dbf += zf.sum(0)
        dbo += zo.sum(0)
        dbg += zg.sum(0)
        dxt = zi @ Wxi.T
        dxt += zf @ Wxf.T
        dxt += zo @ Wxo.T
        dxt += zg @ Wxg.T
        dhp = zi @ Whi.T
        dhp += zf @ Whf.T
        dhp += zo @ Who.T
        dhp += zg @ Whg.T
        dx[:, t] = dxt
        dh_next = dhp
        dc_next = dc * f
    dWx = np.concatenate([dWxi, dWxf, dWxo, dWxg], axis=1)
    dWh = np.concatenate([dWhi, dWhf, dWho, dWhg], axis=1)
    db = np.concatenate([dbi, dbf, dbo, dbg])
    return dx, dh_next, dWx, dWh, db


# ---- gru


def gru_forward(x, h0, Wx, Wh, bx, bh):
    N, T, D = x.shape
    H = h0.shape[1]
    Wxr, Wxz, Wxn = split(Wx, 3)
    Whr, Whz, Whn = split(Wh, 3)
    bxr, bxz, bxn = split(bx, 3)
    bhr, bhz, bhn = split(bh, 3)
    hs = np.zeros((T + 1, N, H))
    AR, AZ, AN, HN = (np.zeros((T, N, H)) for _ in range(4))
    hs[0] = h0
    for t in range(T):
        AR[t] = x[:, t] @ Wxr + bxr + hs[t] @ Whr + bhr
        AZ[t] = x[:, t] @ Wxz + bxz + hs[t] @ Whz + bhz
        HN[t] = hs[t] @ Whn + bhn
        AN[t] = x[:, t] @ Wxn + bxn + sig(AR[t]) * HN[t]
        z = sig(AZ[t])
        hs[t + 1] = np.tanh(AN[t]) * (1 - z) + hs[t] * z
    return hs[1:].transpose(1, 0, 2), (x, Wx, Wh, hs, AR, AZ, AN, HN)


def gru_backward(dh, cache):
    x, Wx, Wh, hs, AR, AZ, AN, HN = cache
    N, T, D = x.shape
    H = Wh.shape[0]
    Wxr, Wxz, Wxn = split(Wx, 3)
    Whr, Whz, Whn = split(Wh, 3)
    dWxr, dWxz, dWxn = (np.zeros((D, H)) for _ in range(3))
    dWhr, dWhz, dWhn = (np.zeros((H, H)) for _ in range(3))
    dbr, dbz, dbn, dbhn = (np.zeros(H) for _ in range(4))
    dx = np.zeros((N, T, D))
    dh_next = np.zeros((N, H))
    for t in range(T - 1, -1, -1):
        ar, az, an, hn = AR[t], AZ[t], AN[t], HN[t]
        r, z, n = sig(ar), sig(az), np.tanh(an)
        xt, h_prev, h = x[:, t], hs[t], hs[t + 1]
        dht = dh[:, t] + dh_next
        zn = dht * (1 - z) * (1 - n * n)
        zz = dht * (h_prev - n) * z * (1 - z)
        zr = zn * hn * r * (1 - r)
        znr = zn * r
        dWxr += xt.T @ zr
        dWxz += xt.T @ zz
        dWxn += xt.T @ zn
        dWhr += h_prev.T @ zr
        dWhz += h_prev.T @ zz
        dWhn += h_prev.T @ znr
        dbr += zr.sum(0)
        dbz += zz.sum(0)
        dbn += zn.sum(0)
        dbhn += znr.sum(0)
        dxt = zr @ Wxr.T
        dxt += zz @ Wxz.T
        dxt += zn @ Wxn.T
        dhp = dht * z
        dhp += zr @ Whr.T
        dhp += zz @ Whz.T
        dhp += znr @ Whn.T
        dx[:, t] = dxt
        dh_next = dhp
    dWx = np.concatenate([dWxr, dWxz, dWxn], axis=1)
    dWh = np.concatenate([dWhr, dWhz, dWhn], axis=1)
    dbx = np.concatenate([dbr, dbz, dbn])
    dbh = np.concatenate([dbr, dbz, dbhn])
    return dx, dh_next, dWx, dWh, dbx, dbh
