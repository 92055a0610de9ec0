"""The command `minirnn`: declares the subcommands and their options; what they do stands in `minirnn.commands`.

Exit codes: 0 done, 1 a gradient check failed, 2 a mistake in what was asked (one message on stderr), 130 stopped by
Ctrl-C. Modules load when a subcommand runs, so that `minirnn --help` is quick.
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from minirnn.language.training import ConfigError, TrainConfig

__all__ = ["app", "main"]

DEFAULT = TrainConfig()

Device = Annotated[Literal["cpu", "gpu", "cuda", "cupy"], typer.Option(help="Where to compute; a GPU needs CuPy.")]

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
    dropout: Annotated[
        float | None,
        typer.Option(help="Share of activations dropped in training. [default: more of them the longer the run]"),
    ] = DEFAULT.dropout,
    teacher: Annotated[
        Literal["always", "linear", "exponential", "inverse-sigmoid"],
        typer.Option(help="Teacher forcing always, or how the share of true inputs falls (scheduled sampling)."),
    ] = "always",
    teacher_end: Annotated[float, typer.Option(help="The share of true inputs at the end.")] = DEFAULT.teacher_end,
    steps: Annotated[int | None, typer.Option(help=f"Length of the run in steps. [default: {DEFAULT.steps}]")] = None,
    epochs: Annotated[float | None, typer.Option(help="Length of the run in passes through the text.")] = None,
    minutes: Annotated[float | None, typer.Option(help="Length of the run in minutes, turned into steps once.")] = None,
    checkpoint_every: Annotated[int, typer.Option(help="Steps between checkpoints.")] = DEFAULT.checkpoint_every,
    seed: Annotated[int, typer.Option(help="Fixes the weights' start and dropout.")] = DEFAULT.seed,
    dtype: Annotated[Literal["float32", "float64"], typer.Option()] = "float32",
    out: Annotated[Path | None, typer.Option(help="New folder for the run. [default: runs/DATE-TIME]")] = None,
    resume: Annotated[Path | None, typer.Option(help="Folder of a run to continue, with its own settings.")] = None,
    device: Device = "cpu",
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
        "teacher": teacher,
        "teacher_end": teacher_end,
        "checkpoint_every": checkpoint_every,
        "seed": seed,
        "dtype": dtype,
    }
    if steps is not None:
        settings["steps"] = steps
    console = _console()
    with _reported("train"):
        from minirnn.commands.train import train as command

        if len(lengths := given & {"steps", "epochs", "minutes"}) > 1:
            raise ConfigError(f"--{' and --'.join(sorted(lengths))} exclude each other")
        if resume is None:
            config = TrainConfig(text=text, **settings)
            finished = command.start(config, console, out, epochs, minutes, _usable(device))
        else:
            if conflict := sorted(given & {"out", "epochs", "minutes"}):
                raise ConfigError(f"--{conflict[0]} can't go with --resume, which continues a run as it was begun")
            asked = {name: value for name, value in settings.items() if name in given}
            moved = text if "text" in given else None
            finished = command.resume(resume, console, moved, asked, _usable(device))
    raise typer.Exit(0 if finished else 130)


@app.command()
def sample(
    run: Annotated[Path, typer.Argument(help="Folder of a run, or a checkpoint.", show_default=False)],
    prompt: Annotated[str, typer.Option(help="Text to continue.")] = "",
    length: Annotated[int, typer.Option(help="Characters to draw.")] = 500,
    temperature: Annotated[
        float | None, typer.Option(help="Below 1 bolder guesses are rarer; 0: always the best one. [default: 1]")
    ] = None,
    top_k: Annotated[int | None, typer.Option(help="Draw from the k best only.")] = None,
    top_p: Annotated[float | None, typer.Option(help="Draw from the best with this probability together.")] = None,
    seed: Annotated[int | None, typer.Option(help="Equal seeds give equal text. [default: random, shown]")] = None,
    beam: Annotated[
        int | None, typer.Option(help="Draw nothing: search for a likely text, so many candidates at a time.")
    ] = None,
    device: Device = "cpu",
) -> None:
    """Let a trained model write, character by character."""
    with _reported("sample"):
        from minirnn.commands.train import sample as command

        place = _usable(device)
        if beam is not None:
            options = {"temperature": temperature, "top-k": top_k, "top-p": top_p, "seed": seed}
            if drawn := [f"--{name}" for name, value in options.items() if value is not None]:
                raise ConfigError(f"--beam draws nothing, so {drawn[0]} can't go with it")
            command.search(run, prompt, length, beam, place)
            return
        if seed is None:
            seed = secrets.randbelow(2**32)
            typer.echo(f"seed {seed}", err=True)
        warmth = 1.0 if temperature is None else temperature
        command.sample(run, prompt, length, warmth, top_k, top_p, seed, place)


@app.command()
def chat(
    model: Annotated[
        Path | None, typer.Option(help="A chatbot's file. [default: the one that comes with minirnn]")
    ] = None,
    figure: Annotated[Path | None, typer.Option(help="In the end draw states, gates and attention: png, svg.")] = None,
) -> None:
    """Talk to a chatbot that remembers; /help in it lists its commands.

    If standard input is no terminal, each of its lines, commands too, is answered by one line, and nothing else is
    printed.
    """
    with _reported("chat"):
        from minirnn.commands.apply import chat as command

        command.chat(model, figure, _console())


@app.command()
def check(
    file: Annotated[
        Path | None, typer.Argument(help="A file with an assignment's functions.", show_default=False)
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the inputs and upstream gradients.", min=0)] = 0,
    hint: Annotated[
        int, typer.Option(help="0 pass or fail, 1 results, 2 places, 3 family, 4 the mistake.", min=0, max=4)
    ] = 4,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON; docs/instructors.md has the schema.")] = False,
    gates: Annotated[
        str | None, typer.Option(help="Order of the gates' blocks, such as ifgo. [default: ifog, rzn]")
    ] = None,
    quick: Annotated[bool, typer.Option(help="Fewer probes, no search for the smallest problem.")] = False,
    truncate: Annotated[int, typer.Option(help="The gradient is to be cut off every so many steps.", min=0)] = 0,
    sweep: Annotated[
        str | None, typer.Option(help="Draw the error against the step into this PNG; - for text.")
    ] = None,
    only: Annotated[str | None, typer.Option(help="One assignment or pair of functions, such as lstm.")] = None,
) -> None:
    """Find what is wrong in a file of an assignment; without a file, judge minirnn's own gradients three ways.

    Exit code 0 all right, 1 something is wrong, 2 it can't be judged.
    """
    with _reported("check"):
        from minirnn.commands.check import check as command

        if file is None:
            code = 0 if command.check(_console(), seed) else 1
        else:
            code = command.check_file(file, seed, hint, as_json, gates, quick, truncate, only, sweep)
    raise typer.Exit(code)


@app.command()
def assignments(
    action: Annotated[str, typer.Argument(help="list, or start.", show_default=False)] = "list",
    name: Annotated[str | None, typer.Argument(help="The assignment to start.", show_default=False)] = None,
    folder: Annotated[Path, typer.Argument(help="Where its file goes.")] = Path("."),
) -> None:
    """List the assignments that can be checked; `start NAME DIR` writes a file to begin with."""
    with _reported("assignments"):
        from minirnn.commands.learn import assignments as command

        if action == "list":
            command.show()
        elif action == "start" and name is not None:
            command.begin(name, folder)
        else:
            raise ConfigError(
                f"say `list` or `start NAME DIR`; got {action!r}{'' if name is None else ' ' + repr(name)}"
            )


@app.command()
def bugs(
    name: Annotated[str | None, typer.Argument(help="One mistake to show.", show_default=False)] = None,
    quiz: Annotated[bool, typer.Option(help="Find the mistakes yourself.")] = False,
    count: Annotated[int, typer.Option(help="Questions of the quiz.", min=1)] = 5,
    seed: Annotated[int | None, typer.Option(help="Of the quiz. [default: random, shown]", min=0)] = None,
) -> None:
    """The gallery of known mistakes: what each is, what it does, how the check shows it."""
    with _reported("bugs"):
        from minirnn.commands.learn import bugs as command

        if quiz:
            command.quiz(count, secrets.randbelow(2**32) if seed is None else seed)
        elif name is None:
            command.show_all()
        else:
            command.show(name)


@app.command()
def audit(
    tests: Annotated[Path, typer.Argument(help="A file of tests.", show_default=False)],
    module: Annotated[
        str, typer.Option(help="The module of the student's functions that the tests import.")
    ] = "rnn_layers",
) -> None:
    """Say which of the known mistakes a file of tests would let through. Exit code 1 if there are any."""
    with _reported("audit"):
        from minirnn.commands.check import audit as command

        complete = command.run(tests, module, _console())
    raise typer.Exit(0 if complete else 1)


@app.command()
def doctor() -> None:
    """Show what this machine offers, and what would make it faster."""
    with _reported("doctor"):
        from minirnn.commands.race import doctor as command

        command.examine(_console())


@app.command()
def bench(
    kernel: Annotated[Path | None, typer.Option(help="A Python file with a record of kernels, to judge.")] = None,
    cell: Annotated[list[str] | None, typer.Option(help="lstm (unless you say otherwise), gru, rnn.")] = None,
    size: Annotated[list[str] | None, typer.Option(help="A name, or BxTxIxH; five usual ones otherwise.")] = None,
    dtype: Annotated[list[str] | None, typer.Option(help="float32 (unless you say otherwise), float64.")] = None,
    threads: Annotated[list[int] | None, typer.Option(help="As many as there are cores otherwise.")] = None,
    what: Annotated[
        list[str] | None,
        typer.Option(help="gates, forward, inference, training, step, lengths; otherwise training and inference."),
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write everything that was measured there.")] = None,
    plot_file: Annotated[Path | None, typer.Option("--plot", help="Draw roofline and ratios: png, svg, pdf.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Two sizes, less time, no look at the first use.")] = False,
) -> None:
    """Race kernels against PyTorch, JAX and ONNX Runtime, proven right first. Exit code 1 if anything is wrong.

    Options that can be several (--size, --threads, ...) are given several times.
    """
    with _reported("bench"):
        from minirnn.commands.race import bench as command

        plan = command.planned(kernel, cell or [], size or [], dtype or [], threads or [], what or [], quick)
        first_use = not (quick or kernel or what)
        right = command.bench(_console(), plan, first_use=first_use, json_file=json_file, plot_file=plot_file)
    raise typer.Exit(0 if right else 1)


@app.command("train-chatbot")
def train_chatbot(
    cell: Annotated[Literal["rnn", "lstm", "gru"], typer.Option()] = "lstm",
    hidden: Annotated[int, typer.Option(help="Hidden units of encoder and decoder.")] = 144,
    attention: Annotated[bool, typer.Option(help="Look back at what was said, and copy words from it.")] = True,
    additive: Annotated[bool, typer.Option("--additive", help="Additive attention instead of dot products.")] = False,
    steps: Annotated[int | None, typer.Option(help="Training steps.", show_default="enough for good answers")] = None,
    seed: Annotated[int, typer.Option(help="Of the conversations, the weights and all else.", min=0)] = 0,
    out: Annotated[Path, typer.Option(help="Where the trained bot goes.")] = Path("chatbot.safetensors"),
) -> None:
    """Train the chatbot that `minirnn chat` talks with, score it, and write it. Ctrl-C writes it as it is by then."""
    with _reported("train-chatbot"):
        from minirnn.chatbot.training import ChatbotConfig
        from minirnn.commands.apply import train_chatbot as command

        if additive and not attention:
            raise ConfigError("--additive and --no-attention exclude each other")
        settings: dict[str, Any] = {} if steps is None else {"steps": steps}
        kind = "additive" if additive else "dot" if attention else "none"
        config = ChatbotConfig(cell=cell, hidden=hidden, attention=kind, seed=seed, **settings)
        finished = command.run(config, out, _console())
    raise typer.Exit(0 if finished else 130)


@app.command("chatbot-score")
def chatbot_score(
    model: Annotated[Path | None, typer.Option(help="A trained bot. [default: the one that comes with it]")] = None,
    count: Annotated[int, typer.Option("--conversations", help="How many are held.", min=1)] = 500,
) -> None:
    """Hold test conversations with the chatbot: unseen phrasings, unseen and seen values."""
    with _reported("chatbot-score"):
        from minirnn.chatbot.bot import Chatbot
        from minirnn.commands.apply import train_chatbot as command

        command.evaluate(Chatbot.load(model), _console(), count)


@app.command()
def experiment(
    name: Annotated[str | None, typer.Argument(help="Which one; --list shows them.", show_default=False)] = None,
    show: Annotated[bool, typer.Option("--list", help="List the experiments and their claims.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="About 20 seconds, coarser.")] = False,
    full: Annotated[bool, typer.Option("--full", help="Everything, however long it takes.")] = False,
    seed: Annotated[int, typer.Option(help="Of everything random in it.", min=0)] = 0,
    out: Annotated[Path, typer.Option(help="Folder for NAME.json and the figure.")] = Path("experiments"),
    svg: Annotated[bool, typer.Option("--svg", help="Draw the figure as SVG instead of PNG.")] = False,
) -> None:
    """Run a claim of the course week: numbers, a figure, and whether the claim held. At most 5 minutes as it is."""
    with _reported("experiment"):
        from minirnn.commands.learn import experiment as command

        if show:
            command.list_all(_console())
        elif name is None:
            raise ConfigError("say which experiment, or --list")
        elif quick and full:
            raise ConfigError("--quick and --full exclude each other")
        else:
            effort: Any = "quick" if quick else "full" if full else "default"
            command.run(name, effort, seed, out, ".svg" if svg else ".png", _console())


@app.command()
def demo(
    seconds: Annotated[float, typer.Option(help="How long to train.", min=0.1, max=86400)] = 70.0,
    out: Annotated[Path | None, typer.Option(help="New folder for the run. [default: runs/demo-DATE-TIME]")] = None,
    seed: Annotated[int, typer.Option(help="Of everything random in it.", min=0)] = 0,
) -> None:
    """In three minutes: this machine, gradients, an LSTM that learns Python's documentation, and a conversation."""
    with _reported("demo"):
        from minirnn.commands.learn import demo as command

        right = command.demo(_console(), out, seconds, seed)
    raise typer.Exit(0 if right else 1)


def _console() -> Any:
    from rich.console import Console

    return Console()


def _usable(device: str) -> str:
    from minirnn.commands.errors import usable

    return usable(device)


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
