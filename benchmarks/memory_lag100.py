"""The part of `minirnn experiment memory --full` that comes first, by itself: RNN and LSTM at a lag of 100, 5 seeds.

    python benchmarks/memory_lag100.py [FOLDER]

It prints a line for each network and writes memory-lag100-DATE.json with the learning curves, and the figure, to
FOLDER (benchmarks/results by default). Seconds are processor time of one thread.
"""

from __future__ import annotations

import datetime
import json
import sys
import time
from pathlib import Path

from minirnn import plots
from minirnn.course import memory
from minirnn.doctor import cpu_model
from minirnn.training import one_blas_thread


def main(folder: Path) -> None:
    results = []
    for setting in memory.lag_100():
        began = time.process_time()
        with one_blas_thread():
            results.append(memory.measure(setting) | {"cpu_seconds": round(time.process_time() - began, 1)})
        r = results[-1]
        print(
            f"{r['task']:12} {r['network']:4} seed {r['seed']}: {r['trained']:4} steps, {r['cpu_seconds']:5.1f} s, "
            f"error {100 * r['error']:.2f} % of that of doing nothing",
            flush=True,
        )
    outcome = memory.judged(results)
    date = datetime.date.today().isoformat()
    document = {
        "command": "python benchmarks/memory_lag100.py",
        "cpu": cpu_model(),
        "date": date,
        "measured": outcome.measured,
        "numbers": outcome.numbers,
    }
    (folder / f"memory-lag100-{date}.json").write_text(json.dumps(document, indent=1, allow_nan=False) + "\n")
    plots.save(memory.draw(outcome.numbers), folder / f"memory-lag100-{date}.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "results")
