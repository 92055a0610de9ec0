"""Corpora: the embedded one, the download (from a local server), files, and their errors."""

import functools
import hashlib
import http.server
import logging
import os
import sys
import threading
from pathlib import Path

import pytest

from minirnn.language import CorpusError, corpora, data_folder, load_corpus


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MINIRNN_DATA", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_python_docs_is_embedded_and_hashed():
    corpus = load_corpus("python-docs")
    assert corpus.name == "python-docs"
    assert len(corpus.text) > 400_000
    assert "statement" in corpus.text
    assert corpus.sha256 == hashlib.sha256(corpus.text.encode()).hexdigest()
    assert load_corpus("python-docs") == corpus


def test_a_file_is_read_as_it_is(tmp_path):
    path = tmp_path / "text"
    content = "Grüße\r\n\U0001f600\n".encode()
    path.write_bytes(content)
    corpus = load_corpus(path)
    assert corpus.text == "Grüße\r\n\U0001f600\n"
    assert corpus.name == str(path)
    assert corpus.sha256 == hashlib.sha256(content).hexdigest()


def test_the_path_is_kept_absolute(tmp_path, monkeypatch):
    (tmp_path / "t.txt").write_text("x")
    monkeypatch.chdir(tmp_path)
    assert load_corpus("t.txt").name == str(tmp_path / "t.txt")


def test_a_byte_order_mark_is_dropped(tmp_path):
    (tmp_path / "t").write_bytes(b"\xef\xbb\xbfhello")
    assert load_corpus(tmp_path / "t").text == "hello"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"abc\xffdef", "not UTF-8: byte 0xff at offset 3"),
        (b"abc\xe2\x82", "not UTF-8: byte 0xe2 at offset 3"),
        (b"", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
    ],
)
def test_a_bad_file_is_named(tmp_path, content, reason):
    (tmp_path / "t").write_bytes(content)
    with pytest.raises(CorpusError, match=reason) as caught:
        load_corpus(tmp_path / "t")
    assert str(tmp_path / "t") in str(caught.value)


def test_utf_16_is_not_utf_8(tmp_path):
    (tmp_path / "t").write_text("hello", encoding="utf-16")
    with pytest.raises(CorpusError, match="offset 0"):
        load_corpus(tmp_path / "t")


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(CorpusError, match=r"no corpus and no file is called 'shakespear'.*python-docs, shakespeare"):
        load_corpus("shakespear")


def test_a_folder_and_an_impossible_name_are_refused(tmp_path):
    with pytest.raises(CorpusError, match="Is a directory"):
        load_corpus(tmp_path)
    with pytest.raises(CorpusError, match="null"):
        load_corpus("a\0b")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root can read every file")
def test_an_unreadable_file_is_named(tmp_path):
    (tmp_path / "t").write_text("x")
    (tmp_path / "t").chmod(0)
    with pytest.raises(CorpusError, match="Permission denied"):
        load_corpus(tmp_path / "t")


def test_an_unreadable_file_is_named_even_to_root(tmp_path, monkeypatch):
    def denied(_self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", denied)
    with pytest.raises(CorpusError, match=r"cannot read .*: Permission denied"):
        load_corpus(tmp_path / "t")


# ---- the download


@pytest.fixture
def served(tmp_path, monkeypatch):
    """Replace the real address by a local server with one file; yield the content of the file."""
    content = b"First Citizen:\nBefore we proceed\n"
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "input.txt").write_bytes(content)
    handler = functools.partial(QuietHandler, directory=str(tmp_path / "www"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setattr(corpora, "SHAKESPEARE_URL", f"http://127.0.0.1:{server.server_port}/input.txt")
        monkeypatch.setattr(corpora, "SHAKESPEARE_SHA256", hashlib.sha256(content).hexdigest())
        yield content
        server.shutdown()
        thread.join()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_args):
        pass


def test_shakespeare_is_downloaded_once_and_then_kept(cache, served, monkeypatch):
    pooch = pytest.importorskip("pooch", reason="pooch (the extra `data`) is not installed")
    pooch.get_logger().setLevel(logging.ERROR)
    first = load_corpus("shakespeare")
    assert first.text.encode() == served
    assert (cache / "tinyshakespeare.txt").read_bytes() == served
    monkeypatch.setattr(corpora, "SHAKESPEARE_URL", "http://127.0.0.1:9/nothing")
    assert load_corpus("shakespeare") == first


def test_a_download_of_other_content_is_refused(cache, served, monkeypatch):
    pytest.importorskip("pooch", reason="pooch (the extra `data`) is not installed")
    monkeypatch.setattr(corpora, "SHAKESPEARE_SHA256", "0" * 64)
    with pytest.raises(CorpusError, match="cannot download 'shakespeare'"):
        load_corpus("shakespeare")
    assert not (cache / "tinyshakespeare.txt").exists()


def test_offline_names_the_file_to_put_there(cache, monkeypatch):
    pytest.importorskip("pooch", reason="pooch (the extra `data`) is not installed")
    monkeypatch.setattr(
        corpora, "SHAKESPEARE_URL", "http://127.0.0.1:9/input.txt"
    )  # the discard port refuses connections
    with pytest.raises(CorpusError, match="cannot download") as caught:
        load_corpus("shakespeare")
    assert f"put the file from http://127.0.0.1:9/input.txt at {cache / 'tinyshakespeare.txt'}" in str(caught.value)


def test_without_pooch_the_message_says_so(cache, monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(CorpusError, match="needs pooch") as caught:
        load_corpus("shakespeare")
    assert str(cache / "tinyshakespeare.txt") in str(caught.value)


def test_a_file_put_there_by_hand_needs_no_pooch(cache, monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    monkeypatch.setattr(corpora, "SHAKESPEARE_SHA256", hashlib.sha256(b"by hand").hexdigest())
    cache.mkdir()
    (cache / "tinyshakespeare.txt").write_bytes(b"by hand")
    assert load_corpus("shakespeare").text == "by hand"


def test_a_wrong_file_put_there_is_refused(cache):
    cache.mkdir()
    (cache / "tinyshakespeare.txt").write_bytes(b"<html>not found</html>")
    with pytest.raises(CorpusError, match="is not the expected text: SHA-256"):
        load_corpus("shakespeare")


@pytest.mark.parametrize(
    ("platform", "variable", "expected"),
    [
        ("linux", {"XDG_CACHE_HOME": "/x"}, "/x/minirnn"),
        ("linux", {}, "~/.cache/minirnn"),
        ("darwin", {}, "~/Library/Caches/minirnn"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/minirnn"),
        ("linux", {"MINIRNN_DATA": "/data"}, "/data"),
    ],
)
def test_the_data_folder_follows_the_system(monkeypatch, platform, variable, expected):
    for name in ("MINIRNN_DATA", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variable.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", platform)
    assert data_folder() == Path(expected).expanduser()
