"""The command `minirnn`: declares the subcommands and their options; what they do stands in `minirnn.commands`.

Exit codes: 0 done, 1 a gradient check failed, 2 a mistake in what was asked (one message on stderr), 130 stopped by
Ctrl-C. Modules load when a subcommand runs, so that `minirnn --help` is quick.
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from minirnn.training import ConfigError, TrainConfig

__all__ = ["app", "main"]

DEFAULT = TrainConfig()

app = typer.Typer(
    name="minirnn",
    help="See, check and race backpropagation through time.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def train(
    ctx: typer.Context,
    text: Annotated[str, typer.Option(help="python-docs, shakespeare, or the path of a UTF-8 file.")] = DEFAULT.text,
    cell: Annotated[Literal["rnn", "lstm", "gru"], typer.Option()] = "lstm",
    hidden: Annotated[int, typer.Option(help="Hidden units of a layer.")] = DEFAULT.hidden,
    layers: Annotated[int, typer.Option(help="Recurrent layers.")] = DEFAULT.layers,
    embedding: Annotated[int, typer.Option(help="Size of a character's vector.")] = DEFAULT.embedding,
    seq: Annotated[int, typer.Option(help="Characters after which backpropagation is cut off.")] = DEFAULT.seq,
    batch: Annotated[int, typer.Option(help="Places in the text that are read side by side.")] = DEFAULT.batch,
    optimizer: Annotated[Literal["sgd", "rmsprop", "adagrad", "adam", "adamw"], typer.Option()] = "adam",
    lr: Annotated[float, typer.Option(help="Highest learning rate; it falls to 0 along a cosine.")] = DEFAULT.lr,
    clip_norm: Annotated[float, typer.Option(help="Largest norm of the whole gradient; 0: any.")] = 5.0,
    clip_value: Annotated[float, typer.Option(help="Largest size of each entry of the gradient; 0: any.")] = 0.0,
    dropout: Annotated[float, typer.Option(help="Share of activations dropped in training.")] = DEFAULT.dropout,
    steps: Annotated[int | None, typer.Option(help=f"Length of the run in steps. [default: {DEFAULT.steps}]")] = None,
    epochs: Annotated[float | None, typer.Option(help="Length of the run in passes through the text.")] = None,
    minutes: Annotated[float | None, typer.Option(help="Length of the run in minutes, turned into steps once.")] = None,
    checkpoint_every: Annotated[int, typer.Option(help="Steps between checkpoints.")] = DEFAULT.checkpoint_every,
    seed: Annotated[int, typer.Option(help="Fixes the weights' start and dropout.")] = DEFAULT.seed,
    dtype: Annotated[Literal["float32", "float64"], typer.Option()] = "float32",
    out: Annotated[Path | None, typer.Option(help="New folder for the run. [default: runs/DATE-TIME]")] = None,
    resume: Annotated[Path | None, typer.Option(help="Folder of a run to continue, with its own settings.")] = None,
) -> None:
    """Train a character model on a text, or continue a run. Ctrl-C stores the run and stops."""
    sources = {name: ctx.get_parameter_source(name) for name in ctx.params}
    given = {name for name, source in sources.items() if source is not None and source.name != "DEFAULT"}
    settings: dict[str, Any] = {
        "cell": cell,
        "hidden": hidden,
        "layers": layers,
        "embedding": embedding,
        "seq": seq,
        "batch": batch,
        "optimizer": optimizer,
        "lr": lr,
        "clip_norm": clip_norm or None,
        "clip_value": clip_value or None,
        "dropout": dropout,
        "checkpoint_every": checkpoint_every,
        "seed": seed,
        "dtype": dtype,
    }
    if steps is not None:
        settings["steps"] = steps
    console = _console()
    with _reported("train"):
        from minirnn.commands import train as command

        if len(lengths := given & {"steps", "epochs", "minutes"}) > 1:
            raise ConfigError(f"--{' and --'.join(sorted(lengths))} exclude each other")
        if resume is None:
            finished = command.start(TrainConfig(text=text, **settings), console, out, epochs, minutes)
        else:
            if conflict := sorted(given & {"out", "epochs", "minutes"}):
                raise ConfigError(f"--{conflict[0]} can't go with --resume, which continues a run as it was begun")
            asked = {name: value for name, value in settings.items() if name in given}
            finished = command.resume(resume, console, text if "text" in given else None, asked)
    raise typer.Exit(0 if finished else 130)


@app.command()
def sample(
    run: Annotated[Path, typer.Argument(help="Folder of a run, or a checkpoint.", show_default=False)],
    prompt: Annotated[str, typer.Option(help="Text to continue.")] = "",
    length: Annotated[int, typer.Option(help="Characters to draw.")] = 500,
    temperature: Annotated[float, typer.Option(help="Below 1 bolder guesses are rarer; 0: always the best one.")] = 1.0,
    top_k: Annotated[int | None, typer.Option(help="Draw from the k best only.")] = None,
    top_p: Annotated[float | None, typer.Option(help="Draw from the best with this probability together.")] = None,
    seed: Annotated[int | None, typer.Option(help="Equal seeds give equal text. [default: random, shown]")] = None,
) -> None:
    """Let a trained model write, character by character."""
    with _reported("sample"):
        from minirnn.commands import sample as command

        if seed is None:
            seed = secrets.randbelow(2**32)
            typer.echo(f"seed {seed}", err=True)
        command.sample(run, prompt, length, temperature, top_k, top_p, seed)


@app.command()
def check(seed: Annotated[int, typer.Option(help="Of the inputs and upstream gradients.", min=0)] = 0) -> None:
    """Judge every cell's hand-written gradients three ways. Exit code 1 if anything doesn't pass."""
    with _reported("check"):
        from minirnn.commands import check as command

        passed = command.check(_console(), seed)
    raise typer.Exit(0 if passed else 1)


@app.command()
def doctor() -> None:
    """Show what this machine offers, and what would make it faster."""
    with _reported("doctor"):
        from minirnn.commands import doctor as command

        command.examine(_console())


@app.command()
def demo(
    seconds: Annotated[float, typer.Option(help="How long to train.", min=0.1, max=86400)] = 70.0,
    out: Annotated[Path | None, typer.Option(help="New folder for the run. [default: runs/demo-DATE-TIME]")] = None,
    seed: Annotated[int, typer.Option(help="Of everything random in it.", min=0)] = 0,
) -> None:
    """In two minutes: this machine, the gradients, and an LSTM that learns Python's documentation."""
    with _reported("demo"):
        from minirnn.commands import demo as command

        right = command.demo(_console(), out, seconds, seed)
    raise typer.Exit(0 if right else 1)


def _console() -> Any:
    from rich.console import Console

    return Console()


def _reported(command: str) -> Any:
    from minirnn.commands.errors import reported

    return reported(command)


def main() -> None:
    """The entry point of the command `minirnn`."""
    try:
        app()
    except KeyboardInterrupt:  # before or after what a command does itself about Ctrl-C
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
