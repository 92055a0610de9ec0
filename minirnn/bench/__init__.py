"""The benchmark: kernels against the fastest libraries on this machine, proven correct before they are timed.

    sizes       well-known sizes, with their sources
    problems    the arguments of one size, their cost, and when two results agree
    peers       the same problem through the kernel records, PyTorch, JAX and ONNX Runtime, as functions to be timed
                (torch_peer, torch_compiled, jax_peer, onnx_peer)
    pointwise   the gates alone
    steps       one step at B = 1
    machine     threads and cores of a process, and the stamp on a result
    timing      interleaved repetitions, quartiles, ratios
    peak        the highest rates of this machine: multiply-adds and memory traffic
    phases      import, compilation, loading from the cache, steady state
    worker      a process that measures, with its number of threads fixed before any library loads
    suite       starts the workers and collects one document
    report      the document as a table and as JSON; `plot` draws it
    doctor      the facts about this machine that `minirnn doctor` prints

Only `minirnn.commands` imports this package. Each library loads at its first use.
"""
