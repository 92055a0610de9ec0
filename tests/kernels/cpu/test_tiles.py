"""Tests of the inner loops of the packed kernels: the machine code of their tiles, for this CPU and for others."""

import numpy as np
import pytest
from llvmlite import binding, ir

from minirnn_kernels.cpu.emit import tiles, vectors

CPUS = {  # LLVM's name: features, and the name of a whole vector register in machine code
    "znver4": ({"avx512f": True, "fma": True}, "%zmm"),
    "sapphirerapids": ({"avx512f": True, "fma": True}, "%zmm"),
    "znver3": ({"avx2": True, "fma": True}, "%ymm"),
    "haswell": ({"avx2": True, "fma": True}, "%ymm"),
    "x86-64": ({}, "%xmm"),
}
x86 = pytest.mark.skipif(not binding.get_process_triple().startswith("x86_64"), reason="this LLVM does not target x86")


@pytest.fixture(params=CPUS)
def cpu(request, monkeypatch):
    machine = vectors.machine_of(CPUS[request.param][0], "x86_64")
    monkeypatch.setattr(vectors, "machine", lambda: machine)
    return request.param


def tile_lines(cpu, dtype, rows, width, across=False):
    """Return the lines of a tile's machine code."""
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    module = ir.Module()
    module.triple = binding.get_process_triple()
    tiles.tile_function(module, dtype, rows, width, across).linkage = ""
    target = binding.Target.from_triple(module.triple).create_target_machine(cpu=cpu, opt=3, jit=True)
    compiled = binding.parse_assembly(str(module))
    passes = binding.create_pass_builder(target, binding.create_pipeline_tuning_options(speed_level=3))
    passes.getModulePassManager().run(compiled, passes)
    return target.emit_assembly(compiled).splitlines()


def vectors_on_the_stack(cpu, lines):
    return [line for line in lines if CPUS[cpu][1] in line and "(%rsp)" in line]


def longest_run(lines):
    """Return the longest run of instructions without a label between them."""
    runs = [[]]
    for line in map(str.strip, lines):
        if line.endswith(":"):
            runs.append([])
        elif line and not line.startswith((".", "#")):
            runs[-1].append(line)
    return max(runs, key=len)


@x86
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_tile_keeps_to_the_registers(cpu, dtype):
    machine = vectors.machine()
    assert machine.rows.keys() == {3, machine.panel}
    for width in machine.rows:
        for rows in range(1, machine.rows[width] + 1):
            for across in (False, True)[: 1 + (width == machine.panel)]:
                lines = tile_lines(cpu, dtype, rows, width, across)
                assert sum(("vfmadd" if machine.fused else "mulp") in line for line in lines) >= rows * width
                assert not vectors_on_the_stack(cpu, lines), (rows, width)


@x86
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("across", [False, True])
def test_a_step_of_the_largest_tile_is_little_but_multiply_adds_and_loads(cpu, dtype, across):
    machine = vectors.machine()
    if not machine.fused:
        pytest.skip("no multiply-add")
    rows, width = machine.rows[machine.panel], machine.panel
    body = longest_run(tile_lines(cpu, dtype, rows, width, across))
    assert sum("vfmadd" in line for line in body) == tiles.UNROLLED_STEPS * rows * width
    needed = rows * width + rows + width  # multiply-adds, broadcasts, loads
    assert len(body) <= tiles.UNROLLED_STEPS * needed + 6
    assert not any("prefetch" in line for line in body)  # it is in a separate block


@x86
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("width", [2, 3, 4])
def test_a_tile_that_is_too_large_would_be_seen(cpu, dtype, width):
    rows = vectors.machine().registers // width + 1
    assert vectors_on_the_stack(cpu, tile_lines(cpu, dtype, rows, width))


@pytest.mark.parametrize(
    ("features", "architecture"),
    [
        ({"avx512f": True, "fma": True}, "x86_64"),
        ({"avx2": True, "fma": True}, "x86_64"),
        ({}, "x86_64"),
        ({}, "arm64"),
    ],
)
def test_every_machine_has_tiles_that_fit_its_registers(features, architecture):
    machine = vectors.machine_of(features, architecture)
    for width, rows in machine.rows.items():
        assert rows * width + tiles.extra_registers(machine, rows, width) <= machine.registers
