"""Modules, losses and initialisers, under PyTorch's names."""

from . import functional, init
from .attention import AdditiveAttention, DotAttention
from .functional import cross_entropy, dropout, log_softmax, mse_loss, relu, sigmoid, softmax
from .layers import Dropout, Embedding, LayerNorm, Linear, LockedDropout, ReLU, Sigmoid, Tanh
from .module import Module, ModuleList, Parameter, Sequential
from .recurrent import GRU, LSTM, RNN, GRUCell, LSTMCell, RNNCell

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "AdditiveAttention",
    "DotAttention",
    "Dropout",
    "Embedding",
    "GRUCell",
    "LSTMCell",
    "LayerNorm",
    "Linear",
    "LockedDropout",
    "Module",
    "ModuleList",
    "Parameter",
    "RNNCell",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Tanh",
    "cross_entropy",
    "dropout",
    "functional",
    "init",
    "log_softmax",
    "mse_loss",
    "relu",
    "sigmoid",
    "softmax",
]
