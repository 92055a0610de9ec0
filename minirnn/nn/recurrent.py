"""RNN, LSTM and GRU: whole sequences and single steps, with PyTorch's names, shapes and defaults.

A module holds parameters only; states are arguments and results. `minirnn_kernels.gates` has the equations as code,
with the derivations of the backward passes, and `_recurrent_base.py` has the shared code.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from minirnn.autograd import Tensor
from minirnn.nn._recurrent_base import RecurrentCell, RecurrentLayers
from minirnn_kernels.gates import check_nonlinearity

__all__ = ["GRU", "LAYERS", "LSTM", "RNN", "GRUCell", "LSTMCell", "RNNCell"]


class RNN(RecurrentLayers):
    """The simple recurrent network.

        h_t = tanh(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh)

    or the same with relu in place of tanh. Source: Elman 1990, Finding structure in time.

    Args:
        input_size: the number of features of x, I.
        hidden_size: the number of hidden units, H.
        num_layers: the number of layers; each layer above the first takes the output of the layer below.
        nonlinearity: "tanh" or "relu".
        bias: whether the layers have biases.
        batch_first: whether x and out are (B, T, …) instead of (T, B, …). The states are not affected.
        dropout: in training mode, the probability of dropping an element of the output of each layer except the last.
        bidirectional: whether each layer also runs backward in time. The number of directions, D, is then 2, else 1.
        dtype: the dtype of the parameters, np.float32 or np.float64.
        rng: the generator of the initial parameters; None means the generator that `minirnn.manual_seed` seeds.

    Parameters of layer k, each again with the suffix `_reverse` for the backward direction:
        weight_ih_l{k}: (H, I), for k > 0 (H, D*H).
        weight_hh_l{k}: (H, H); bias_ih_l{k} and bias_hh_l{k}: (H,).
    All are initially uniform over ±1/√H; `nn.init` has other initialisers.

    Raises ValueError for a size below 1, an unknown `nonlinearity` or a `dropout` outside [0, 1]; TypeError for a size
    that is not an integer and for an unsupported dtype.

    >>> import numpy as np
    >>> from minirnn import nn
    >>> rnn = nn.RNN(3, 4, num_layers=2)
    >>> x = np.ones((5, 2, 3), np.float32)  # 5 steps, 2 sequences, 3 features
    >>> out, h_n = rnn(x)
    >>> out.shape, h_n.shape
    ((5, 2, 4), (2, 2, 4))
    >>> out.sum().backward()
    >>> rnn.weight_hh_l0.grad.shape
    (4, 4)
    """

    kind = "rnn"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        dtype: npt.DTypeLike = np.float32,
        rng: np.random.Generator | None = None,
    ) -> None:
        check_nonlinearity(nonlinearity)
        self.nonlinearity = nonlinearity
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, dtype=dtype, rng=rng
        )

    def forward(self, x: Any, h0: Any = None, lengths: Any = None) -> tuple[Tensor, Tensor]:
        """Compute the layers over a sequence.

        Args:
            x: (T, B, I), (B, T, I) with batch_first, or (T, I) for one sequence; a Tensor or an array.
            h0: (num_layers * D, B, H), or (num_layers * D, H) for one sequence. None means zeros.
            lengths: the number of steps of each sequence, (B,) integers in 1..T in any order. None means T for all.

        Returns:
            out: h of the last layer at each step, (T, B, D*H), in the layout of x. It is zero past a sequence's
                length, and no gradient flows there.
            h_n: the state after the last step of each sequence, with the shape of h0.

        Raises ValueError for a shape or a length that does not match; TypeError for a dtype or a device other than that
        of the parameters.
        """
        return self._run(x, h0, lengths)


class LSTM(RecurrentLayers):
    """Long short-term memory.

        i_t = σ(W_ii x_t + b_ii + W_hi h_{t-1} + b_hi)        input gate: how much to write
        f_t = σ(W_if x_t + b_if + W_hf h_{t-1} + b_hf)        forget gate: how much to keep
        g_t = tanh(W_ig x_t + b_ig + W_hg h_{t-1} + b_hg)     candidate: what to write
        o_t = σ(W_io x_t + b_io + W_ho h_{t-1} + b_ho)        output gate: how much to show
        c_t = f_t * c_{t-1} + i_t * g_t
        h_t = o_t * tanh(c_t)

    σ is the logistic sigmoid and * is elementwise. Sources: Hochreiter and Schmidhuber 1997, Long short-term
    memory; for the forget gate, Gers, Schmidhuber and Cummins 2000, Learning to forget.

    Args:
        input_size: the number of features of x, I.
        hidden_size: the number of hidden units, H.
        num_layers: the number of layers; each layer above the first takes the output of the layer below.
        bias: whether the layers have biases.
        batch_first: whether x and out are (B, T, …) instead of (T, B, …). The states are not affected.
        dropout: in training mode, the probability of dropping an element of the output of each layer except the last.
        bidirectional: whether each layer also runs backward in time. The number of directions, D, is then 2, else 1.
        dtype: the dtype of the parameters, np.float32 or np.float64.
        rng: the generator of the initial parameters; None means the generator that `minirnn.manual_seed` seeds.

    Parameters of layer k, each again with the suffix `_reverse` for the backward direction:
        weight_ih_l{k}: (4H, I), for k > 0 (4H, D*H); the blocks of H rows are W_ii, W_if, W_ig, W_io.
        weight_hh_l{k}: (4H, H); bias_ih_l{k} and bias_hh_l{k}: (4H,).
    All are initially uniform over ±1/√H; `nn.init` has other initialisers.

    Raises ValueError for a size below 1 or a `dropout` outside [0, 1]; TypeError for a size that is not an integer and
    for an unsupported dtype.

    >>> import numpy as np
    >>> from minirnn import nn
    >>> lstm = nn.LSTM(3, 4, num_layers=2)
    >>> x = np.ones((5, 2, 3), np.float32)  # 5 steps, 2 sequences, 3 features
    >>> out, (h_n, c_n) = lstm(x)
    >>> out.shape, h_n.shape, c_n.shape
    ((5, 2, 4), (2, 2, 4), (2, 2, 4))
    >>> out.sum().backward()
    >>> lstm.weight_hh_l0.grad.shape
    (16, 4)
    """

    kind = "lstm"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        dtype: npt.DTypeLike = np.float32,
        rng: np.random.Generator | None = None,
    ) -> None:
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, dtype=dtype, rng=rng
        )

    def forward(self, x: Any, state: Any = None, lengths: Any = None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Compute the layers over a sequence.

        Args:
            x: (T, B, I), (B, T, I) with batch_first, or (T, I) for one sequence; a Tensor or an array.
            state: (h0, c0), each (num_layers * D, B, H), or (num_layers * D, H) for one sequence. None means zeros.
            lengths: the number of steps of each sequence, (B,) integers in 1..T in any order. None means T for all.

        Returns:
            out: h of the last layer at each step, (T, B, D*H), in the layout of x. It is zero past a sequence's
                length, and no gradient flows there.
            (h_n, c_n): the states after the last step of each sequence, with the shape of h0 and c0.

        Raises ValueError for a shape or a length that does not match; TypeError for a dtype or a device other than that
        of the parameters and for a state that is not a pair.
        """
        return self._run(x, state, lengths)


