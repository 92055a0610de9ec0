"""Modules, losses and initialisers, under PyTorch's names."""

from minirnn.nn import functional, init
from minirnn.nn.attention import AdditiveAttention, DotAttention
from minirnn.nn.functional import cross_entropy, dropout, log_softmax, mse_loss, relu, sigmoid, softmax
from minirnn.nn.layers import Dropout, Embedding, LayerNorm, Linear, LockedDropout, ReLU, Sigmoid, Tanh
from minirnn.nn.module import Module, ModuleList, Parameter, Sequential
from minirnn.nn.recurrent import GRU, LSTM, RNN, GRUCell, LSTMCell, RNNCell

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
