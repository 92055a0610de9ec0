"""`minirnn sample`: text from a trained model, shown as it is generated."""

from pathlib import Path

from minirnn.commands.output import write
from minirnn.language import BEST, SamplingError, beam_search, checkpoint_file, generate, load_model

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
    """Write `prompt` and sampled text from the best checkpoint in `run` to stdout."""
    if length < 0 or seed < 0:
        raise SamplingError(f"length and seed must be at least 0, got {length} and {seed}")
    model, tokenizer, _state = load_model(checkpoint_file(run, BEST), device)
    pieces = generate(model, tokenizer, prompt, length, temperature=temperature, top_k=top_k, top_p=top_p, seed=seed)
    write(prompt)
    for piece in pieces:
        write(piece)
    write("\n")


def search(run: Path, prompt: str, length: int, width: int, device: str = "cpu") -> None:
    """Write `prompt` and the most likely continuation that a beam search of this width finds to stdout."""
    model, tokenizer, _state = load_model(checkpoint_file(run, BEST), device)
    write(prompt + beam_search(model, tokenizer, prompt, length, width)[0].text + "\n")
