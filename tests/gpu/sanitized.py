"""The program that runs under compute-sanitizer: a small sequence of each cell, forward and backward, in every way.

compute-sanitizer --tool memcheck python -m tests.gpu.sanitized
"""

import numpy as np

from minirnn_kernels.cuda import sequences
from minirnn_kernels.proof import SequenceCase, Transfer, prove_case
from tests.gpu.devices import WAYS, Gpu, narrowed


def main() -> None:
    gpu = Gpu.of_cupy()
    for way in WAYS:
        if way.startswith("cluster") and gpu.architecture < 90:
            continue
        record = sequences.kernels(gpu.device, **narrowed(way))
        for cell, dtype in (("lstm", np.float32), ("gru", np.float16), ("rnn-tanh", np.float64)):
            prove_case(
                record, cell, SequenceCase(T=3, B=17, I=5, H=20, ragged=True), dtype=dtype,
                transfer=Transfer(gpu.to_device, gpu.to_host),
            )  # fmt: skip
    gpu.wait()
    print("ran to the end")


if __name__ == "__main__":
    main()
