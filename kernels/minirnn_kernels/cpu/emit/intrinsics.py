"""The vector instructions that the Numba kernels use, as functions that compiled code can call.

Memory is given by addresses, integers that count bytes, as an array's `ctypes.data` does: `at(a, i, j)` is the address
of a[i, j]. `like` is a pointer or an array whose dtype is that of the memory; its contents are not read.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from minirnn_kernels.cpu.emit import gates, tiles, vectors
from minirnn_kernels.cpu.emit.vectors import BYTE_POINTER, I64, Emitter, scalar_type


def dtype_of(like: Any) -> Any:
    """Return the NumPy dtype of an array or pointer, given its Numba type."""
    return np.float32 if like.dtype == types.float32 else np.float64


def _pointer(builder: Any, like: Any, address: Any) -> Any:
    return builder.inttoptr(address, scalar_type(dtype_of(like)).as_pointer())


# An @intrinsic takes the Numba types of its arguments, and returns its signature and the function that emits its code.


def _value(result: Any, arguments: tuple[Any, ...], emit: Callable[..., Any]) -> Any:
    """Return an intrinsic with a result; `emit(builder, *values)` emits its code and returns the result."""
    return result(*arguments), lambda context, builder, signature, values: emit(builder, *values)


def _effect(arguments: tuple[Any, ...], emit: Callable[..., Any]) -> Any:
    """Return an intrinsic without a result; `emit(builder, *values)` emits its code."""

    def emit_all(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        emit(builder, *values)
        return context.get_dummy_value()

    return types.void(*arguments), emit_all


# ---- sizes and addresses -------------------------------------------------------------------------------------------


@intrinsic
def lanes(typing, like):
    """Return the number of entries in a vector: a constant of the compiled code."""
    return _value(types.int64, (like,), lambda builder, _: I64(vectors.lanes(dtype_of(like))))


@intrinsic
def tile_rows(typing):
    """Return the largest number of rows that `tile` takes: a constant of the compiled code."""
    return _value(types.int64, (), lambda builder: I64(vectors.machine().rows[vectors.machine().panel]))


@intrinsic
def tile3_rows(typing):
    """Return the largest number of rows that `tile3` takes: a constant of the compiled code."""
    return _value(types.int64, (), lambda builder: I64(vectors.machine().rows[3]))


@intrinsic
def pointer(typing, address, like):
    """Return the address as a pointer of the type of `like`, from which `numba.carray` can make an array."""
    return _value(like, (address, like), lambda builder, address_, _: _pointer(builder, like, address_))


@intrinsic
def integers(typing, address):
    """Return the address as a pointer to integers."""
    result = types.CPointer(types.int64)
    return _value(result, (types.int64,), lambda builder, address_: builder.inttoptr(address_, I64.as_pointer()))


@intrinsic
def at(typing, a, i, j):
    """Return the address of a[i, j]; the entry need not exist."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        value, i_, j_ = arguments
        array = cgutils.create_struct_proxy(a)(context, builder, value=value)
        row, column = cgutils.unpack_tuple(builder, array.strides, 2)
        offset = builder.add(builder.mul(i_, row), builder.mul(j_, column))
        return builder.add(builder.ptrtoint(array.data, I64), offset)

    return types.int64(a, types.int64, types.int64), emit


# ---- products and copies: the functions of `tiles` -----------------------------------------------------------------


def _tile(width: int, across: bool, like: Any) -> Any:
    """Return the intrinsic that calls the tile function for the given number of rows."""

    def emit(builder, _, rows, a, a_stride, K, panel, c, c_stride, v_stride, add, ahead):
        panel, c, ahead = (_pointer(builder, like, address) for address in (panel, c, ahead))
        done = builder.append_basic_block("done")
        switch = builder.switch(rows, done)
        for n in range(1, vectors.machine().rows[width] + 1):
            case = builder.append_basic_block(f"rows_{n}")
            switch.add_case(I64(n), case)
            builder.position_at_end(case)
            function = tiles.tile_function(builder.module, dtype_of(like), n, width, across)
            starts = [builder.add(a, builder.mul(a_stride, I64(r))) for r in range(1 if across else n)]
            a_rows = [_pointer(builder, like, start) for start in starts]
            builder.call(function, [K, panel, c, c_stride, v_stride, add, ahead, *a_rows])
            builder.branch(done)
        builder.position_at_end(done)

    return _effect((like, *[types.int64] * 10), emit)


@intrinsic
def tile(typing, like, rows, a, a_stride, K, panel, c, c_stride, v_stride, add, ahead):
    """Call `tiles.tile_function`, as many vectors wide as the machine's panels."""
    return _tile(vectors.machine().panel, False, like)


@intrinsic
def tile_across(typing, like, rows, a, a_stride, K, panel, c, c_stride, v_stride, add, ahead):
    """Call the same function with a panel's columns as the rows of a."""
    return _tile(vectors.machine().panel, True, like)


