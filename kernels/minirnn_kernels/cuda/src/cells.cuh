// The gates of each cell, for one unit in one row. This file repeats the equations of `rnn`, `lstm` and `gru` in
// minirnn_kernels/gates.py and of their backward functions, with the same names. gates.py has the derivations.
//
//     blocks     the number of values of a unit in the array `gates`, in order
//     products   the number of them that receive a part of h W_hh^T
//     first      the index of the first of these
//
// `carry` is the gradient that passes from a step to the one before it without the products: LSTM dc, GRU z * dh.

DEVICE Accumulate sigmoid(Accumulate x) {
    Accumulate e = exp_(x >= 0 ? -x : x);  // at most 1, so nothing overflows
    return (x >= 0 ? 1 : e) / (1 + e);
}

struct RNN {
    enum { blocks = 1, products = 1, first = 0 };

    DEVICE void forward(
        Accumulate a[], Accumulate /*c_prev*/, Accumulate /*h_prev*/, Accumulate& /*c*/, Accumulate& h, int relu) {
        h = relu ? (a[0] <= 0 ? 0 : a[0]) : tanh_(a[0]);  // written so that NaN stays NaN
    }

    DEVICE void backward(
        const Accumulate[], Accumulate /*c_prev*/, Accumulate /*c*/, Accumulate /*h_prev*/, Accumulate h, Accumulate dh,
        Accumulate& /*carry*/, Accumulate da[], int relu) {
        da[0] = relu ? (h <= 0 ? 0 : dh) : dh * (1 - h * h);
    }

    DEVICE Accumulate past_the_products(Accumulate /*carry*/) { return 0; }
};

struct LSTM {
    enum { blocks = 4, products = 4, first = 0 };  // i, f, g, o

    DEVICE void forward(
        Accumulate a[], Accumulate c_prev, Accumulate /*h_prev*/, Accumulate& c, Accumulate& h, int /*relu*/) {
        Accumulate i = sigmoid(a[0]), f = sigmoid(a[1]), g = tanh_(a[2]), o = sigmoid(a[3]);
        c = f * c_prev + i * g;
        h = o * tanh_(c);
        a[0] = i, a[1] = f, a[2] = g, a[3] = o;
    }

    DEVICE void backward(
        const Accumulate a[], Accumulate c_prev, Accumulate c, Accumulate /*h_prev*/, Accumulate /*h*/, Accumulate dh,
        Accumulate& dc, Accumulate da[], int /*relu*/) {
        Accumulate i = a[0], f = a[1], g = a[2], o = a[3], tanh_c = tanh_(c);
        dc = dc + dh * o * (1 - tanh_c * tanh_c);
        da[0] = dc * g * i * (1 - i);
        da[1] = dc * c_prev * f * (1 - f);
        da[2] = dc * i * (1 - g * g);
        da[3] = dh * tanh_c * o * (1 - o);
        dc = dc * f;
    }

    DEVICE Accumulate past_the_products(Accumulate /*carry*/) { return 0; }  // dc is a part of dc0, not of dh0
};

struct GRU {
    enum { blocks = 4, products = 3, first = 1 };  // n, r, z, q; q = W_hn h + b_hn, the part of n that r multiplies

    DEVICE void forward(
        Accumulate a[], Accumulate /*c_prev*/, Accumulate h_prev, Accumulate& /*c*/, Accumulate& h, int /*relu*/) {
        Accumulate r = sigmoid(a[1]), z = sigmoid(a[2]), n = tanh_(a[0] + r * a[3]);
        h = (1 - z) * n + z * h_prev;
        a[0] = n, a[1] = r, a[2] = z;
    }

    DEVICE void backward(
        const Accumulate a[], Accumulate /*c_prev*/, Accumulate /*c*/, Accumulate h_prev, Accumulate /*h*/, Accumulate dh,
        Accumulate& carry, Accumulate da[], int /*relu*/) {
        Accumulate n = a[0], r = a[1], z = a[2], q = a[3];
        dh = dh + carry;
        da[0] = dh * (1 - z) * (1 - n * n);
        da[1] = da[0] * q * r * (1 - r);
        da[2] = dh * (h_prev - n) * z * (1 - z);
        da[3] = da[0] * r;
        carry = dh * z;
    }

    DEVICE Accumulate past_the_products(Accumulate carry) { return carry; }
};

typedef CELL Cell;
