"""Passes and devices for the tests of plans and of cost estimates."""

from hypothesis import strategies as st

from minirnn_kernels.cuda.device import Properties
from minirnn_kernels.cuda.plans import STORAGES, Work
from minirnn_kernels.cuda.source import CUDA_CELLS

A100 = Properties("A100", 80, 108, 166_912, clock=1.41e9, bandwidth=1.5e12, l2_bandwidth=3.6e12, l2_bytes=40 << 20)


def works_of(B, H):
    """Draw passes of any cell and type, with at most B rows and H units."""
    return st.builds(
        Work,
        cell=st.sampled_from(CUDA_CELLS),
        storage=st.sampled_from(list(STORAGES.values())),
        T=st.integers(1, 300),
        B=st.integers(1, B),
        H=st.integers(1, H),
        backward=st.booleans(),
    )
