"""The job: all arguments of the compiled stretches of a pass over a sequence, as one record of integers.

A batch is one matrix of rows, one row for each step of each sequence. H, the number of hidden units, and I, the number
of inputs, are padded with zeros: to whole vectors (Hp) or to whole panels (Hw, Iw).
"""

import numpy as np

from minirnn_kernels import cell

CELL_IDS = {name: number for number, name in enumerate(cell.CELLS)}  # the values of `job.cell`
RNN_ID, LSTM_ID, GRU_ID = (CELL_IDS[kind.name] for kind in (cell.RNN, cell.LSTM, cell.GRU))

FIELDS = [  # name, meaning
    # numbers: counts are of entries of the dtype unless another unit is given
    ("cell", "which cell: RNN_ID, LSTM_ID or GRU_ID"),
    ("gates", "gates in the weights, each a block of H rows of W_ih and W_hh"),
    ("relu", "1 for the RNN with relu, else 0"),
    ("parts", "parts of each stretch of work, which can run at the same time"),
    ("by_units", "1 if parts share the units of each step, 0 if they share the rows of the batch"),
    ("prefetch", "1 to prefetch the next panel of the weights, else 0"),
    ("T", "time steps of the longest sequence"),
    ("rows", "rows of the batch: the steps of all sequences, B * T without lengths"),
    ("batch", "sequences in the batch, B"),
    ("I", "inputs of a step"),
    ("H", "hidden units"),
    ("Hp", "H padded to whole vectors (for the RNN to whole panels): one block of G"),
    ("Hw", "H padded to whole panels: a row of c, d and dout, and of h in training"),
    ("Iw", "I padded to whole panels: a row of dx and dW_ih, and of x in backward; backward only"),
    ("Gw", "a row of G: its blocks, and one cache line of unused space"),
    ("h_width", "a row of h in forward: Hw in training, H in inference"),
    ("chunk", "time steps whose input product is computed at once; forward only"),
    ("G_rows", "rows of G: one for each row of the batch, or in inference for the rows of one chunk"),
    ("c_rows", "rows of c: batch + rows in training, batch in inference"),
    ("dout_rows", "rows of dout, or 0 for a single row of zeros that serves every row; backward only"),
    # addresses, in bytes, of C-contiguous arrays; of int64 for the first three, else of the dtype of the pass
    ("schedule", "(shares, T, 6), where the rows of each step are: see `sequence_pass`"),
    ("starts", "(shares,), the first sequence of each share; backward only"),
    ("arrivals", "(1,), the counter of the barrier; 0 at the start"),
    ("x", "(rows, I) in forward, (rows, Iw) in backward: the inputs"),
    ("h", "(batch + rows, h_width): the initial hidden states, then those after each row's step"),
    ("c", "(c_rows, Hw): the same for the cell states; LSTM only"),
    ("G", "(G_rows, Gw): pre-activations, gates or their gradients: see `sequence_pass`"),
    ("W_ih", "(gates * H, I): the weights of the inputs, as the layer stores them, except that the GRU's begin with n"),
    ("W_hh", "(gates * H, H): the weights of the hidden state, in the layer's order of gates"),
    ("P_ih", "the packed W_ih: by `pack_columns` in forward, by `pack_rows` in backward"),
    ("P_hh", "the packed W_hh: likewise"),
    ("b", "(blocks of G, Hp): the biases; forward only"),
    ("h_prev", "(rows, Hw): the hidden state before each row's step; backward only"),
    ("dout", "(rows, Hw) or (1, Hw): the gradient of the output; backward only"),
    ("d", "(2 * batch, Hw): dh, then dc; on entry of the last states, at the end of the initial ones; backward only"),
    ("dx", "(rows, Iw): result; backward only"),
    ("dW_ih", "(gates * Hp, Iw): result; backward only"),
    ("dW_hh", "(gates * Hp, Hw): result; backward only"),
    ("db", "(1, blocks * Hp + a panel): result, zeros on entry; backward only"),
    ("scratch", "(parts, scratch_size / itemsize): space for packed panels; backward only"),
    ("scratch_size", "space for one part in scratch, in bytes"),
]

JOB = np.dtype([(name, np.int64) for name, _ in FIELDS])
