"""The first part of `minirnn experiment memory --full` alone: RNN and LSTM at a lag of 100, with 5 seeds.

    python benchmarks/memory_lag100.py [--keys 8] [--out FOLDER]

The script prints a line for each network, and writes memory-lag100-DATE.json with the learning curves and the figure to
FOLDER (benchmarks/results by default). Times are CPU seconds of one thread. With --keys it runs only the
first-symbol task, and the names of the files contain the number of keys: memory-lag100-4keys-DATE.
"""

from __future__ import annotations

import argparse
import datetime
import json
import time
from pathlib import Path

from minirnn import plots
from minirnn.course.experiments import memory
from minirnn.course.memory_tasks import KEYS, MEMORY_TASKS, first_symbol_of
from minirnn.language import one_blas_thread
from minirnn.machine import cpu_model


def main(folder: Path, keys: int) -> None:
    results = []
    MEMORY_TASKS["first symbol"] = first_symbol_of(keys)
    for setting in memory.lag_100():
        if keys != KEYS and setting.task != "first symbol":
            continue
        began = time.process_time()
        with one_blas_thread():
            results.append(memory.measure(setting) | {"cpu_seconds": round(time.process_time() - began, 1)})
        r = results[-1]
        print(
            f"{r['task']:12} {r['network']:4} seed {r['seed']}: {r['trained']:4} steps, {r['cpu_seconds']:5.1f} s, "
            f"error {100 * r['error']:.2f} % of the error without learning",
            flush=True,
        )
    outcome = memory.judge(results)
    date = datetime.date.today().isoformat()
    name = f"memory-lag100-{date}" if keys == KEYS else f"memory-lag100-{keys}keys-{date}"
    document = {
        "command": "python benchmarks/memory_lag100.py" + (f" --keys {keys}" if keys != KEYS else ""),
        "cpu": cpu_model(),
        "date": date,
        "measured": outcome.measured,
        "numbers": outcome.numbers,
    }
    (folder / f"{name}.json").write_text(json.dumps(document, indent=1, allow_nan=False) + "\n")
    plots.save(memory.draw(outcome.numbers), folder / f"{name}.png")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--keys", type=int, default=KEYS)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    main(options.out, options.keys)
