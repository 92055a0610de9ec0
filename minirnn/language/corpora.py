"""Sources of text: the documentation that comes with every Python, one named download, or any UTF-8 file."""

import hashlib
import importlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Corpus", "CorpusError", "data_folder", "load_corpus"]

SHAKESPEARE_URL = "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"
SHAKESPEARE_SHA256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"
SHAKESPEARE_FILE = "tinyshakespeare.txt"


class CorpusError(ValueError):
    """A text can't be loaded. The message names the text and the reason."""


@dataclass(frozen=True)
class Corpus:
    """A text, its name or absolute path, and the SHA-256 of its bytes."""

    text: str
    name: str
    sha256: str


def load_corpus(name_or_path: str | os.PathLike[str]) -> Corpus:
    """Return the corpus `python-docs` or `shakespeare`, or the text in a UTF-8 file (a byte-order mark is dropped).

    `python-docs` is the reference text behind Python's help(), about 470,000 characters; the text and its hash differ
    between Python versions. `shakespeare` (1,115,394 characters) is downloaded once into `data_folder()`. A corpus name
    takes precedence over a file with the same name; write ./shakespeare for the file. Raises CorpusError.
    """
    name = os.fspath(name_or_path)
    if name == "python-docs":
        from pydoc_data.topics import topics

        text = "\n".join(topics[key] for key in sorted(topics))
        return Corpus(text, name, hashlib.sha256(text.encode()).hexdigest())
    if name == "shakespeare":
        content = _shakespeare()
    else:
        content = _file(name)
        name = os.path.abspath(name)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        byte = content[error.start]
        raise CorpusError(f"{name} is not UTF-8: byte 0x{byte:02x} at offset {error.start} ({error.reason})") from None
    if not text:
        raise CorpusError(f"{name} is empty")
    return Corpus(text, name, hashlib.sha256(content).hexdigest())


def data_folder() -> Path:
    """Return the folder for downloads: MINIRNN_DATA if it is set, else `minirnn` in the user's cache folder."""
    home = Path.home()
    if chosen := os.environ.get("MINIRNN_DATA"):
        return Path(chosen)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", home / "AppData" / "Local")) / "minirnn"
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "minirnn"
    return Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache") / "minirnn"


def _file(name: str) -> bytes:
    try:
        return Path(name).read_bytes()
    except FileNotFoundError:
        expected = "python-docs, shakespeare, or the path of a UTF-8 file"
        raise CorpusError(f"no corpus and no file is called {name!r}; expected {expected}") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise CorpusError(f"cannot read {name}: {getattr(error, 'strerror', None) or error}") from None


def _shakespeare() -> bytes:
    """Return the file from the cache, or download it with pooch. The hash is checked in both cases."""
    path = data_folder() / SHAKESPEARE_FILE
    if path.exists():
        content = _file(str(path))
        found = hashlib.sha256(content).hexdigest()
        if found != SHAKESPEARE_SHA256:
            raise CorpusError(
                f"{path} is not the expected text: SHA-256 {found}, expected {SHAKESPEARE_SHA256}; "
                "delete the file to download it again"
            )
        return content
    by_hand = f"put the file from {SHAKESPEARE_URL} at {path}"
    try:
        pooch: Any = importlib.import_module("pooch")
    except ImportError:
        install = "pip install pooch"
        raise CorpusError(f"downloading 'shakespeare' needs pooch ({install}); or {by_hand}") from None
    try:
        pooch.retrieve(SHAKESPEARE_URL, f"sha256:{SHAKESPEARE_SHA256}", SHAKESPEARE_FILE, path.parent)
    except (OSError, ValueError) as error:  # no network, an unwritable cache, another hash
        reason = str(error).strip().splitlines()[0]
        raise CorpusError(f"cannot download 'shakespeare' ({reason}); {by_hand}") from None
    return _file(str(path))
