"""ONNX Runtime: its LSTM, GRU and RNN operators on the CPU, for inference only.

The weights are constants of the model, so that the runtime packs them only once, when it creates the session.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from minirnn.bench.peers import Contender, Missing, library
from minirnn.bench.problems import Array, Problem
from minirnn.recurrent.layouts import convert

__all__ = ["contender"]


def contender(problem: Problem) -> Contender:
    """Return a session with OMP_NUM_THREADS threads as a contender; raise `Missing` unless it is float32 inference."""
    if problem.what != "inference":
        raise Missing("")
    if problem.dtype != "float32":
        raise Missing("onnxruntime: its recurrent operators support only float32")
    runtime = library("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS", 0))
    options.log_severity_level = 3
    session = runtime.InferenceSession(_model(library("onnx"), problem), options, providers=["CPUExecutionProvider"])
    states = problem.spec.states
    feeds = {"x": problem.arrays["x"]} | {f"{s}0": problem.arrays[f"{s}0"][None] for s in states}

    def results(made: Any) -> dict[str, Array]:
        out, *last = made
        return {"out": out[:, 0]} | {f"{s}_n": a[0] for s, a in zip(states, last, strict=True)}

    return Contender("onnxruntime", lambda: session.run(None, feeds), results)


def _model(onnx: Any, problem: Problem) -> bytes:
    """Return a serialised model of one operator: x, h0, (c0) -> out (T, 1, B, H), h_n, (c_n)."""
    s, states, arrays = problem.size, problem.spec.states, problem.arrays
    helper, floats = onnx.helper, onnx.TensorProto.FLOAT
    W, R, b_ih, b_hh = convert(problem.cell, "pytorch", "onnx", arrays["W_ih"], arrays["W_hh"], *problem.pytorch_biases)
    constants = {"W": W[None], "R": R[None], "B": np.concatenate([b_ih, b_hh])[None]}
    options = {"linear_before_reset": 1} if problem.cell == "gru" else {}
    outputs = list(problem.spec.results)
    node = helper.make_node(
        problem.spec.title, ["x", "W", "R", "B", "", *(f"{name}0" for name in states)], outputs,
        hidden_size=s.H, **options,
    )  # fmt: skip
    shapes = {"x": (s.T, s.B, s.I), "out": (s.T, 1, s.B, s.H)}

    def value(name: str) -> Any:
        return helper.make_tensor_value_info(name, floats, shapes.get(name, (1, s.B, s.H)))

    graph = helper.make_graph(
        [node],
        problem.cell,
        [value(name) for name in ("x", *(f"{name}0" for name in states))],
        [value(name) for name in outputs],
        [onnx.numpy_helper.from_array(np.ascontiguousarray(a), name) for name, a in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)])
    model.ir_version = 8
    return bytes(model.SerializeToString())