class GRU(RecurrentLayers):
    """The gated recurrent unit.

        r_t = σ(W_ir x_t + b_ir + W_hr h_{t-1} + b_hr)            reset gate: how much of the past n_t sees
        z_t = σ(W_iz x_t + b_iz + W_hz h_{t-1} + b_hz)            update gate: how much of the past to keep
        n_t = tanh(W_in x_t + b_in + r_t * (W_hn h_{t-1} + b_hn)) candidate
        h_t = (1 - z_t) * n_t + z_t * h_{t-1}

    σ is the logistic sigmoid and * is elementwise. r_t multiplies the recurrent product, as in PyTorch and cuDNN; the
    paper multiplies h_{t-1} before the product. Source: Cho et al. 2014, arXiv:1406.1078.

    Args:
        input_size: the number of features of x, I.
        hidden_size: the number of hidden units, H.
        num_layers: the number of layers; each layer above the first takes the output of the layer below.
        bias: whether the layers have biases.
        batch_first: whether x and out are (B, T, …) instead of (T, B, …). The states are not affected.
        dropout: in training mode, the probability of dropping an element of the output of each layer except the last.
        bidirectional: whether each layer also runs backward in time. The number of directions, D, is then 2, else 1.
        dtype: the dtype of the parameters, np.float32 or np.float64.
        rng: the generator of the initial parameters; None means the generator that `minirnn.manual_seed` seeds.

    Parameters of layer k, each again with the suffix `_reverse` for the backward direction:
        weight_ih_l{k}: (3H, I), for k > 0 (3H, D*H); the blocks of H rows are W_ir, W_iz, W_in.
        weight_hh_l{k}: (3H, H); bias_ih_l{k} and bias_hh_l{k}: (3H,).
    All are initially uniform over ±1/√H; `nn.init` has other initialisers.

    Raises ValueError for a size below 1 or a `dropout` outside [0, 1]; TypeError for a size that is not an integer and
    for an unsupported dtype.

    >>> import numpy as np
    >>> from minirnn import nn
    >>> gru = nn.GRU(3, 4, num_layers=2)
    >>> x = np.ones((5, 2, 3), np.float32)  # 5 steps, 2 sequences, 3 features
    >>> out, h_n = gru(x)
    >>> out.shape, h_n.shape
    ((5, 2, 4), (2, 2, 4))
    >>> out.sum().backward()
    >>> gru.weight_hh_l0.grad.shape
    (12, 4)
    """

    kind = "gru"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        dtype: npt.DTypeLike = np.float32,
        rng: np.random.Generator | None = None,
    ) -> None:
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, dtype=dtype, rng=rng
        )

    def forward(self, x: Any, h0: Any = None, lengths: Any = None) -> tuple[Tensor, Tensor]:
        """Compute the layers over a sequence.

        Args:
            x: (T, B, I), (B, T, I) with batch_first, or (T, I) for one sequence; a Tensor or an array.
            h0: (num_layers * D, B, H), or (num_layers * D, H) for one sequence. None means zeros.
            lengths: the number of steps of each sequence, (B,) integers in 1..T in any order. None means T for all.

        Returns:
            out: h of the last layer at each step, (T, B, D*H), in the layout of x. It is zero past a sequence's
                length, and no gradient flows there.
            h_n: the state after the last step of each sequence, with the shape of h0.

        Raises ValueError for a shape or a length that does not match; TypeError for a dtype or a device other than that
        of the parameters.
        """
        return self._run(x, h0, lengths)


