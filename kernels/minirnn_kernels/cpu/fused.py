"""The record "fused": products by NumPy, and fused, vectorised gates; the second of three stages.

With NUMBA_DISABLE_JIT=1 no vector code can be compiled; NumPy then computes the gates too, and a line on stderr says
so.
"""

import sys

try:
    import numba
except ImportError as error:
    raise ImportError(f"the fused kernels are compiled by Numba, which can't be imported here: {error}") from error

from minirnn_kernels.contract import Kernels
from minirnn_kernels.reference.gates import GATES
from minirnn_kernels.reference.sequences import sequences


def _record() -> Kernels:
    if numba.config.DISABLE_JIT:
        print("minirnn: NUMBA_DISABLE_JIT is set, so the gates are computed by NumPy", file=sys.stderr)
        return sequences("fused", GATES)
    from minirnn_kernels.cpu import gates

    return sequences("fused", gates.GATES)


KERNELS = _record()
