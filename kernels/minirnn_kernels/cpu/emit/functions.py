"""LLVM functions that are emitted once into each module that calls them, and loops inside them."""

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir

from minirnn_kernels.cpu.emit.vectors import I64, Emitter, Vector, scalar_type

VOID = ir.VoidType()


def function(
    module: Any, dtype: Any, name: str, arguments: str, body: Callable[..., Vector | None], returns: Any = VOID
) -> Any:
    """Return the LLVM function of this name for this dtype; emit it if the module does not have it yet.

    arguments: one letter each, p for a pointer to dtype, i for an integer. body: emits the code, given an emitter and
    the arguments. returns: the type of the vector that `body` returns, or VOID.
    """
    full_name = f"minirnn_{name}_{np.dtype(dtype).name}"
    if known := module.globals.get(full_name):
        return known
    kinds = {"p": scalar_type(dtype).as_pointer(), "i": I64}
    made = ir.Function(module, ir.FunctionType(returns, [kinds[a] for a in arguments]), full_name)
    made.linkage = "linkonce_odr"
    made.attributes.add("noinline")
    e = Emitter(ir.IRBuilder(made.append_basic_block("entry")), dtype)
    result = body(e, *made.args)
    if result is None:
        e.builder.ret_void()
    else:
        e.builder.ret(result.value)
    return made


def loop(
    e: Emitter,
    first: Any,
    last: Any,
    by: int,
    values: list[Vector],
    body: Callable[[Any, list[Vector]], list[Vector]],
) -> list[Vector]:
    """Emit `for k in range(first, last, by): values = body(k, values)` and return the last values."""
    builder = e.builder
    before = builder.block
    head, inside, after = (builder.function.append_basic_block(name) for name in ("head", "body", "after"))
    builder.branch(head)
    builder.position_at_end(head)
    k = builder.phi(I64)
    k.add_incoming(first, before)
    phis = [builder.phi(e.type) for _ in values]
    for phi, value in zip(phis, values, strict=True):
        phi.add_incoming(value.value, before)
    builder.cbranch(builder.icmp_signed("<", k, last), inside, after)
    builder.position_at_end(inside)
    results = body(k, [Vector(e, phi) for phi in phis])
    k.add_incoming(builder.add(k, I64(by)), builder.block)
    for phi, value in zip(phis, results, strict=True):
        phi.add_incoming(value.value, builder.block)
    builder.branch(head)
    builder.position_at_end(after)
    return [Vector(e, phi) for phi in phis]
