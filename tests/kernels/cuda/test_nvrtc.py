"""The CUDA sources compile for both architectures, without warnings and within REGISTERS.

Also tests of nvrtc.py: it reports warnings, errors and spills.
"""

import itertools

import pytest

from minirnn_kernels.cuda.source import BY_CUPY, CLUSTERS, PRODUCT_KINDS, TITLES, KernelConfiguration, options, text

# The maximum number of registers per thread. A multiprocessor has 65,536: enough for two blocks of 256 threads with
# gates, which need many threads because memory bandwidth limits them, or for one block with a sequence. No kernel may
# spill or use local memory, and none has static shared memory: it is all requested at the launch.
REGISTERS = {
    "gates": {"gates_forward": 128, "gates_backward": 128},
    "sequence": {"forward": 255, "backward": 255, "advance": 32},
}


def grid():
    """Yield (source, configuration, architecture) of every kernel, and whether `make test` compiles it.

    `make test` compiles every kernel of every cell in every type for both architectures, and the LSTM with every kind
    of product. On the newer architecture it compiles RNN and GRU in clusters of two.
    """
    for cell, (storage, products), architecture in itertools.product(TITLES, PRODUCT_KINDS.items(), (80, 90)):
        yield "gates", KernelConfiguration(cell, storage, products[0]), architecture, True
        for product, cluster in itertools.product(products, CLUSTERS if architecture == 90 else (1,)):
            one = 1 if cell == "LSTM" or architecture == 80 else 2
            quick = cluster == one and (cell == "LSTM" or product == products[0])
            yield "sequence", KernelConfiguration(cell, storage, product, cluster), architecture, quick
    yield "sequence", KernelConfiguration("LSTM", "float", "FMA", 8, jitter=True), 90, True


def parameter(name, c, architecture, quick):
    words = [name, c.cell, c.storage, *([c.product, f"cluster{c.cluster}"] if name == "sequence" else [])]
    words += ["jitter"] if c.jitter else []
    marks = () if quick else pytest.mark.slow
    return pytest.param(name, c, architecture, marks=marks, id=f"{'-'.join(words)}-sm_{architecture}")


@pytest.mark.parametrize(("name", "configuration", "architecture"), [parameter(*row) for row in grid()])
def test_it_compiles_and_fits(nvrtc, name, configuration, architecture):
    compiled = nvrtc.compile(text(name), f"{name}.cu", (*options(configuration), *BY_CUPY), architecture)
    assert compiled.warnings == ""
    assert compiled.cubin[:4] == b"\x7fELF"
    assert compiled.kernels.keys() == REGISTERS[name].keys()
    for kernel, used in compiled.kernels.items():
        assert used.registers <= REGISTERS[name][kernel], (kernel, used)
        assert (used.spill_stores, used.spill_loads, used.stack, used.shared) == (0, 0, 0, 0), (kernel, used)


def test_the_grid_has_every_kernel_type_and_architecture():
    rows = list(grid())
    quick = [(name, c, architecture) for name, c, architecture, quick in rows if quick]
    by_architecture = {(name, c.storage, c.product, architecture) for name, c, architecture in quick}
    assert by_architecture >= {
        ("sequence", storage, product, architecture)
        for storage, products in PRODUCT_KINDS.items()
        for product, architecture in itertools.product(products, (80, 90))
    }
    kernels = {(name, c.cell, c.storage, architecture) for name, c, architecture in quick}
    assert kernels == set(itertools.product(REGISTERS, TITLES, PRODUCT_KINDS, (80, 90)))
    everything = {(c.cell, c.storage, c.product, c.cluster, a) for name, c, a, _ in rows if name == "sequence"}
    assert len(everything) == 3 * 6 * (1 + len(CLUSTERS))


ENTRY = 'extern "C" __global__ void kernel(float* a, int n)'


@pytest.mark.parametrize("architecture", [80, 90])
def test_resource_usage_is_read(nvrtc, architecture):
    body = "{ __shared__ float s[64]; s[n % 64] = a[n]; __syncthreads(); a[n] = s[threadIdx.x % 64]; }"
    compiled = nvrtc.compile(ENTRY + body, "kernel.cu", (), architecture)
    used = compiled.kernels["kernel"]
    assert compiled.cubin[:4] == b"\x7fELF"
    assert compiled.warnings == ""
    assert used.shared == 256
    assert 4 <= used.registers <= 32
    assert (used.stack, used.spill_stores, used.spill_loads) == (0, 0, 0)


def test_spills_and_local_memory_are_reported(nvrtc):
    entry = ENTRY.replace("void kernel", "void __maxnreg__(32) kernel")
    body = """{
        float v[100];
        for (int i = 0; i < 100; i++) v[i] = a[i * n];
        for (int j = 0; j < n; j++)
            for (int i = 0; i < 100; i++) v[i] *= v[(i + 1) % 100];
        for (int i = 0; i < 100; i++) a[i] = v[i];
    }"""
    used = nvrtc.compile(entry + body, "kernel.cu", (), 80).kernels["kernel"]
    assert used.registers == 32
    assert min(used.stack, used.spill_stores, used.spill_loads) > 0


def test_a_warning_is_reported(nvrtc):
    assert '"unused"' in nvrtc.compile(ENTRY + "{ int unused; }", "kernel.cu", (), 90).warnings


def test_an_error_is_raised_with_the_compilers_log(nvrtc):
    with pytest.raises(nvrtc.CompileError, match=r'kernel\.cu\(1\): error: identifier "b" is undefined'):
        nvrtc.compile(ENTRY + "{ b = a; }", "kernel.cu", (), 90)