class RNNCell(RecurrentCell):
    """One step of the simple recurrent network.

        h' = tanh(W_ih x + b_ih + W_hh h + b_hh)

    or the same with relu in place of tanh. Source: Elman 1990, Finding structure in time.

    Args:
        input_size: the number of features of x, I.
        hidden_size: the number of hidden units, H.
        bias: whether the cell has biases.
        nonlinearity: "tanh" or "relu".
        dtype: the dtype of the parameters, np.float32 or np.float64.
        rng: the generator of the initial parameters; None means the generator that `minirnn.manual_seed` seeds.

    Parameters: weight_ih (H, I), weight_hh (H, H), bias_ih and bias_hh (H,). All are initially uniform over ±1/√H.

    Raises ValueError for a size below 1 or an unknown `nonlinearity`; TypeError for a size that is not an integer and
    for an unsupported dtype.

    >>> import numpy as np
    >>> from minirnn import nn
    >>> cell = nn.RNNCell(3, 4)
    >>> h = None
    >>> for x in np.ones((5, 2, 3), np.float32):  # 5 steps of 2 sequences, 3 features
    ...     h = cell(x, h)
    >>> h.shape
    (2, 4)
    """

    kind = "rnn"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        *,
        dtype: npt.DTypeLike = np.float32,
        rng: np.random.Generator | None = None,
    ) -> None:
        check_nonlinearity(nonlinearity)
        self.nonlinearity = nonlinearity
        super().__init__(input_size, hidden_size, bias, dtype=dtype, rng=rng)

    def forward(self, x: Any, h: Any = None) -> Tensor:
        """Compute one step.

        Args:
            x: (B, I), or (I,) for one sequence; a Tensor or an array.
            h: (B, H), or (H,) for one sequence. None means zeros.

        Returns h', the next state, with the shape of h.

        Raises ValueError for a shape that does not match; TypeError for a dtype or a device other than that of
        the parameters.
        """
        return self._step(x, h)


