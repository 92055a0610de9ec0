"""Functions shared by the tests of the commands: they run commands of `minirnn` in this process."""

from typer.testing import CliRunner

from minirnn import cli

SMALL = ["--hidden", "5", "--embedding", "3", "--batch", "2", "--seq", "4", "--steps", "6"]
TEXT = "the cat sat on the mat. " * 20


def minirnn(*arguments):
    """Run a command in this process. The only exception that it can raise is SystemExit."""
    result = CliRunner().invoke(cli.app, [str(argument) for argument in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert "Traceback" not in result.output
    return result


def refused(result, *words):
    """Assert exit code 2 with these words on stderr. Return the message, joined to one line."""
    assert result.exit_code == 2, result.output
    message = " ".join(result.stderr.replace("│", " ").split())
    for word in words:
        assert word in message, message
    return message
