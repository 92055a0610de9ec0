"""Optimisers, gradient clipping and learning-rate schedules, with PyTorch's names, defaults and numbers."""

from minirnn.optim.clipping import clip_grad_norm_, clip_grad_value_
from minirnn.optim.optimizers import SGD, Adagrad, Adam, AdamW, Optimizer, RMSprop
from minirnn.optim.schedules import CosineLR, ExponentialLR, LambdaLR, Schedule, StepLR

__all__ = [
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "CosineLR",
    "ExponentialLR",
    "LambdaLR",
    "Optimizer",
    "RMSprop",
    "Schedule",
    "StepLR",
    "clip_grad_norm_",
    "clip_grad_value_",
]
