"""The proof that a record of kernels fulfils the contract: every function against `gates.py` in float64.

    prove(minirnn_kernels.get("numpy"))

`prove` tests a whole record in fixed cases and `prove_gates` only its gates. `prove_case` and `prove_gates_case` take
the sizes of one case, for tests that draw sizes. `Transfer` tells them how to reach a device. All raise an
AssertionError that names the cell or function, the dtype, the case, the result and its worst entry.

    sequences    whole records: forward, backward, inference and step
    gates        the pointwise level
    loop         the plain loop over the gates that sequences are compared with
    cases        the shapes, lengths and values
    rounding     the errors allowed for 16-bit storage and TF32 products
    comparison   arrays against their expected values; records on another device
"""

from minirnn_kernels.proof.cases import SequenceCase
from minirnn_kernels.proof.comparison import Transfer
from minirnn_kernels.proof.gates import prove_gates, prove_gates_case
from minirnn_kernels.proof.sequences import prove, prove_case

__all__ = ["SequenceCase", "Transfer", "prove", "prove_case", "prove_gates", "prove_gates_case"]