class LSTMCell(RecurrentCell):
    """One step of long short-term memory.

        i = σ(W_ii x + b_ii + W_hi h + b_hi)        input gate: how much to write
        f = σ(W_if x + b_if + W_hf h + b_hf)        forget gate: how much to keep
        g = tanh(W_ig x + b_ig + W_hg h + b_hg)     candidate: what to write
        o = σ(W_io x + b_io + W_ho h + b_ho)        output gate: how much to show
        c' = f * c + i * g
        h' = o * tanh(c')

    σ is the logistic sigmoid and * is elementwise. Sources: Hochreiter and Schmidhuber 1997, Long short-term
    memory; for the forget gate, Gers, Schmidhuber and Cummins 2000, Learning to forget.

    Args:
        input_size: the number of features of x, I.
        hidden_size: the number of hidden units, H.
        bias: whether the cell has biases.
        dtype: the dtype of the parameters, np.float32 or np.float64.
        rng: the generator of the initial parameters; None means the generator that `minirnn.manual_seed` seeds.

    Parameters: weight_ih (4H, I), weight_hh (4H, H), bias_ih and bias_hh (4H,). All are initially uniform over ±1/√H.
    The blocks of H rows are in the order i, f, g, o.

    Raises ValueError for a size below 1; TypeError for a size that is not an integer and for an unsupported dtype.

    >>> import numpy as np
    >>> from minirnn import nn
    >>> cell = nn.LSTMCell(3, 4)
    >>> state = None
    >>> for x in np.ones((5, 2, 3), np.float32):  # 5 steps of 2 sequences, 3 features
    ...     state = cell(x, state)
    >>> h, c = state
    >>> h.shape
    (2, 4)
    """

    kind = "lstm"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        *,
        dtype: npt.DTypeLike = np.float32,
        rng: np.random.Generator | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, dtype=dtype, rng=rng)

    def forward(self, x: Any, state: Any = None) -> tuple[Tensor, Tensor]:
        """Compute one step.

        Args:
            x: (B, I), or (I,) for one sequence; a Tensor or an array.
            state: (h, c), each (B, H), or (H,) for one sequence. None means zeros.

        Returns (h', c'), the next states, with the shapes of h and c.

        Raises ValueError for a shape that does not match; TypeError for a dtype or a device other than that of
        the parameters and for a state that is not a pair.
        """
        return self._step(x, state)


class GRUCell(RecurrentCell):
    """One step of the gated recurrent unit.

        r = σ(W_ir x + b_ir + W_hr h + b_hr)            reset gate: how much of the past n sees
        z = σ(W_iz x + b_iz + W_hz h + b_hz)            update gate: how much of the past to keep
        n = tanh(W_in x + b_in + r * (W_hn h + b_hn))   candidate
        h' = (1 - z) * n + z * h

    σ is the logistic sigmoid and * is elementwise. r multiplies the recurrent product, as in PyTorch and cuDNN; the
    paper multiplies h before the product. Source: Cho et al. 2014, arXiv:1406.1078.

    Args:
        input_size: the number of features of x, I.
        hidden_size: the number of hidden units, H.
        bias: whether the cell has biases.
        dtype: the dtype of the parameters, np.float32 or np.float64.
        rng: the generator of the initial parameters; None means the generator that `minirnn.manual_seed` seeds.

    Parameters: weight_ih (3H, I), weight_hh (3H, H), bias_ih and bias_hh (3H,). All are initially uniform over ±1/√H.
    The blocks of H rows are in the order r, z, n.

    Raises ValueError for a size below 1; TypeError for a size that is not an integer and for an unsupported dtype.

    >>> import numpy as np
    >>> from minirnn import nn
    >>> cell = nn.GRUCell(3, 4)
    >>> h = None
    >>> for x in np.ones((5, 2, 3), np.float32):  # 5 steps of 2 sequences, 3 features
    ...     h = cell(x, h)
    >>> h.shape
    (2, 4)
    """

    kind = "gru"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        *,
        dtype: npt.DTypeLike = np.float32,
        rng: np.random.Generator | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, dtype=dtype, rng=rng)

    def forward(self, x: Any, h: Any = None) -> Tensor:
        """Compute one step.

        Args:
            x: (B, I), or (I,) for one sequence; a Tensor or an array.
            h: (B, H), or (H,) for one sequence. None means zeros.

        Returns h', the next state, with the shape of h.

        Raises ValueError for a shape that does not match; TypeError for a dtype or a device other than that of
        the parameters.
        """
        return self._step(x, h)


# The layers by the name of their cell in `minirnn_kernels.cell.CELLS`.
LAYERS: dict[str, Any] = {layers.kind: layers for layers in (RNN, LSTM, GRU)}
