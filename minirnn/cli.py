"""The command `minirnn`: declares the subcommands and their options. The modules in `minirnn.commands` do the work.

Exit codes: 0 success, 1 a check failed, 2 a user error (one message on stderr), 130 stopped by Ctrl-C.
Modules are imported when a subcommand runs, so that `minirnn --help` is fast.
"""

import dataclasses
import secrets
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperCommand

from minirnn import __version__
from minirnn.language.config import ConfigError, TrainConfig
from minirnn_kernels.cell import CELLS

__all__ = ["app", "main"]

DEFAULT = TrainConfig()
LEARN, TRAIN, CHECK, RACE, APPLY = "Learn", "Train", "Check", "Race", "Apply"  # the groups of commands in the help

CellName: Any = Literal[tuple(CELLS)]
CellOption = Annotated[CellName, typer.Option(help="Recurrent cell.")]
DeviceOption = Annotated[
    Literal["cpu", "gpu", "cuda", "cupy"], typer.Option(help="Device to compute on; a GPU needs CuPy.")
]
SeedOption = Annotated[int, typer.Option(help="Random seed.", min=0)]

app = typer.Typer(name="minirnn", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


class Command(TyperCommand):
    """A subcommand that reports a user's mistake in one message, and resolves the device of --device."""

    def invoke(self, ctx: Any) -> Any:
        from minirnn.commands.errors import reported, usable

        with reported(str(self.name)):
            if "device" in ctx.params:
                ctx.params["device"] = usable(ctx.params["device"])
            return super().invoke(ctx)


def _console() -> Any:
    from rich.console import Console

    return Console()


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"minirnn {__version__}")
        raise typer.Exit


