"""A document with invented numbers, for the tests of tables and figures."""

from minirnn.bench import suite
from minirnn.bench.sizes import NINE


def document():
    """Return a document: LSTMs of nine sizes, trained and in inference, one refused contender, gates of one size."""
    rows = []
    for what in ("training", "inference"):
        for k, size in enumerate(NINE):
            times = {"numba": times_of(0.01 + k / 100, 150), "torch": times_of(0.02 + k / 50, 75)}
            ratio = {"median": 2.0, "q1": 1.9, "q3": 2.2}
            rows.append(row(what, vars(size), times, {"torch": ratio}))
    del rows[0]["times"]["numba"]
    rows[0] |= {"ratios": {}, "refused": {"numba": "dW_hh[1, 2] is 3, expected 4: error 1, allowed 0.1"}}
    rows[0]["missing"] = {"jax": "jax: No module named 'jax'"}
    gates = {"name": "32x256", "B": 32, "T": 1, "I": 0, "H": 256, "origin": ""}
    bound = {"seconds": 1e-5, "by": "traffic", "traffic": 1e-5, "instructions": 5e-6}
    rows.append(row("gates", gates, {"numba": times_of(2e-5, None)}, {}, bound))
    return {
        "schema": suite.SCHEMA,
        "seed": 0,
        "command": "python benchmarks/cpu.py",
        "machine": {
            "date": "2026-01-02T03:04:05+00:00", "cpu": "A CPU", "architecture": "x86_64", "cores": 2, "simd": [],
            "system": "Linux", "python": "3.12", "versions": {"numpy": "2.4", "torch": "2.13"},
            "blas": ["openblas 0.3, Zen kernels, 2 threads"], "load": 0.1,
        },
        "runs": [{
            "threads": 2, "others": 0.01, "flops": {"float32": 240e9}, "traffic": {str(2**28): 30e9},
            "reason": None, "proofs": {"numba": None}, "part": "training",
        }],
        "rows": rows,
        "summaries": suite.summaries(rows),
        "phases": [],
    }  # fmt: skip


def times_of(median, gflops):
    of_peak = None if gflops is None else gflops / 240
    return {
        "samples": 9,
        "median": median,
        "q1": 0.9 * median,
        "q3": 1.1 * median,
        "gflops": gflops,
        "of_peak": of_peak,
    }


def row(what, size, times, ratios, bound=None):
    return {
        "what": what, "cell": "lstm", "dtype": "float32", "threads": 2, "size": size, "ours": "numba",
        "peak": None if bound else 240e9, "flop": 0 if bound else 10**9,
        "bytes": 10**7, "tolerance": 1e-5, "times": times, "ratios": ratios,
        "errors": {}, "refused": {}, "missing": {}, "others": 0.0, "bound": bound,
    }  # fmt: skip
