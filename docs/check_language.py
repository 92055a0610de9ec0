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

# phrase (a regular expression, case-insensitive unless it says otherwise) -> what to write instead. A space in a phrase
# matches any white space, so a phrase is also found across a line break of a docstring or paragraph.
PHRASES = {
    r"\banew\b": "again",
    r"\bbeside\b": "next to, alongside, with, or besides",
    r"\bstands? (in|at|on|beside|above|behind|there|where|next|one after)\b": "is in, is defined in, comes before ...",
    r"\bof (yours|mine|ours|theirs)\b": "put it before the noun: your X",
    r"\bof (its|their|his|your|one's) own(?=\s*([^\w\s]|$)| (and|or|but|that|which|for|in|of|to|with|is|are)\b)": (
        "put it before the noun: its own X"
    ),
    r"\bbut for\b": "except",
    r"\bthe way back\b": "the backward pass",
    r"\bmeetings?\b": "barrier",
    r"\bso many\b": "this many, or a number",
    r"\bwhoever\b": "name the person: the caller, the user",
    r"(?-i:(^|(?<=[.;:]\s))Who) (?!(is|are|was|has|have|knows|said|did)\b[^.]*\?)": "name the person",
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
    r"\bafresh\b": "again, or new",
    r"\bstood (in|at|on|beside|above|behind|there|where|next)\b": "was in, was defined in, came before ...",
    r"\b(is|are|was|were) asked for\b": "is requested, or is the target",
    r"\bwhat (stands|stood)\b": "name the thing",
    r"\bwhat (is|was) (asked|handed)\b": "name the thing: the question, the argument",
    r"\bas [\w.`]+ has (it|them)\b": "as in X",
    r"\bas (it|they) came\b": "unchanged",
    r"\bequal to the bit\b": "bit for bit, or bitwise equal",
    r"\bof (these|those|such) only\b": "only of these",
    r"\bsuch as (are|is|have|has)\b": "those that are",
    r"\b(is|are) no part of\b": "is not part of",
    r"\bthe walk back\b": "the backward pass",
    r"\bone in the other\b": "nested",
    r"\b(thereof|therein|whereof|wherein)\b": "of it, in it",
}
PATTERNS = [(re.compile(phrase.replace(" ", r"\s+"), re.IGNORECASE), instead) for phrase, instead in PHRASES.items()]
C_COMMENT = re.compile(r"//.*$|/\*.*?\*/", re.MULTILINE | re.DOTALL)
STRINGS = (tokenize.COMMENT, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING))
C_SUFFIXES = (".cu", ".cuh", ".cpp", ".hpp")
HASH_SUFFIXES = (".sh", ".toml")  # comments begin with "#"
HASH_NAMES = ("Makefile", "run")  # .ci/run
# Students' files, results, golden output, and what people say to a chatbot: their words, not the project's.
SKIPPED = (
    "benchmarks/student_files/",
    "benchmarks/results/",
    "tests/assignments/golden.txt",
    "minirnn/chatbot/conversations/",
    "docs/check_language.py",
    "tests/test_language.py",
)


def pieces(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the prose of a file as (first line number, text). A file of an unknown kind has none."""
    source = path.read_text(encoding="utf-8") if _is_read(path) else ""
    if path.suffix == ".py":
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            if token.type in STRINGS:
                yield token.start[0], token.string
    elif path.suffix == ".md":
        yield 1, source
    elif path.suffix in C_SUFFIXES:
        for match in C_COMMENT.finditer(source):
            yield source.count("\n", 0, match.start()) + 1, match.group()
    else:
        for number, line in enumerate(source.splitlines(), 1):
            yield number, line.partition("#")[2]


def _is_read(path: Path) -> bool:
    return path.suffix in (".py", ".md", *C_SUFFIXES, *HASH_SUFFIXES) or path.name in HASH_NAMES


def findings(path: Path) -> Iterator[tuple[int, str, str]]:
    """Yield each phrase found in a file as (line number, the phrase, what to write instead)."""
    lines: list[str] = []
    for first, text in pieces(path):
        lines = lines or path.read_text(encoding="utf-8").splitlines()
        for pattern, instead in PATTERNS:
            for match in pattern.finditer(text):
                line = first + text.count("\n", 0, match.start())
                if not lines[line - 1].endswith("prose: ok"):
                    yield line, " ".join(match.group().split()), instead


def main(names: list[str]) -> int:
    """Print the findings in the named files, or in all tracked files; return the exit status."""
    if not names:
        tracked = subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=True).stdout.split("\n")
        names = [name for name in tracked if name and not name.startswith(SKIPPED) and Path(name).is_file()]
    found = [(name, *finding) for name in names for finding in sorted(findings(Path(name)))]
    for name, line, phrase, instead in found:
        print(f'{name}:{line}: "{phrase}": {instead}')
    if found:
        print(f"{len(found)} phrases to rewrite")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
