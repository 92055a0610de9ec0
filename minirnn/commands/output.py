"""Functions shared by the commands: printing plain lines, writing text to stdout, and checking paths in advance."""

import os
import sys
from pathlib import Path

from rich.console import Console

from minirnn.language import ConfigError

__all__ = ["make_folder", "require_parent", "require_writable", "say", "write"]


def say(console: Console, text: str) -> None:
    """Print a line without markup, colours or wrapping."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def write(text: str) -> None:
    """Write text to stdout and flush it. A ? replaces characters that the encoding lacks."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "replace").decode(encoding))
    sys.stdout.flush()


def make_folder(folder: Path) -> None:
    """Make the folder of the option --out. Raises ConfigError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"--out {folder}: cannot make the folder: {error.strerror or error}") from None


def require_parent(option: str, path: Path) -> None:
    """Raise ConfigError unless the folder of the file `path` exists."""
    if not path.absolute().parent.is_dir():
        raise ConfigError(f"{option} {path}: there is no folder {path.absolute().parent}")


def require_writable(folder: Path) -> None:
    """Raise ConfigError unless files can be created in `folder`, for the option --out."""
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigError(f"--out: the folder {folder} is not writable")
