"""Rewrites the tables of kernels/README.md on the parts of the time of a step on a GPU: estimates, not measurements.

    python benchmarks/on_gpu/arithmetic.py

Sizes and bytes are counted. All microseconds are the estimates of `minirnn_kernels.cuda.levels` for an H100 (the
default of `cuda.device.Properties`), by which it chooses a level. The text between the two markers is replaced.
"""

from __future__ import annotations

import sys
from pathlib import Path

from minirnn_kernels.cell import LSTM
from minirnn_kernels.cuda.device import Properties
from minirnn_kernels.cuda.levels import choose, estimate, parts, step
from minirnn_kernels.cuda.plans import STORAGES, PassPlan, Work, plans

README = Path(__file__).parents[2] / "kernels" / "README.md"
BEGIN, END = "<!-- arithmetic: begin, written by benchmarks/on_gpu/arithmetic.py -->", "<!-- arithmetic: end -->"

H100 = Properties()
SIZES = ((256, 16), (512, 32), (1024, 32))  # H, B
TIME_STEPS = 100
MODES = {"strict": ("float32", "FMA"), "TF32": ("float32", "TF32"), "bf16": ("bfloat16", "MMA16")}
COLUMNS = ("launch", "product", "state", "weights", "traffic", "barrier", "rest")


def lstm(H: int, B: int, mode: str, backward: bool = False) -> Work:
    storage, product = MODES[mode]
    return Work(LSTM, STORAGES[storage], TIME_STEPS, B, H, backward, product)


def body() -> str:
    """Return the text between the markers."""
    return "\n\n".join((sizes(), levels(), modes()))


def sizes() -> str:
    """Return the table of the bytes and operations of a step, counted from the sizes."""
    lines = [
        "An LSTM's step, float32, counted:",
        "",
        "| H, B | W_hh | resident in | MFLOP of the product | handed on: forward, h | backward, da |",
        "|---|---|---|---|---|---|",
    ]
    for H, B in SIZES:
        work = lstm(H, B, "TF32")
        plan = choose(work, H100, 3).plan
        where = f"{plan.grid[0]} multiprocessors" if plan.resident else "none"
        lines.append(
            f"| {H}, {B} | {_mib(work.weight_bytes)} | {where} | {2 * B * 4 * H * H / 1e6:.1f} "
            f"| {_kib(4 * B * H)} | {_kib(4 * B * 4 * H)} |"
        )
    return "\n".join(lines)


def levels() -> str:
    """Return the table of the estimated microseconds of a forward step in TF32, by level and part."""
    lines = [
        f"Estimated microseconds of a step, forward, TF32, T = {TIME_STEPS}:",
        "",
        "| H, B | level | " + " | ".join(COLUMNS) + " | a step |",
        "|---|---|" + "---|" * len(COLUMNS) + "---|",
    ]
    for H, B in SIZES:
        work = lstm(H, B, "TF32")
        for name, plan in _shown(work):
            found = parts(plan, work, H100)
            found["product"] = max(found["product"], found["shared"])
            shown = [f"{found[column]:.1f}" if found[column] else "–" for column in COLUMNS]
            lines.append(f"| {H}, {B} | {name} | " + " | ".join(shown) + f" | **{step(plan, found):.1f}** |")
    return "\n".join(lines)


def _shown(work: Work) -> list[tuple[str, PassPlan]]:
    """Return levels 1 and 2, and every team that fits, with their plans."""
    return [
        (name if name in ("1", "2") else f"3, {name}", plan)
        for name, plan in plans(work, H100).items()
        if isinstance(plan, PassPlan)
    ]


def modes() -> str:
    """Return the table of the best plan of each level in each mode: the microseconds of a pass divided by T."""
    lines = [
        f"Estimated microseconds of a pass of T = {TIME_STEPS} steps by T, forward / backward; the choice is bold:",
        "",
        "| H, B | mode | level 1 | level 2 | level 3 | its team, forward / backward |",
        "|---|---|---|---|---|---|",
    ]
    for H, B in SIZES:
        for mode in MODES:
            works = [lstm(H, B, mode, backward) for backward in (False, True)]
            chosen = [choose(work, H100).plan.level for work in works]
            cells, teams = [], []
            for level in (1, 2, 3):
                both = []
                for work, best in zip(works, chosen, strict=True):
                    plan = choose(work, H100, level).plan
                    us = f"{estimate(plan, work, H100) / TIME_STEPS:.1f}"
                    both.append(f"**{us}**" if level == best else us)
                    teams.append(_team(plan) if level == 3 else "")
                cells.append(" / ".join(both))
            lines.append(f"| {H}, {B} | {mode} | " + " | ".join(cells) + f" | {' / '.join(filter(None, teams))} |")
    return "\n".join(lines)


def _team(plan: PassPlan) -> str:
    x, y = plan.grid
    return f"grid {x} x {y}" if plan.team == "grid" else f"{plan.team} {x}".removesuffix(" 1")


def _mib(n: int) -> str:
    return f"{n / 2**20:g} MiB"


def _kib(n: int) -> str:
    return f"{n / 2**10:g} KiB"


def rewritten(text: str, new: str) -> str:
    """Return `text` with `new` between its markers. Raises ValueError unless each marker occurs once, in order."""
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise ValueError(f"expected the lines {BEGIN!r} and {END!r} once each, in this order")
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n{new}\n{END}{rest.split(END)[1]}"


def main(readme: Path = README) -> None:
    readme.write_text(rewritten(readme.read_text(encoding="utf-8"), body()), encoding="utf-8")


if __name__ == "__main__":
    try:
        main()
    except ValueError as error:
        sys.exit(f"on_gpu/arithmetic.py: {error}")
