"""The vector instructions that the Numba kernels use, as functions that compiled code can call.

Memory is given by addresses, integers that count bytes, as an array's `ctypes.data` does: `at(a, i, j)` is that of
a[i, j]. `like` is a pointer or an array of the dtype that stands there; what it points to is not looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from minirnn_kernels.cpu.emit import gates, tiles, vectors
from minirnn_kernels.cpu.emit.vectors import I64, Emitter


def _dtype(like: Any) -> Any:
    return np.float32 if like.dtype == types.float32 else np.float64


def _pointer(builder: Any, like: Any, address: Any) -> Any:
    scalar = ir.FloatType() if _dtype(like) == np.float32 else ir.DoubleType()
    return builder.inttoptr(address, scalar.as_pointer())


# ---- sizes and addresses -------------------------------------------------------------------------------------------


@intrinsic
def lanes(typing: Any, like: Any) -> Any:
    """Numbers in a vector: a constant of the compiled code."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return I64(vectors.lanes(_dtype(like)))

    return types.int64(like), emit


@intrinsic
def tile_rows(typing: Any) -> Any:
    """The most rows that `tile` takes: a constant of the compiled code."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        machine = vectors.machine()
        return I64(machine.rows[machine.panel])

    return types.int64(), emit


@intrinsic
def tile3_rows(typing: Any) -> Any:
    """The same for `tile3`."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return I64(vectors.machine().rows[3])

    return types.int64(), emit


@intrinsic
def pointer(typing: Any, address: Any, like: Any) -> Any:
    """The address as a pointer of the type of `like`, from which `numba.carray` makes an array."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], context.get_value_type(like))

    return like(address, like), emit


@intrinsic
def integers(typing: Any, address: Any) -> Any:
    """The address as a pointer to integers."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], I64.as_pointer())

    return types.CPointer(types.int64)(types.int64), emit


@intrinsic
def at(typing: Any, a: Any, i: Any, j: Any) -> Any:
    """The address of a[i, j]; it need not exist."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        value, i_, j_ = arguments
        array = cgutils.create_struct_proxy(a)(context, builder, value=value)
        row, column = cgutils.unpack_tuple(builder, array.strides, 2)
        offset = builder.add(builder.mul(i_, row), builder.mul(j_, column))
        return builder.add(builder.ptrtoint(array.data, I64), offset)

    return types.int64(a, types.int64, types.int64), emit


# ---- products and copies: the functions of `tiles` -----------------------------------------------------------------


def _tile(width: int, across: bool, like: Any, arguments: tuple[Any, ...]) -> Any:
    """Calls the tile function for this number of rows."""

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        _, rows, a, a_stride, K, panel, c, c_stride, v_stride, add, ahead = values
        panel, c, ahead = (_pointer(builder, like, address) for address in (panel, c, ahead))
        done = builder.append_basic_block("done")
        switch = builder.switch(rows, done)
        for n in range(1, vectors.machine().rows[width] + 1):
            case = builder.append_basic_block(f"rows_{n}")
            switch.add_case(I64(n), case)
            builder.position_at_end(case)
            function = tiles.tile_function(builder.module, _dtype(like), n, width, across)
            starts = [builder.add(a, builder.mul(a_stride, I64(r))) for r in range(1 if across else n)]
            a_rows = [_pointer(builder, like, start) for start in starts]
            builder.call(function, [K, panel, c, c_stride, v_stride, add, ahead, *a_rows])
            builder.branch(done)
        builder.position_at_end(done)
        return context.get_dummy_value()

    return types.void(like, *(types.int64 for _ in arguments)), emit


@intrinsic
def tile(typing, like, rows, a, a_stride, K, panel, c, c_stride, v_stride, add, ahead):
    """`tiles.tile_function`, as many vectors wide as the machine's panels."""
    given = (rows, a, a_stride, K, panel, c, c_stride, v_stride, add, ahead)
    return _tile(vectors.machine().panel, False, like, given)


@intrinsic
def tile_across(typing, like, rows, a, a_stride, K, panel, c, c_stride, v_stride, add, ahead):
    """The same with a panel's columns as the rows of a."""
    given = (rows, a, a_stride, K, panel, c, c_stride, v_stride, add, ahead)
    return _tile(vectors.machine().panel, True, like, given)


@intrinsic
def tile3(typing, like, rows, a, a_stride, K, panel, c, c_stride, v_stride, add, ahead):
    """`tile`, three vectors wide."""
    return _tile(3, False, like, (rows, a, a_stride, K, panel, c, c_stride, v_stride, add, ahead))


@intrinsic
def transpose(typing, like, a, a_stride, c, c_stride):
    """`tiles.transpose_function`."""

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        _, a_, a_stride_, c_, c_stride_ = values
        function = tiles.transpose_function(builder.module, _dtype(like))
        builder.call(function, [_pointer(builder, like, a_), a_stride_, _pointer(builder, like, c_), c_stride_])
        return context.get_dummy_value()

    return types.void(like, *[types.int64] * 4), emit


