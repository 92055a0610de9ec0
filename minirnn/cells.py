"""The steps of the cells under their public name, `minirnn.cells`; they are defined in `minirnn.recurrent.cells`."""

from minirnn.recurrent.cells import (
    gru_step,
    gru_step_backward,
    lstm_step,
    lstm_step_backward,
    rnn_step,
    rnn_step_backward,
)

__all__ = ["gru_step", "gru_step_backward", "lstm_step", "lstm_step_backward", "rnn_step", "rnn_step_backward"]
