"""Every fenced block, and every command in a sentence, is held against the code: nothing is shown unchecked."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import tomllib
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from app.api.key_file import read_key_file
from app.bulk.many import Outcome
from app.bulk.progress import Progress
from app.commands import predict, predict_files
from tests.documents.programs import CHECKS, check_call
from tests.documents.reading import BLOCKS, FILES, INLINE, PAGES, ROOT, Block, calls_of, comments_of, shown_in
from training.config import DataConfig
from training.data.classification import read_labeled_texts

# What a reader of the pages has: names of files and folders, and what stands there for them.
SCRATCH = {
    "models/sentiment": "models/sentiment",
    "models/fill-mask": "models/fill-mask",
    "models/intents": "models/sentiment",
    "runs/tickets": "examples",
    "runs/tickets-2": "examples",
    "runs/intents": "examples",
    "runs/intents-balanced": "examples",
    "examples": "examples",
    "training": "training",
    "my-recipe.toml": "training/recipes/sentiment.toml",
    "my-pretraining.toml": "training/recipes/fill-mask.toml",
}
# Blocks that tests elsewhere hold, by page and language.
ELSEWHERE = {
    ("docs/adding-a-task.md", "python"): "tests/live/test_adding_a_task.py",
    ("docs/adding-a-task.md", "console"): "tests/live/test_adding_a_task.py",
    ("docs/protocols.md", "python"): "tests/live/test_protocols.py",
    ("docs/protocols.md", "json"): "tests/live/test_protocols.py",
    ("docs/kubernetes.md", "yaml"): "tests/deploy/test_cluster.py",
    ("docs/api.md", "text"): "tests/live/test_documented_answers.py",
}
LIVE = ("python", "javascript")  # tests/live/test_documents.py runs them


# --- Blocks of commands ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scratch(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("scratch")
    for name, there in SCRATCH.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).symlink_to(ROOT / there)
    return folder


def lay_out(folder: Path, words: list[str]) -> None:
    """Make the files of labeled text that a command and its recipe name, empty."""
    given = dict(pairwise(words))
    named = [given[flag] for flag in ("--train", "--validation", "--test", "--texts") if flag in given]
    for recipe in (folder / word for word in words if word.endswith(".toml") and (folder / word).exists()):
        data = tomllib.loads(recipe.read_text(encoding="utf-8")).get("data", {})
        for split in ("train", "validation", "test"):
            names = data.get(split, [])
            named += [names] if isinstance(names, str) else names
    for file in (folder / given.get("--data", "") / name for name in named):
        file.parent.mkdir(parents=True, exist_ok=True)
        if not file.exists():
            file.touch()


ANSWERED = ("curl ", "printf ", "roberta-serve predict ")  # what is shown below these is compared with the real answer
COMMANDS = [block for block in BLOCKS if block.language == "console" and (block.page, "console") not in ELSEWHERE]


@pytest.mark.parametrize("block", COMMANDS, ids=str)
def test_commands_of_a_block_are_such_as_their_programs_take(block, scratch, monkeypatch):
    assert block.text.startswith("$ "), "a command line begins with a dollar sign"
    monkeypatch.chdir(scratch)
    for line, output in shown_in(block):
        assert not output or line.startswith(ANSWERED), f"nobody checks what is shown below {line}"
    for call in (call for line, _ in shown_in(block) for call in calls_of(line)):
        words = [word.replace("/shared/", f"{scratch}/shared/") for word in call.words]
        lay_out(scratch, words)
        check_call(replace(call, words=words), is_whole=True)


def outputs_of(program: str) -> list[str]:
    return [
        shown.output
        for block in COMMANDS
        for shown in shown_in(block)
        if shown.output and shown.line.startswith(program)
    ]


def test_the_end_of_predict_is_said_as_the_page_shows():
    said = io.StringIO()
    predict.end(Progress(said, 10_000, 2), "answered.csv")
    outcomes = [Outcome("a.csv", 81_007, 17, False, None), *[Outcome("b.csv", 1, 0, False, None)] * 213]
    predict_files.end(outcomes, Progress(said), Path("/data/answered"))
    shown = outputs_of("roberta-serve predict")
    assert [line.partition(";")[0] for line in shown] == [
        line.partition(";")[0] for line in said.getvalue().splitlines()
    ]


# --- Blocks of other languages --------------------------------------------------------------------------------


def check_elsewhere(block: Block, folder: Path) -> None:
    test = ROOT / ELSEWHERE[block.page, block.language]
    assert test.is_file()


def test_blocks_that_are_said_to_be_held_elsewhere_are_there():
    assert set(ELSEWHERE) <= {(block.page, block.language) for block in BLOCKS}


def check_keys(block: Block, folder: Path) -> None:
    file = folder / "keys.toml"
    file.write_text(re.sub(r'"([0-9a-f]+)\.\.\."', lambda found: f'"{found[1]:0<64}"', block.text), encoding="utf-8")
    assert read_key_file(file)


def check_labeled_texts(block: Block, folder: Path) -> None:
    file = folder / "train.csv"
    file.write_text(block.text, encoding="utf-8")
    rows = read_labeled_texts(file, DataConfig())
    assert [f"{row.text},{row.label}" for row in rows] == block.text.splitlines()[1:]


def check_nginx(block: Block, folder: Path) -> None:
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/bin")
    if program is None:
        pytest.skip("nginx is not installed")
    upstream, _, location = block.text.partition("location ")
    file = folder / "nginx.conf"
    places = "".join(f"{kind}_temp_path {folder}; " for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    http = f"access_log off; {places} {upstream} server {{ listen 127.0.0.1:8000; location {location} }}"
    file.write_text(f"pid {folder}/pid; error_log {folder}/log; events {{}} http {{ {http} }}")
    done = subprocess.run([program, "-t", "-e", str(folder / "log"), "-c", str(file)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def check_tree(block: Block, folder: Path) -> None:
    """Fail where a drawn folder has other files than the real one."""
    place, *rows = block.text.splitlines()
    drawn = {row.split()[1] for row in rows}
    assert drawn == {file.name for file in (ROOT / place).iterdir()}


CHECKED = {"toml": check_keys, "csv": check_labeled_texts, "nginx": check_nginx, "text": check_tree}


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language != "console"], ids=str)
def test_a_block_of_another_language_is_held(block, tmp_path):
    if (block.page, block.language) in ELSEWHERE:
        check_elsewhere(block, tmp_path)
    elif block.language not in LIVE:
        assert block.language in CHECKED, f"nobody checks {block}"
        CHECKED[block.language](block, tmp_path)


# --- Commands within sentences --------------------------------------------------------------------------------


def within_sentences(page: str) -> list[str]:
    text = re.sub(r"^```.*?^```$", "", PAGES[page], flags=re.MULTILINE | re.DOTALL)
    return [found.replace("\\|", "|") for found in INLINE.findall(text) if is_command(found)]


def is_command(text: str) -> bool:
    first, space, _ = re.sub(r"^(\w+=\S+ )+", "", text).partition(" ")
    return bool(space) and first.removeprefix(".venv/bin/") in CHECKS


@pytest.mark.parametrize("page", PAGES)
def test_commands_within_sentences_are_such_as_their_programs_take(page):
    for text in within_sentences(page):
        for call in calls_of(text):
            check_call(call, is_whole=False)


@pytest.mark.parametrize(
    "file", [file for name in FILES for file in sorted(ROOT.glob(name))], ids=lambda file: file.name
)
def test_commands_within_comments_are_such_as_their_programs_take(file):
    for text in filter(is_command, comments_of(file)):
        for call in calls_of(text):
            check_call(call, is_whole=False)
