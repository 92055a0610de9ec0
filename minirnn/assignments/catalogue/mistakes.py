"""The catalogue of known mistakes: the name of each, what people write, what is right, and the effect on training.

The other parts of the assignments refer to these entries by id. `variants.py` gives the settings of the switches in
`passes.py` that make a mistake in a cell's backward pass. `operations.py` has the mistakes that change finished tensors
(a factor, a transpose). `observe.py` finds those that show in something else than numbers (a changed input, two calls
with different results).

The list was collected from course forums, issue trackers and published code.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mistake:
    """An entry of the catalogue."""

    id: str
    family: str
    title: str
    wrong: str  # what people write
    right: str  # what is right
    look: str  # the place in the code to look at
    effect: str  # what the mistake does to training


_CARRY = "the gradients that the loop over time carries from step t to step t - 1"
_LOCAL = "the derivatives of the activations"
_PRODUCTS = "the matrix products for dx, dh_prev and the weight gradients"
_SUMS = "the sums: over which axes, and divided by what"

MISTAKES: dict[str, Mistake] = {
    m.id: m
    for m in (
        # ---- batch and scale
        Mistake(
            "bias-batch", "batch and scale", "the bias gradient isn't summed over the batch",
            "db = da, or da.mean(axis=0), or da[0]", "db = da.sum(axis=0)", _SUMS,
            "the biases learn too slowly, or from one sample of the batch only",
        ),
        Mistake(
            "batch-scale", "batch and scale", "an extra factor 1/N or N: the mean over the batch is taken twice, or a sum is taken instead of the mean",
            "dW /= N, although the loss divides by N already", "one division by N, in the loss", _SUMS,
            "the learning rate depends on the size of the batch",
        ),
        Mistake(
            "time-scale", "batch and scale", "an extra factor 1/T or T",
            "dW /= T", "the sum over the steps, not divided by T", _SUMS,
            "the learning rate depends on the length of the sequence",
        ),
        Mistake(
            "sign", "batch and scale", "the sign is wrong",
            "-dW", "dW", "the minus signs: one belongs in the update, none in the gradient",
            "the loss rises",
        ),
        Mistake(
            "accumulated", "batch and scale", "the gradients of earlier calls are added: they aren't set to zero between calls",
            "a sum that is kept outside the function", "zeros at the start of every call", "the lines that create the sums",
            "every update contains the gradients of old batches; the loss drifts and then diverges",
        ),
        Mistake(
            "clipped", "batch and scale", "the gradient is clipped inside the function that is checked",
            "np.clip(dW, -5, 5) in the backward pass", "clipping after the backward pass, in the training loop",
            "clip, minimum, maximum and norm in the backward pass",
            "none while gradients are small; the direction is wrong when they are large",
        ),
        # ---- local derivatives
        Mistake(
            "tanh-slope-missing", "local derivative", "the derivative of tanh is missing",
            "da = dg", "da = dg * (1 - g**2)", _LOCAL, "the gradients are too large where units are saturated",
        ),
        Mistake(
            "sigmoid-slope-missing", "local derivative", "the derivative of the sigmoid is missing on a gate",
            "da_i = di", "da_i = di * i * (1 - i)", _LOCAL,
            "the gate learns at least four times too fast and saturates",
        ),
        Mistake(
            "slope-twice", "local derivative", "the derivative is computed from the activation as if the activation were the pre-activation",
            "1 - tanh(h)**2, or s(i) * (1 - s(i))", "1 - h**2, or i * (1 - i): h and i are activations already", _LOCAL,
            "small and easy to overlook: training works, slightly worse",
        ),
        Mistake(
            "slope-of-preactivation", "local derivative", "the derivative uses the pre-activation instead of the activation",
            "1 - a**2, or a * (1 - a)", "1 - tanh(a)**2, or s(a) * (1 - s(a))", _LOCAL,
            "the sign is wrong for large pre-activations; training diverges",
        ),
        Mistake(
            "slope-exchanged", "local derivative", "the derivative of the sigmoid is used for a tanh, or the derivative of tanh for a sigmoid",
            "g * (1 - g) for the candidate, or 1 - i**2 for a gate", "1 - g**2 for tanh, i * (1 - i) for the sigmoid", _LOCAL,
            "one gate learns in the wrong direction for some units",
        ),
        Mistake(
            "slope-unsquared", "local derivative", "the derivative of an activation y is written as 1 - y",
            "1 - y", "1 - y**2 for tanh, y * (1 - y) for the sigmoid", _LOCAL, "the gradients have wrong sizes and sometimes wrong signs",
        ),
        Mistake(
            "tanh-c-slope-missing", "local derivative", "(1 - tanh(c)**2) is missing on the path from h to c",
            "dc = dc_next + dh * o", "dc = dc_next + dh * o * (1 - tanh(c)**2)", "the line that computes dc",
            "the gradients are too large for large cell states",
        ),
        Mistake(
            "o-missing-in-dc", "local derivative", "the output gate is missing on the path from h to c",
            "dc = dc_next + dh * (1 - tanh(c)**2)", "dc = dc_next + dh * o * (1 - tanh(c)**2)", "the line that computes dc",
            "cells that the output gate hides get a gradient nevertheless",
        ),
        Mistake(
            "h-to-c-missing", "local derivative", "the path from h to c is missing",
            "dc = dc_next", "dc = dc_next + dh * o * (1 - tanh(c)**2)", "the line that computes dc",
            "only the output gate learns",
        ),
        Mistake(
            "f-input", "local derivative", "df is computed with c_t instead of c_{t-1}",
            "df = dc * c", "df = dc * c_prev", "the line that computes df", "the forget gate follows a wrong gradient",
        ),
        Mistake(
            "o-input", "local derivative", "do is computed with c instead of tanh(c)",
            "do = dh * c", "do = dh * tanh(c)", "the line that computes do", "the output gate's gradient is too large",
        ),
        # ---- recursion
        Mistake(
            "c-carry-dropped", "recursion", "the gradient into c isn't carried from step to step",
            "dc = dh * o * (1 - tanh(c)**2)", "dc = dc_next + dh * o * (1 - tanh(c)**2)", _CARRY,
            "the cell can't learn from anything more than one step back, which is what an LSTM is for",
        ),
        Mistake(
            "c-carry-without-f", "recursion", "the gradient into c is carried without the forget gate",
            "dc_prev = dc", "dc_prev = dc * f", _CARRY, "the gradients of values that were forgotten long ago never fade",
        ),
        Mistake(
            "h-carry-dropped", "recursion", "the gradient into h isn't carried from step to step",
            "da, computed from dh[:, t] only", "dh_t = dh[:, t] + dh_next, with dh_next = da @ Wh.T of step t + 1", _CARRY,
            "the recurrent weights learn nothing over more than one step",
        ),
        Mistake(
            "carries-never-assigned", "recursion", "the carried gradients are computed but never passed on",
            "a loop that computes dh_prev and dc_prev but never sets dh_next and dc_next", "dh_next, dc_next = dh_prev, dc_prev",
            _CARRY, "the network learns as if each sequence were one step long",
        ),
        Mistake(
            "upstream-dropped", "recursion", "the gradient into each step from outside is used at some steps only",
            "dh_t = dh_next", "dh_t = dh[:, t] + dh_next", "the line of the loop that reads dh[:, t]",
            "the network learns nothing from the losses at the other steps",
        ),
        Mistake(
            "gates-overwritten", "recursion", "dx or dh_prev is overwritten gate by gate instead of summed",
            "dh_prev = da_i @ Wh_i.T; dh_prev = da_f @ Wh_f.T; ...", "dh_prev = da_i @ Wh_i.T + da_f @ Wh_f.T + ...",
            "the lines that add the gates' shares of dx and dh_prev", "most of the gradient through time is lost",
        ),
        Mistake(
            "weights-overwritten", "recursion", "a weight gradient is overwritten at each step instead of summed",
            "dWx = x_t.T @ da", "dWx += x_t.T @ da", "the sums over the steps",
            "the update depends on one step of each sequence only",
        ),
        Mistake(
            "h-input", "recursion", "dWh is computed with h_t instead of h_{t-1}",
            "dWh += h_t.T @ da_t", "dWh += h_{t-1}.T @ da_t", "the array that the cache holds as h_prev",
            "the recurrent weights get a wrong gradient; training is slow",
        ),
        Mistake(
            "loop-misses-step", "recursion", "the loop over time skips the first or the last step",
            "for t in range(T - 1, 0, -1)", "for t in reversed(range(T))", "the bounds of the loop",
            "the network learns nothing from one step of each sequence",
        ),
        Mistake(
            "loop-forward", "recursion", "the backward loop runs forwards in time",
            "for t in range(T)", "for t in reversed(range(T))", "the direction of the loop",
            "later losses never reach earlier steps",
        ),
        Mistake(
            "one-cache", "recursion", "all steps of the backward loop use the cache of one step",
            "the cache variable of the forward loop's last step", "caches[t]", "the lines that store and read the caches",
            "the gradients are wrong for every sequence that isn't constant",
        ),
        Mistake(
            "truncated", "recursion", "the gradient is cut off after a few steps",
            "a loop over the last k steps, or carried gradients that are set to zero every k steps", "a gradient that is carried to the first step",
            "limits in the loop: max(0, t - k), a modulus, a constant", "the network learns nothing over more than k steps",
        ),
        Mistake(
            "initial-state-forgotten", "recursion", "the gradient of an initial state is never set",
            "dh0 = zeros, or dh0 = None", "dh0 = dh_prev of the first step", "the lines after the loop",
            "none, unless the initial state is learned or is the output of another network",
        ),
        Mistake(
            "last-gradient-ignored", "recursion", "the gradient into the last state is ignored",
            "a backward pass without dnext_c, or without dh of the last step", "dc = dnext_c + dnext_h * o * (1 - tanh(c)**2) at the last step", "the arguments of backward",
            "an encoder gets no gradient through its last state",
        ),
        # ---- linear algebra
        Mistake(
            "wh-untransposed", "linear algebra", "Wh is used instead of its transpose",
            "dh_prev = da @ Wh", "dh_prev = da @ Wh.T", _PRODUCTS,
            "the gradient through time is wrong, but the loss still falls for a while",
        ),
        Mistake(
            "weights-exchanged", "linear algebra", "Wx and Wh are exchanged",
            "dx = da @ Wh.T", "dx = da @ Wx.T, dh_prev = da @ Wh.T", _PRODUCTS, "the code runs only if D = H, and learns nothing over time",
        ),
        Mistake(
            "dw-transposed", "linear algebra", "a weight gradient is transposed",
            "dWh = da.T @ h_prev", "dWh = h_prev.T @ da", _PRODUCTS, "the update changes the wrong weights",
        ),
        Mistake(
            "gate-order", "linear algebra", "the order of the gates' blocks differs between forward and backward",
            "concatenate([da_i, da_f, da_g, da_o])", "the order in which forward slices a", "the order of the blocks",
            "each gate gets the gradient of another gate",
        ),
        Mistake(
            "reshape-for-transpose", "linear algebra", "reshape is used instead of a transpose",
            "x.reshape(D, N)", "x.T; dh.transpose(1, 0, 2)", "every reshape", "the shapes are right, but the entries are in the wrong places",
        ),
        Mistake(
            "missing-reduction", "linear algebra", "a sum over a broadcast axis is missing",
            "a gradient that keeps the axis over which the argument was broadcast", "a sum over this axis",
            _SUMS, "an error, or the gradient of one sample for all samples",
        ),
        Mistake(
            "scores-unscaled", "batch and scale", "the factor 1/sqrt(D) of the scores is missing in backward",
            "dquery = ds @ keys", "dquery = ds @ keys / sqrt(D)", "the factor of the scores in forward",
            "query and keys learn too fast by a factor of sqrt(D)",
        ),
        # ---- GRU
        Mistake(
            "z-path-missing", "recursion", "the direct path from h to h_prev, z * dh, is missing",
            "dh_prev = da @ Wh.T", "dh_prev = da @ Wh.T + dh * z", _CARRY, "the GRU can't remember",
        ),
        Mistake(
            "z-sign", "local derivative", "dz is computed with n - h_prev instead of h_prev - n",
            "dz = dh * (n - h_prev)", "dz = dh * (h_prev - n)", "the line that computes dz", "the update gate learns in the wrong direction",
        ),
        Mistake(
            "n-weight", "local derivative", "the factor 1 - z of the candidate's gradient is missing, or is z instead",
            "dn = dh", "dn = dh * (1 - z)", "the line that computes dn", "the candidate's gradient has the wrong size",
        ),
        Mistake(
            "r-input", "local derivative", "dr is computed with h_prev instead of h_prev @ Wh_n + b_n",
            "dr = da_n * h_prev", "dr = da_n * (h_prev @ Wh_n + b_n)", "the line that computes dr", "the reset gate follows a wrong gradient",
        ),
        Mistake(
            "n-reset", "local derivative", "the factor r of the candidate's gradient on the recurrent side is missing",
            "da_n for both Wx and Wh", "da_n for Wx, da_n * r for Wh", "the n block of the recurrent side",
            "the candidate's recurrent weights learn from states that the reset gate hides",
        ),
        # ---- state and precision
        Mistake(
            "changed-in-place", "state and precision", "the arguments, the upstream gradient or the cache are changed in place",
            "dh[:, t] += dh_next; c *= f", "dh_t = dh[:, t] + dh_next", "+=, *= and out= on arrays that the caller owns",
            "the first result is right; everything that uses the changed array later is wrong",
        ),
        Mistake(
            "one-buffer", "state and precision", "all cached states are the same buffer",
            "cache.append(c), with a c that is changed in place", "cache.append(c.copy()), or a new array for c at each step",
            "the arrays stored at each step, and the operations in place",
            "the gradients are wrong if the state changes from step to step",
        ),
        Mistake(
            "random", "state and precision", "forward is random: two calls on the same inputs differ",
            "a new dropout mask in every call", "a mask that is drawn once and kept in the cache, and a seed for the check",
            "calls of np.random", "none in training, but the gradients can't be checked",
        ),
        Mistake(
            "ints", "state and precision", "an array of integers holds gradients or states",
            "np.zeros(shape, dtype=int), np.zeros_like(tokens)", "arrays of floats", "the dtypes of the buffers", "all values are truncated to whole numbers",
        ),
        Mistake(
            "float32-step", "state and precision", "float32 with a tiny step: the error is the rounding of the difference quotient, not of the gradient",
            "h = 1e-7 in float32", "float64, or an h near the fifth root of the rounding error", "the checker's step",
            "none: the gradient may be right",
        ),
        Mistake(
            "kink", "state and precision", "there is a kink within the step of the difference quotient",
            "relu at 0", "a check without these entries, or with other inputs", "relu, abs, max and clip in forward",
            "none: the gradient may be right",
        ),
        # ---- output and embedding
        Mistake(
            "softmax-jacobian", "output and embedding", "the derivative of the softmax is applied twice, or not at all",
            "dx = p * (1 - p) * (p - 1{y}), or dx = p", "dx = p - 1{y}", "the line that computes dx from the probabilities",
            "the rows of dx don't sum to 0, and the logits drift",
        ),
        Mistake(
            "padding", "output and embedding", "padded steps get a gradient",
            "dx without the mask", "dx * mask", "the line of backward that uses the mask", "the network learns to predict padding",
        ),
        Mistake(
            "embedding-scatter", "output and embedding", "the gradients of repeated tokens overwrite each other",
            "dW[x] = dout, or dW[x] += dout", "np.add.at(dW, x, dout)", "the line that adds dout to dW",
            "tokens learn from their last occurrence in the batch only",
        ),
    )
}  # fmt: skip
