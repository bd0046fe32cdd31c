"""What the documents tell people to ask is asked of the bundles that ship, and answered as the documents show."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.documents.reading import BLOCKS, ROOT, Block, Shown, shown_in
from tests.support.answers import assert_alike

ADDRESS = re.compile(r"(http://)?(localhost|127\.0\.0\.1):8000")
READERS_OWN = re.compile(r"/models/(tickets|intents)\b")  # what a reader has trained
TASK = "docs/adding-a-task.md"  # another service answers it
OTHERS = ("docs/predict.md", "docs/protocols.md", TASK)  # pages whose Python has tests of its own
CURLS = [
    (block, shown)
    for block in BLOCKS
    if block.language == "console" and block.page != TASK
    for shown in shown_in(block)
    if shown.line.startswith("curl ")
]
PYTHON = sorted({block.page for block in BLOCKS if block.language == "python"} - set(OTHERS))
JAVASCRIPT = [block for block in BLOCKS if block.language == "javascript"]
CLIENTS = Path(sys.prefix) / "clients" / "node_modules"  # `make clients` puts it there
WITHIN = 0.05  # int8 differs from processor to processor
TIMEOUT_S = 120


@pytest.mark.parametrize(("block", "shown"), CURLS, ids=lambda each: str(each) if isinstance(each, Block) else "")
def test_a_request_is_answered_as_the_page_shows(block: Block, shown: Shown, shipped):
    line = ADDRESS.sub(shipped.url, READERS_OWN.sub("/models/sentiment", shown.line))
    line = line.replace("curl", "curl --silent --show-error --fail-with-body", 1)
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stdout
    if shown.output:
        assert_alike(json.loads(done.stdout), json.loads(shown.output), WITHIN)


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """Stand in a folder that has what the pages read."""
    (tmp_path / "models").symlink_to(ROOT / "models")
    (tmp_path / "reviews.txt").write_text("A warm film.\n\nA dull one.\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", PYTHON)
@pytest.mark.usefixtures("folder", "hub_clients")
def test_the_python_of_a_page_runs(page, shipped):
    """Blocks of one page are one program."""
    known: dict[str, object] = {}
    for block in (block for block in BLOCKS if (block.page, block.language) == (page, "python")):
        exec(compile(ADDRESS.sub(shipped.url, block.text), str(block), "exec"), known)


@pytest.mark.parametrize("block", JAVASCRIPT, ids=str)
def test_the_javascript_of_a_page_runs(block, shipped, folder):
    if not CLIENTS.is_dir():
        pytest.skip("the clients of other languages are not installed: make clients")
    (folder / "node_modules").symlink_to(CLIENTS)
    (folder / "ask.mjs").write_text(ADDRESS.sub(shipped.url, block.text), encoding="utf-8")
    program = shutil.which("node")
    assert program
    done = subprocess.run([program, "ask.mjs"], capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stderr
    assert "positive" in done.stdout
