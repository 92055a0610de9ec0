"""A text to train on, and a finished run."""

import pytest

from tests.commands.command_line import SMALL, TEXT, minirnn


@pytest.fixture(scope="session")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "cats.txt"
    path.write_text(TEXT)
    return path


@pytest.fixture(scope="session")
def finished(tmp_path_factory, text):
    """The folder of a finished run. Tests must not write into it."""
    folder = tmp_path_factory.mktemp("runs") / "finished"
    assert minirnn("train", "--text", text, "--out", folder, *SMALL).exit_code == 0
    return folder