@intrinsic
def tile3(typing, like, rows, a, a_stride, K, panel, c, c_stride, v_stride, add, ahead):
    """Call the same function, three vectors wide."""
    return _tile(3, False, like)


@intrinsic
def transpose(typing, like, a, a_stride, c, c_stride):
    """Call `tiles.transpose_function`."""

    def emit(builder, _, a, a_stride, c, c_stride):
        function = tiles.transpose_function(builder.module, dtype_of(like))
        builder.call(function, [_pointer(builder, like, a), a_stride, _pointer(builder, like, c), c_stride])

    return _effect((like, *[types.int64] * 4), emit)


@intrinsic
def copy_panel(typing, like, a, a_stride, n, panel, sums):
    """Call `tiles.panel_function`."""

    def emit(builder, _, a, a_stride, n, panel, sums):
        function = tiles.panel_function(builder.module, dtype_of(like))
        a, panel, sums = (_pointer(builder, like, address) for address in (a, panel, sums))
        builder.call(function, [a, a_stride, n, panel, sums])

    return _effect((like, *[types.int64] * 5), emit)


# ---- pointwise functions of vectors --------------------------------------------------------------------------------


def _pointwise(equations: Callable[..., tuple[Any, ...]]) -> Any:
    """Return the intrinsic (like, n, loads, stores), which applies the equations to one vector of each array.

    loads and stores are tuples of addresses, one for each argument and each result of the equations. Only the first n
    entries are read and written (a whole vector if n is larger).
    """

    @intrinsic
    def apply(typing, like, n, loads, stores):
        def emit(builder, _, n, loads, stores):
            e = Emitter(builder, dtype_of(like))
            sources = [_pointer(builder, like, a) for a in cgutils.unpack_tuple(builder, loads)]
            places = [_pointer(builder, like, a) for a in cgutils.unpack_tuple(builder, stores)]

            # One branch for all of them: a branch at each load would keep LLVM from reordering the code between loads.
            with builder.if_else(e.is_whole(n)) as (whole, part):
                with whole:
                    for result, place in zip(equations(*map(e.load, sources)), places, strict=True):
                        e.store(result, place)
                with part:
                    for result, place in zip(equations(*(e.load_first(n, a) for a in sources)), places, strict=True):
                        e.store_first(n, result, place)

        return _effect((like, types.int64, loads, stores), emit)

    return apply


sigmoid = _pointwise(lambda x: vectors.activate(vectors.sigmoid(x)))
tanh = _pointwise(lambda x: vectors.activate(vectors.tanh(x)))
rnn_tanh = _pointwise(gates.rnn_tanh)
rnn_relu = _pointwise(gates.rnn_relu)
rnn_tanh_backward = _pointwise(gates.rnn_tanh_backward)
rnn_relu_backward = _pointwise(gates.rnn_relu_backward)
lstm_cell = _pointwise(gates.lstm_cell)
lstm_output = _pointwise(gates.lstm_output)
lstm_backward = _pointwise(gates.lstm_backward)
gru_gates = _pointwise(gates.gru_gates)
gru_output = _pointwise(gates.gru_output)
gru_backward = _pointwise(gates.gru_backward)


# ---- threads -------------------------------------------------------------------------------------------------------


@intrinsic
def atomic_add(typing, address, number):
    """Add to the integer at the address, atomically, and return its earlier value."""

    def emit(builder, address, number):
        return builder.atomic_rmw("add", builder.inttoptr(address, I64.as_pointer()), number, "seq_cst")

    return _value(types.int64, (types.int64, types.int64), emit)


@intrinsic
def atomic_exchange_if(typing, address, expected, number):
    """Replace the integer at the address if it equals `expected`, atomically, and return its earlier value."""

    def emit(builder, address, expected, number):
        place = builder.inttoptr(address, I64.as_pointer())
        return builder.extract_value(builder.cmpxchg(place, expected, number, "seq_cst", "seq_cst"), 0)

    return _value(types.int64, (types.int64, types.int64, types.int64), emit)


@intrinsic
def yield_thread(typing):
    """Let another thread of this CPU run, if one is ready."""

    def emit(builder):
        if "windows" not in builder.module.triple:
            sched_yield = ir.FunctionType(ir.IntType(32), [])
            builder.call(cgutils.get_or_insert_function(builder.module, sched_yield, "sched_yield"), [])

    return _effect((), emit)


@intrinsic
def call_work(typing, address, part, job):
    """Call the compiled work at this address: work(part, address of its job, a null pointer of its dtype)."""

    def emit(builder, address, part, job):
        work = ir.FunctionType(ir.VoidType(), [I64, BYTE_POINTER, BYTE_POINTER]).as_pointer()
        given = [part, builder.inttoptr(job, BYTE_POINTER), ir.Constant(BYTE_POINTER, None)]
        builder.call(builder.inttoptr(address, work), given)

    return _effect((types.int64, types.int64, types.int64), emit)
