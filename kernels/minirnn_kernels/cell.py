"""The facts about each cell: its name, the gates in the order of the weights' blocks, its states and its weights.

This is the only table of these facts. Layers, kernels, benchmarks and assignments read it. The equations are in
`gates.py`.
"""

from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Cell:
    """One kind of recurrent cell."""

    name: str  # as in `nn.LSTM(...).kind`, and as the prefix of its functions: "lstm" for `lstm_step`, `lstm_gates`
    title: str  # the name in prose, of its module in `minirnn.nn` and of its struct in CUDA: "LSTM"
    gates: tuple[str, ...]  # the blocks of W_ih and W_hh, H rows each, in order; the RNN's only block computes h
    states: tuple[str, ...]  # the arrays carried from step to step; the first is the output
    biases: tuple[str, ...]  # the biases that a step takes, each with a block per gate
    unit_weights: tuple[str, ...] = ()  # vectors (H,) with a weight per unit, such as peepholes; a step takes them last
    sigmoids: tuple[str, ...] = ()  # the gates whose activation is the sigmoid; their values are in [0, 1]
    nonlinearities: tuple[str, ...] = ()  # the values of the option `nonlinearity`, where the cell has one

    @cached_property
    def two_biases(self) -> bool:
        """Whether a step takes b_ih and b_hh separately. Otherwise it takes one bias, which is their sum."""
        return len(self.biases) == 2

    def shapes(self, I: int, H: int) -> dict[str, tuple[int, ...]]:
        """Return the shapes of all weights and biases, in the order in which a step takes them after x and the states.

        I is the number of inputs, H the number of units.
        """
        K = len(self.gates) * H
        biases, unit_weights = dict.fromkeys(self.biases, (K,)), dict.fromkeys(self.unit_weights, (H,))
        return {"W_ih": (K, I), "W_hh": (K, H), **biases, **unit_weights}

    def parameters(self, I: int, H: int) -> dict[str, tuple[int, ...]]:
        """Return the shapes of a layer's parameters by PyTorch's names, in order. There are always two biases."""
        K = len(self.gates) * H
        shapes = {"weight_ih": (K, I), "weight_hh": (K, H), "bias_ih": (K,), "bias_hh": (K,)}
        return shapes | {f"weight_{name}": (H,) for name in self.unit_weights}

    @cached_property
    def results(self) -> tuple[str, ...]:
        """The results of a forward pass, in order, without the cache: out and the final states."""
        return ("out", *(f"{state}_n" for state in self.states))

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """The arguments of a forward that have gradients, in order: x, the initial states, weights and biases."""
        return ("x", *(f"{state}0" for state in self.states), *self.shapes(1, 1))


RNN = Cell("rnn", "RNN", gates=("h",), states=("h",), biases=("b",), nonlinearities=("tanh", "relu"))
LSTM = Cell("lstm", "LSTM", gates=("i", "f", "g", "o"), states=("h", "c"), biases=("b",), sigmoids=("i", "f", "o"))
# The GRU takes two biases, because r multiplies only the recurrent one of n.
GRU = Cell("gru", "GRU", gates=("r", "z", "n"), states=("h",), biases=("b_ih", "b_hh"), sigmoids=("r", "z"))

CELLS = {cell.name: cell for cell in (RNN, LSTM, GRU)}
