"""The benchmark: kernels against the best there is on this machine, proven right before a time is shown.

    sizes       the sizes that people recognise, with their origin
    problems    arguments of one size, what they cost, and when two results agree
    peers       the same work through the kernel records, PyTorch, JAX and ONNX Runtime, as functions to be timed
                (torch_peer, torch_compiled, jax_peer, onnx_peer)
    pointwise   the gates alone
    steps       one step at B = 1
    machine     threads and cores for a process, and what a result is stamped with
    timing      interleaved repetitions, quartiles, ratios
    peak        what this machine can do at most: multiply-adds and memory traffic
    phases      import, compilation, loading from the cache, steady state
    worker      a process that measures, with its number of threads fixed before any library loads
    suite       starts the workers and gathers one document
    report      that document as a table and as JSON; `plot` as a figure

Nothing else in minirnn imports this package. Each library loads when it is first needed.
"""
