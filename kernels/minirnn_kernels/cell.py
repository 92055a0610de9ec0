"""The facts about each cell: its name, the gates in the order of the weights' blocks, its states and its biases.

This is the only table of these facts. Layers, kernels, benchmarks and assignments read it. The equations are in
`gates.py`.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Cell:
    """One kind of recurrent cell."""

    name: str  # the value of `nn.LSTM(...).kind`, and the prefix of its functions: "lstm" for `lstm_step`, `lstm_gates`
    gates: tuple[str, ...]  # the blocks of W_ih and W_hh, H rows each, in order; the RNN's only block computes h
    states: tuple[str, ...]  # the arrays carried from step to step; the first is the output
    biases: tuple[str, ...]  # the biases that a step takes, each with a block per gate
    sigmoids: tuple[str, ...] = ()  # the gates whose activation is the sigmoid; their values are in [0, 1]
    nonlinearities: tuple[str, ...] = ()  # the values of the option `nonlinearity`, where the cell has one

    @property
    def title(self) -> str:
        """The name in prose and in PyTorch: "LSTM"."""
        return self.name.upper()

    @property
    def results(self) -> tuple[str, ...]:
        """The results of a forward pass, in order, without the cache: out and the final states."""
        return ("out", *(f"{state}_n" for state in self.states))

    @property
    def inputs(self) -> tuple[str, ...]:
        """The arguments of a forward pass that have gradients, in order: x, the initial states, weights and biases."""
        return ("x", *(f"{state}0" for state in self.states), "W_ih", "W_hh", *self.biases)


RNN = Cell("rnn", gates=("h",), states=("h",), biases=("b",), nonlinearities=("tanh", "relu"))
LSTM = Cell("lstm", gates=("i", "f", "g", "o"), states=("h", "c"), biases=("b",), sigmoids=("i", "f", "o"))
# The GRU takes two biases, because in n, r multiplies only the recurrent bias.
GRU = Cell("gru", gates=("r", "z", "n"), states=("h",), biases=("b_ih", "b_hh"), sigmoids=("r", "z"))

CELLS = {cell.name: cell for cell in (RNN, LSTM, GRU)}
