"""The documents as tests read them: pages, fenced blocks, the command lines of a block, and those within sentences."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
NAMES = (
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    *(f"{name}/README.md" for name in ("benchmarks", "client", "examples")),
)
PAGES = {
    str(page.relative_to(ROOT)): page.read_text(encoding="utf-8")
    for page in (*(ROOT / name for name in NAMES), *sorted((ROOT / "docs").glob("*.md")))
}
# Comments at the top of these say how the file is used.
FILES = ("Dockerfile", "docker-compose.yml", "deploy/docker-compose.*.yml", "deploy/ray/*", "examples/*.toml")
FENCE = re.compile(r"^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
SHOWN = re.compile(r"^\$ ((?:[^\n]*\\\n)*[^\n]*)\n(.*?)(?=^\$ |\Z)", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
ASSIGNED = re.compile(r"([A-Z_]+)=(.*)", re.DOTALL)
BETWEEN = {"|", "||", "&&", ";"}  # commands of one line


@dataclass(frozen=True)
class Block:
    """A fenced block, by its page and line."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


class Shown(NamedTuple):
    """A command line, and what the page prints below it."""

    line: str
    output: str


@dataclass(frozen=True)
class Call:
    """A program with its arguments, and the environment that is set for it."""

    program: str
    words: list[str]
    environment: dict[str, str] = field(default_factory=dict)


def blocks_of(page: str) -> list[Block]:
    text = PAGES[page]
    return [
        Block(page, text.count("\n", 0, found.start()) + 1, found["language"], found["text"])
        for found in FENCE.finditer(text)
    ]


BLOCKS = [block for page in PAGES for block in blocks_of(page)]


def shown_in(block: Block) -> list[Shown]:
    """Return the command lines of a block; one goes on where it ends with a backslash."""
    return [Shown(line, output.strip()) for line, output in SHOWN.findall(block.text)]


def calls_of(line: str) -> list[Call]:
    """Return the programs that a command line calls. Redirections and comments are left out."""
    words = shlex.shlex(line.replace("\\\n", " "), posix=True, punctuation_chars=True)
    words.whitespace_split = True
    every = [*BETWEEN & {"|"}, *words, "|"]
    ends = [number for number, word in enumerate(every) if word in BETWEEN]
    return [call_of(every[begin + 1 : end]) for begin, end in pairwise(ends) if end > begin + 1]


def call_of(words: list[str]) -> Call:
    for number, word in enumerate(words):
        if word in (">", ">>", "<"):
            words = words[:number] + words[number + 2 :]
            break
    environment = {}
    while words and (found := ASSIGNED.fullmatch(words[0])):
        environment[found[1]] = found[2]
        words = words[1:]
    program, *rest = words or [""]
    return Call(program.removeprefix(".venv/bin/"), rest, environment)


def comments_of(path: Path) -> list[str]:
    """Return the command lines of a file's comments: two spaces or more before them, or backticks around them."""
    comments = re.findall(r"^ *#(.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    quoted = [found for comment in comments for found in INLINE.findall(comment)]
    return [*quoted, *(re.split(r"\s{3,}", comment.strip())[0] for comment in comments if comment.startswith("   "))]
