"""Check the project's prose for phrases that a native-speaking engineer would not write.

    python docs/check_language.py [FILE ...]     # without files: everything that git tracks

Reads Markdown, the docstrings, comments and strings of Python, and the comments of other sources. Prints one line for
each finding, `file:line: "phrase": what to write instead`, and exits with 1 if there are any. A line that ends in the
comment `prose: ok` is skipped.
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

# phrase (a regular expression, case-insensitive unless it says otherwise) -> what to write instead
PHRASES = {
    r"\banew\b": "again",
    r"\bbeside\b": "next to, alongside, with, or besides",
    r"\bstands? (in|at|on|beside|above|behind|there|where|next|one after)\b": "is in, is defined in, comes before ...",
    r"\bof (yours|mine|ours|theirs|(its|their|his|your|one's) own)\b": "put it before the noun: its own X",
    r"\bbut for\b": "except",
    r"\bthe way back\b": "the backward pass",
    r"\bmeetings?\b": "barrier",
    r"\bso many\b": "this many, or a number",
    r"\bwhoever\b": "name the person: the caller, the user",
    r"(?-i:(^|(?<=[.;:] ))Who) (?!(is|are|was|has|have|knows|said|did)\b[^.]*\?)": "name the person",
    r"\b(for|by|of|from|to) who\b": "name the person: the caller, the user",
    r"\bwhat came\b": "name the thing: the value, the array",
    r"\bwritten, perhaps\b": "you may have written",
    r"\bto nobody's use\b": "unused",
    r"\bnobody (asked|else)\b": "say what it is: unused, private",
    r"\bunasked\b": "without being asked, or automatically",
    r"\b(the )?one or the other\b": "one of them",
    r"\bin turns\b": "alternately, or interleaved",
    r"\blook(ing)? at how\b": "say what is measured",
    r"\bmuch the same\b": "similar",
    r"\bis none of\b": "is not one of, or is not part of",
    r"\bare none of\b": "are not among",
    r"\bis handed out\b": "is returned",
    r"\bhands? on\b": "passes on, or passes to",
    r"\bhave to be there\b": "must be present",
    r"\bneed not be there\b": "is optional",
    r"\bof (no|any) (one|body)\b": "say whose",
    r"\b(it|that|this) is what\b[^.?]*\bfor\b": "say the purpose directly",
    r"\bshuts? the door\b": "closes the group",
    r"\bgives? way\b": "yields",
    r"\bcomes? along\b": "is included",
    r"\bthere has been\b": "say what happened",
    r"\bsuch a one\b": "one",
    r"\bbe it\b": "whether",
    r"\bin the making\b": "under construction",
}
PATTERNS = [(re.compile(phrase, re.IGNORECASE), instead) for phrase, instead in PHRASES.items()]
C_COMMENT = re.compile(r"//.*$|/\*.*?\*/", re.MULTILINE | re.DOTALL)
SKIPPED = ("benchmarks/student_files/", "benchmarks/results/", "tests/assignments/golden.txt", "docs/check_language.py")
SKIPPED += ("minirnn/chatbot/conversations/", "tests/test_language.py")  # what people say to a chatbot, in their words


def pieces(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the prose of a file as (first line number, text)."""
    source = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            if token.type in (tokenize.COMMENT, tokenize.STRING) or token.type == getattr(
                tokenize, "FSTRING_MIDDLE", -1
            ):
                yield token.start[0], token.string
    elif path.suffix == ".md":
        yield 1, source
    elif path.suffix in (".cu", ".cuh", ".cpp", ".hpp"):
        for match in C_COMMENT.finditer(source):
            yield source.count("\n", 0, match.start()) + 1, match.group()
    elif path.name in ("Makefile", "run") or path.suffix in (".sh", ".toml"):
        for number, line in enumerate(source.splitlines(), 1):
            if "#" in line:
                yield number, line[line.index("#") :]


def findings(path: Path) -> Iterator[tuple[int, str, str]]:
    """Yield each phrase of a file as (line number, the phrase, what to write instead)."""
    lines = path.read_text(encoding="utf-8").splitlines()
    for first, text in pieces(path):
        for pattern, instead in PATTERNS:
            for match in pattern.finditer(text):
                line = first + text.count("\n", 0, match.start())
                if not lines[line - 1].endswith("prose: ok"):
                    yield line, " ".join(match.group().split()), instead


def main(names: list[str]) -> int:
    if not names:
        tracked = subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=True).stdout.split("\n")
        names = [name for name in tracked if name and not name.startswith(SKIPPED) and Path(name).is_file()]
    count = 0
    for name in names:
        if Path(name).suffix in (".py", ".md", ".cu", ".cuh", ".cpp", ".hpp", ".sh", ".toml") or name in (
            "Makefile",
            ".ci/run",
        ):
            for line, phrase, instead in sorted(findings(Path(name))):
                print(f'{name}:{line}: "{phrase}": {instead}')
                count += 1
    if count:
        print(f"{count} phrases to rewrite")
    return int(count > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