@app.callback()
def minirnn(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """See, check and race backpropagation through time."""


# ---- learn


@app.command(cls=Command, rich_help_panel=LEARN)
def demo(
    seconds: Annotated[float, typer.Option(help="Seconds of training.", min=0.1, max=86400)] = 70.0,
    out: Annotated[
        Path | None, typer.Option(help="New folder for the run.", show_default="runs/demo-DATE-TIME")
    ] = None,
    seed: SeedOption = 0,
) -> None:
    """Show in three minutes: this machine, gradient checks, an LSTM that learns Python's documentation, a chatbot."""
    from minirnn.commands.learn import demo as command

    raise typer.Exit(0 if command.demo(_console(), out, seconds, seed) else 1)


@app.command(cls=Command, rich_help_panel=LEARN)
def experiment(
    name: Annotated[
        str | None, typer.Argument(help="The experiment; --list shows the names.", show_default=False)
    ] = None,
    show: Annotated[bool, typer.Option("--list", help="List the experiments and their claims.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="A coarser version of about 20 seconds.")] = False,
    full: Annotated[bool, typer.Option("--full", help="The full version, however long it takes.")] = False,
    seed: SeedOption = 0,
    out: Annotated[Path, typer.Option(help="Folder for NAME.json and the figure.")] = Path("experiments"),
    svg: Annotated[bool, typer.Option("--svg", help="Draw the figure as SVG instead of PNG.")] = False,
) -> None:
    """Run an experiment of the course: its claim, numbers, a figure, and whether the claim held.

    Takes at most 5 minutes without --full.
    """
    from minirnn.commands.learn import experiment as command

    if show:
        command.list_all(_console())
    elif name is None:
        raise ConfigError("give the name of an experiment, or --list")
    elif quick and full:
        raise ConfigError("--quick and --full cannot be used together")
    else:
        effort: Any = "quick" if quick else "full" if full else "default"
        command.run(name, effort, seed, out, ".svg" if svg else ".png", _console())


@app.command(cls=Command, rich_help_panel=LEARN)
def bugs(
    name: Annotated[str | None, typer.Argument(help="The mistake to show.", show_default=False)] = None,
    quiz: Annotated[bool, typer.Option(help="Start a quiz: find the mistakes yourself.")] = False,
    count: Annotated[int, typer.Option(help="Number of questions in the quiz.", min=1)] = 5,
    seed: Annotated[
        int | None, typer.Option(help="Random seed of the quiz.", show_default="random, shown", min=0)
    ] = None,
) -> None:
    """Show the gallery of known mistakes: the code, its effect, and the check's report."""
    from minirnn.commands.learn import bugs as command

    if quiz:
        command.quiz(count, secrets.randbelow(2**32) if seed is None else seed)
    elif name is None:
        command.show_all()
    else:
        command.show(name)


@app.command(cls=Command, rich_help_panel=LEARN)
def assignments(
    action: Annotated[str, typer.Argument(help="Either list or start.", show_default=False)] = "list",
    name: Annotated[str | None, typer.Argument(help="The assignment to start.", show_default=False)] = None,
    folder: Annotated[Path, typer.Argument(help="Folder for the new file.")] = Path("."),
) -> None:
    """List the assignments that can be checked; `start NAME DIR` writes a template."""
    from minirnn.commands.learn import assignments as command

    if action == "list":
        command.show()
    elif action == "start" and name is not None:
        command.begin(name, folder)
    else:
        given = f"{action!r}{'' if name is None else ' ' + repr(name)}"
        raise ConfigError(f"expected `list` or `start NAME DIR`, got {given}")


# ---- train


@app.command(cls=Command, rich_help_panel=TRAIN)
def train(
    ctx: typer.Context,
    text: Annotated[
        str, typer.Option(help="The text: python-docs, shakespeare, or the path of a UTF-8 file.")
    ] = DEFAULT.text,
    cell: CellOption = "lstm",
    hidden: Annotated[int, typer.Option(help="Hidden units per layer.")] = DEFAULT.hidden,
    layers: Annotated[int, typer.Option(help="Number of recurrent layers.")] = DEFAULT.layers,
    embedding: Annotated[int, typer.Option(help="Size of the embedding vectors.")] = DEFAULT.embedding,
    seq: Annotated[
        int, typer.Option(help="Number of characters after which backpropagation is truncated.")
    ] = DEFAULT.seq,
    batch: Annotated[int, typer.Option(help="Batch size: number of parallel streams of text.")] = DEFAULT.batch,
    optimizer: Annotated[
        Literal["sgd", "rmsprop", "adagrad", "adam", "adamw"], typer.Option(help="Optimizer.")
    ] = "adam",
    lr: Annotated[float, typer.Option(help="Peak learning rate; it decays to 0 along a cosine.")] = DEFAULT.lr,
    clip_norm: Annotated[float, typer.Option(help="Maximum norm of the whole gradient; 0: no clipping.")] = 5.0,
    clip_value: Annotated[
        float, typer.Option(help="Maximum absolute value of each gradient entry; 0: no clipping.")
    ] = 0.0,
    dropout: Annotated[
        float | None, typer.Option(help="Dropout rate.", show_default="larger for longer runs")
    ] = DEFAULT.dropout,
    teacher: Annotated[
        Literal["always", "linear", "exponential", "inverse-sigmoid"],
        typer.Option(
            help="Teacher forcing: always, or with a share of true inputs that falls over the run (scheduled sampling)."
        ),
    ] = "always",
    teacher_end: Annotated[float, typer.Option(help="Share of true inputs at the end.")] = DEFAULT.teacher_end,
    steps: Annotated[
        int | None, typer.Option(help="Length of the run in steps.", show_default=f"{DEFAULT.steps}")
    ] = None,
    epochs: Annotated[float | None, typer.Option(help="Length of the run in passes through the text.")] = None,
    minutes: Annotated[float | None, typer.Option(help="Length of the run in minutes, converted to steps.")] = None,
    checkpoint_every: Annotated[int, typer.Option(help="Steps between checkpoints.")] = DEFAULT.checkpoint_every,
    seed: Annotated[int, typer.Option(help="Random seed of the weights and of dropout.")] = DEFAULT.seed,
    dtype: Annotated[Literal["float32", "float64"], typer.Option(help="Floating-point type.")] = "float32",
    out: Annotated[Path | None, typer.Option(help="New folder for the run.", show_default="runs/DATE-TIME")] = None,
    resume: Annotated[Path | None, typer.Option(help="Folder of the run to continue, with its own settings.")] = None,
    device: DeviceOption = "cpu",
) -> None:
    """Train a character model on a text, or continue a run. Ctrl-C saves the run and stops."""
    from minirnn.commands.train import train as command

    sources = {name: ctx.get_parameter_source(name) for name in ctx.params}
    given = {name for name, source in sources.items() if source is not None and source.name != "DEFAULT"}
    names = [field.name for field in dataclasses.fields(TrainConfig)]
    settings: dict[str, Any] = {name: ctx.params[name] for name in names if ctx.params.get(name) is not None}
    settings |= {"clip_norm": clip_norm or None, "clip_value": clip_value or None}
    if len(lengths := given & {"steps", "epochs", "minutes"}) > 1:
        raise ConfigError(f"--{' and --'.join(sorted(lengths))} cannot be used together")
    if resume is None:
        finished = command.start(TrainConfig(**settings), _console(), out, epochs, minutes, device)
    else:
        if conflict := sorted(given & {"out", "epochs", "minutes"}):
            raise ConfigError(f"--{conflict[0]} can't be used with --resume: a resumed run keeps its settings")
        asked = {name: value for name, value in settings.items() if name in given - {"text"}}
        finished = command.resume(resume, _console(), text if "text" in given else None, asked, device)
    raise typer.Exit(0 if finished else 130)


@app.command(cls=Command, rich_help_panel=TRAIN)
def sample(
    run: Annotated[Path, typer.Argument(help="Folder of a run, or a checkpoint file.", show_default=False)],
    prompt: Annotated[str, typer.Option(help="Text to continue.")] = "",
    length: Annotated[int, typer.Option(help="Number of characters to generate.")] = 500,
    temperature: Annotated[
        float | None,
        typer.Option(help="Below 1: less varied text; 0: always the most likely character.", show_default="1"),
    ] = None,
    top_k: Annotated[int | None, typer.Option(help="Sample only from the k most likely characters.")] = None,
    top_p: Annotated[
        float | None, typer.Option(help="Sample from the most likely characters with this total probability.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Random seed of the samples.", show_default="random, shown")] = None,
    beam: Annotated[
        int | None, typer.Option(help="Search for a likely text instead of sampling, with this many candidates.")
    ] = None,
    device: DeviceOption = "cpu",
) -> None:
    """Generate text with a trained model, character by character."""
    from minirnn.commands.train import sample as command

    if beam is not None:
        options = {"temperature": temperature, "top-k": top_k, "top-p": top_p, "seed": seed}
        if drawn := [f"--{name}" for name, value in options.items() if value is not None]:
            raise ConfigError(f"{drawn[0]} can't be used with --beam, which samples nothing")
        command.search(run, prompt, length, beam, device)
    else:
        if seed is None:
            seed = secrets.randbelow(2**32)
            typer.echo(f"seed {seed}", err=True)
        warmth = 1.0 if temperature is None else temperature
        command.sample(run, prompt, length, warmth, top_k, top_p, seed, device)


# ---- check


@app.command(cls=Command, rich_help_panel=CHECK)
def check(
    file: Annotated[
        Path | None, typer.Argument(help="A file with an assignment's functions.", show_default=False)
    ] = None,
    seed: Annotated[int, typer.Option(help="Random seed of the inputs and upstream gradients.", min=0)] = 0,
    hint: Annotated[
        int,
        typer.Option(
            help="Detail of the report: 0 pass or fail, 1 results, 2 places, 3 kind of mistake, 4 the mistake.",
            min=0,
            max=4,
        ),
    ] = 4,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON; docs/instructors.md has the schema.")] = False,
    gates: Annotated[
        str | None, typer.Option(help="Order of the gate blocks, such as ifgo.", show_default="ifog, rzn")
    ] = None,
    quick: Annotated[bool, typer.Option(help="Fewer probes, and no search for the smallest failing problem.")] = False,
    truncate: Annotated[
        int, typer.Option(help="Steps between truncations of the expected gradient; 0: not truncated.", min=0)
    ] = 0,
    sweep: Annotated[
        str | None, typer.Option(help="Plot the error against the step size into this PNG file; -: print it.")
    ] = None,
    only: Annotated[str | None, typer.Option(help="Check one assignment or pair of functions, such as lstm.")] = None,
) -> None:
    """Find the mistakes in an assignment file; without a file, check minirnn's own gradients in three ways.

    Exit code 0: everything is correct; 1: something is wrong; 2: the file can't be judged.
    """
    from minirnn.commands.check import check as command

    if file is None:
        raise typer.Exit(0 if command.check(_console(), seed) else 1)
    options = command.FileOptions(seed, hint, as_json, gates, quick, truncate, sweep, only)
    raise typer.Exit(command.check_file(file, options))


@app.command(cls=Command, rich_help_panel=CHECK)
def audit(
    tests: Annotated[Path, typer.Argument(help="A file of tests.", show_default=False)],
    module: Annotated[
        str, typer.Option(help="Name under which the tests import the student's functions.")
    ] = "rnn_layers",
) -> None:
    """List the known mistakes that a file of tests does not detect. Exit code 1 if there are any."""
    from minirnn.commands.check import audit as command

    raise typer.Exit(0 if command.run(tests, module, _console()) else 1)


# ---- race


@app.command(cls=Command, rich_help_panel=RACE)
def bench(
    kernel: Annotated[Path | None, typer.Option(help="A Python file with your own kernels, to prove and time.")] = None,
    cell: Annotated[list[str] | None, typer.Option(help=f"One of {', '.join(CELLS)}.", show_default="lstm")] = None,
    size: Annotated[
        list[str] | None, typer.Option(help="A name, or BxTxIxH.", show_default="five common sizes")
    ] = None,
    dtype: Annotated[list[str] | None, typer.Option(help="float32 or float64.", show_default="float32")] = None,
    threads: Annotated[
        list[int] | None, typer.Option(help="Number of threads.", show_default="one for each core")
    ] = None,
    what: Annotated[
        list[str] | None,
        typer.Option(
            help="gates, forward, inference, training, step or lengths.", show_default="training and inference"
        ),
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all measurements to this file.")] = None,
    plot_file: Annotated[
        Path | None, typer.Option("--plot", help="Draw the roofline and the ratios: png, svg or pdf.")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Two sizes, shorter timing, and no measurement of the first use.")
    ] = False,
) -> None:
    """Prove that the kernels are correct, then time them against PyTorch, JAX and ONNX Runtime.

    Repeat --cell, --size, --dtype, --threads and --what for several values. Exit code 1 if any result is wrong.
    """
    from minirnn.commands.race import bench as command

    plan = command.planned(kernel, cell or [], size or [], dtype or [], threads or [], what or [], quick)
    first_use = not (quick or kernel or what)
    right = command.bench(_console(), plan, first_use=first_use, json_file=json_file, plot_file=plot_file)
    raise typer.Exit(0 if right else 1)


@app.command(cls=Command, rich_help_panel=RACE)
def doctor() -> None:
    """Show what this machine offers, and what would make minirnn faster."""
    from minirnn.commands.race import doctor as command

    command.examine(_console())


# ---- apply


@app.command(cls=Command, rich_help_panel=APPLY)
def chat(
    model: Annotated[
        Path | None, typer.Option(help="File of a trained chatbot.", show_default="minirnn's own chatbot")
    ] = None,
    figure: Annotated[
        Path | None,
        typer.Option(help="At the end, save a figure of states, gates and attention to this file: png or svg."),
    ] = None,
) -> None:
    """Talk to a chatbot that remembers what you say. The line /help lists its commands.

    If standard input is not a terminal, the chatbot answers each line, including commands, with exactly one line.
    """
    from minirnn.commands.apply import chat as command

    command.chat(model, figure, _console())


@app.command("train-chatbot", cls=Command, rich_help_panel=APPLY)
def train_chatbot(
    cell: CellOption = "lstm",
    hidden: Annotated[int, typer.Option(help="Hidden units of the encoder and the decoder.")] = 144,
    attention: Annotated[bool, typer.Option(help="Attend to earlier words, and copy words from them.")] = True,
    additive: Annotated[bool, typer.Option("--additive", help="Additive attention instead of dot products.")] = False,
    steps: Annotated[int | None, typer.Option(help="Training steps.", show_default="5000")] = None,
    seed: Annotated[int, typer.Option(help="Random seed of the conversations and the weights.", min=0)] = 0,
    out: Annotated[Path, typer.Option(help="File for the trained chatbot.")] = Path("chatbot.safetensors"),
) -> None:
    """Train the chatbot of `minirnn chat`, score it, and save it. Ctrl-C stops the training and saves it unscored."""
    from minirnn.chatbot.training import ChatbotConfig
    from minirnn.commands.apply import train_chatbot as command

    if additive and not attention:
        raise ConfigError("--additive and --no-attention cannot be used together")
    settings: dict[str, Any] = {} if steps is None else {"steps": steps}
    kind = "additive" if additive else "dot" if attention else "none"
    config = ChatbotConfig(cell=cell, hidden=hidden, attention=kind, seed=seed, **settings)
    raise typer.Exit(0 if command.run(config, out, _console()) else 130)


@app.command("chatbot-score", cls=Command, rich_help_panel=APPLY)
def chatbot_score(
    model: Annotated[
        Path | None, typer.Option(help="File of a trained chatbot.", show_default="minirnn's own chatbot")
    ] = None,
    count: Annotated[int, typer.Option("--conversations", help="Number of conversations.", min=1)] = 500,
) -> None:
    """Score the chatbot on held-out conversations: unseen phrasings, with unseen and with seen values."""
    from minirnn.chatbot.bot import Chatbot
    from minirnn.commands.apply import train_chatbot as command

    command.evaluate(Chatbot.load(model), _console(), count)


def main() -> None:
    """Run the command `minirnn`."""
    try:
        app()
    except KeyboardInterrupt:  # before or after the part of a command that handles Ctrl-C itself
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
