"""Modules, losses and initialisers, with PyTorch's names.

`module.py` has the base class. `recurrent.py` has RNN, LSTM, GRU and their cells, `layers.py` the other layers,
and `attention.py` two kinds of attention. `functional.py` has the losses and activations as functions, and `init.py`
the initialisers, which are used as `nn.init`. `detach` truncates backpropagation through time.
"""

from minirnn.nn import functional, init, recurrent
from minirnn.nn.attention import AdditiveAttention, DotAttention
from minirnn.nn.functional import cross_entropy, dropout, log_softmax, mse_loss, relu, sigmoid, softmax
from minirnn.nn.layers import Dropout, Embedding, LayerNorm, Linear, LockedDropout, ReLU, Sigmoid, Tanh
from minirnn.nn.module import Module, ModuleList, Parameter, Sequential
from minirnn.nn.recurrent import *  # noqa: F403  (the layers and cells in its __all__)
from minirnn.recurrent.state import detach

__all__ = [
    "AdditiveAttention",
    "DotAttention",
    "Dropout",
    "Embedding",
    "LayerNorm",
    "Linear",
    "LockedDropout",
    "Module",
    "ModuleList",
    "Parameter",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Tanh",
    "cross_entropy",
    "detach",
    "dropout",
    "functional",
    "init",
    "log_softmax",
    "mse_loss",
    "relu",
    "sigmoid",
    "softmax",
]
__all__ += recurrent.__all__