@intrinsic
def copy_panel(typing, like, a, a_stride, n, panel, sums):
    """`tiles.panel_function`."""

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        _, a_, a_stride_, n_, panel_, sums_ = values
        function = tiles.panel_function(builder.module, _dtype(like))
        a_, panel_, sums_ = (_pointer(builder, like, address) for address in (a_, panel_, sums_))
        builder.call(function, [a_, a_stride_, n_, panel_, sums_])
        return context.get_dummy_value()

    return types.void(like, *[types.int64] * 5), emit


# ---- pointwise functions of vectors --------------------------------------------------------------------------------


def _pointwise(equations: Callable[..., tuple[Any, ...]], like: Any, n: Any, loads: Any, stores: Any) -> Any:
    """The first n entries (at most a vector) from each address of `loads` on -> those from each of `stores` on."""

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        _, n_, loads_, stores_ = values
        e = Emitter(builder, _dtype(like))
        sources = [_pointer(builder, like, a) for a in cgutils.unpack_tuple(builder, loads_)]
        places = [_pointer(builder, like, a) for a in cgutils.unpack_tuple(builder, stores_)]

        # One question for all of them: a branch at each load would keep the compiler from ordering what is between.
        with builder.if_else(e.is_whole(n_)) as (whole, part):
            with whole:
                for result, place in zip(equations(*map(e.load, sources)), places, strict=True):
                    e.store(result, place)
            with part:
                for result, place in zip(equations(*(e.load_first(n_, a) for a in sources)), places, strict=True):
                    e.store_first(n_, result, place)
        return context.get_dummy_value()

    return types.void(like, types.int64, loads, stores), emit


@intrinsic
def sigmoid(typing, like, n, loads, stores):
    return _pointwise(lambda x: vectors.activate(vectors.sigmoid(x)), like, n, loads, stores)


@intrinsic
def tanh(typing, like, n, loads, stores):
    return _pointwise(lambda x: vectors.activate(vectors.tanh(x)), like, n, loads, stores)


@intrinsic
def rnn_tanh(typing, like, n, loads, stores):
    return _pointwise(gates.rnn_tanh, like, n, loads, stores)


@intrinsic
def rnn_relu(typing, like, n, loads, stores):
    return _pointwise(gates.rnn_relu, like, n, loads, stores)


@intrinsic
def rnn_tanh_backward(typing, like, n, loads, stores):
    return _pointwise(gates.rnn_tanh_backward, like, n, loads, stores)


@intrinsic
def rnn_relu_backward(typing, like, n, loads, stores):
    return _pointwise(gates.rnn_relu_backward, like, n, loads, stores)


@intrinsic
def lstm_cell(typing, like, n, loads, stores):
    return _pointwise(gates.lstm_cell, like, n, loads, stores)


@intrinsic
def lstm_output(typing, like, n, loads, stores):
    return _pointwise(gates.lstm_output, like, n, loads, stores)


@intrinsic
def lstm_backward(typing, like, n, loads, stores):
    return _pointwise(gates.lstm_backward, like, n, loads, stores)


@intrinsic
def gru_gates(typing, like, n, loads, stores):
    return _pointwise(gates.gru_gates, like, n, loads, stores)


@intrinsic
def gru_output(typing, like, n, loads, stores):
    return _pointwise(gates.gru_output, like, n, loads, stores)


@intrinsic
def gru_backward(typing, like, n, loads, stores):
    return _pointwise(gates.gru_backward, like, n, loads, stores)


# ---- threads -------------------------------------------------------------------------------------------------------


@intrinsic
def atomic_add(typing, address, number):
    """Add to the integer at the address, indivisibly -> what stood there before."""

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        address_, number_ = values
        return builder.atomic_rmw("add", builder.inttoptr(address_, I64.as_pointer()), number_, "seq_cst")

    return types.int64(types.int64, types.int64), emit


@intrinsic
def atomic_exchange_if(typing, address, expected, number):
    """Put the number where `expected` stands, indivisibly -> what stood there before."""

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        address_, expected_, number_ = values
        place = builder.inttoptr(address_, I64.as_pointer())
        result = builder.cmpxchg(place, expected_, number_, "seq_cst", "seq_cst")
        return builder.extract_value(result, 0)

    return types.int64(types.int64, types.int64, types.int64), emit


@intrinsic
def give_way(typing):
    """Let another thread of this CPU run, if one wants to."""

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        if "windows" not in builder.module.triple:
            yield_ = ir.FunctionType(ir.IntType(32), [])
            builder.call(cgutils.get_or_insert_function(builder.module, yield_, "sched_yield"), [])
        return context.get_dummy_value()

    return types.void(), emit


@intrinsic
def call_work(typing: Any, address: Any, part: Any, job: Any) -> Any:
    """Call the compiled work at this address: work(part, address of its job, a null pointer of its dtype)."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address_, part_, job_ = arguments
        byte = ir.IntType(8).as_pointer()
        work = ir.FunctionType(ir.VoidType(), [I64, byte, byte]).as_pointer()
        given = [part_, builder.inttoptr(job_, byte), ir.Constant(byte, None)]
        builder.call(builder.inttoptr(address_, work), given)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), emit
