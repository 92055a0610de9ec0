"""`minirnn sample`: text from a trained model, shown as it is drawn."""

from __future__ import annotations

import sys
from pathlib import Path

from minirnn.language.beam import beam_search
from minirnn.language.sampling import SamplingError, generate
from minirnn.language.training import BEST, checkpoint_file, load_model

__all__ = ["sample", "search"]


def sample(
    run: Path,
    prompt: str,
    length: int,
    temperature: float,
    top_k: int | None,
    top_p: float | None,
    seed: int,
    device: str = "cpu",
) -> None:
    """Write `prompt` and what the model in `run` (its best checkpoint) makes of it to stdout."""
    if length < 0 or seed < 0:
        raise SamplingError(f"length and seed must be at least 0, got {length} and {seed}")
    model, tokenizer, _state = load_model(checkpoint_file(run, BEST), device)
    pieces = generate(model, tokenizer, prompt, length, temperature=temperature, top_k=top_k, top_p=top_p, seed=seed)
    write(prompt)
    for piece in pieces:
        write(piece)
    write("\n")


def search(run: Path, prompt: str, length: int, width: int, device: str = "cpu") -> None:
    """Write `prompt` and the likeliest continuation that a beam of this width finds to stdout."""
    model, tokenizer, _state = load_model(checkpoint_file(run, BEST), device)
    write(prompt + beam_search(model, tokenizer, prompt, length, width)[0].text + "\n")


def write(text: str) -> None:
    """To stdout at once; characters that its encoding lacks as ?."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "replace").decode(encoding))
    sys.stdout.flush()
