"""The service on a terminal: what it shows there, that it ends with it, and that an operator's SIGHUP reloads."""

from __future__ import annotations

import re
import signal
import subprocess
import sys

import httpx
import pytest

from tests.support.server import REPOSITORY, SHAPES, until
from tests.support.terminal import on_terminal

FLAGS = {SHAPES[0]: (), SHAPES[1]: ("--http-workers", "2")}


@pytest.fixture
def models(tiny_models, tmp_path):
    """A models folder of which one model is refused."""
    folder = tmp_path / "models"
    folder.mkdir()
    for model in tiny_models.iterdir():
        if model.is_dir():
            (folder / model.name).symlink_to(model)
    broken = folder / "broken" / "1"
    broken.mkdir(parents=True)
    (broken / "manifest.json").write_text("{}")
    return folder


def ready(models, *flags, **options):
    return on_terminal("-m", "app", "--models", str(models), "--host", "127.0.0.1", "--port", "0", *flags, **options)


def url_on(screen):
    found = re.search(r"http://127\.0\.0\.1:\d+(?=   roberta-serve)", screen.text())
    return found and found[0]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_person_is_shown_what_is_served_and_closing_the_terminal_ends_it(shape, models):
    with ready(models, "--log-requests", *FLAGS[shape]) as (process, screen):
        url = until(lambda: url_on(screen))
        until(lambda: re.search(r"  ready in \d+\.\d s", screen.text()))
        shown = screen.text()
        assert re.search(r"tiny-classify:1 +text-classification +\w+ .* /classify", shown)
        assert "broken:1 refused: manifest.json is not valid" in shown
        assert f"try  curl {url}/models/" in shown
        assert not re.search(r'^\{"', shown, re.M)  # lines of JSON are for programs

        with httpx.Client(base_url=url) as client:
            # Each worker of several hears of the models for itself.
            until(lambda: client.post("/models/tiny-classify", json={"inputs": "a"}).status_code == 200)
            until(lambda: "request_answered" in screen.text())
            before = screen.text().count("model_ready")
            process.send_signal(signal.SIGHUP)  # an operator's: the terminal is open
            until(lambda: screen.text().count("model_ready") > before)
            assert client.post("/models/tiny-classify", json={"inputs": "a"}).status_code == 200

        screen.close()
        assert process.wait(60) == 0
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{url}/health/live")


def test_a_service_that_was_started_to_outlive_its_terminal_does(models):
    with ready(models, ignored=True) as (process, screen):
        url = until(lambda: url_on(screen))
        screen.close()
        process.send_signal(signal.SIGHUP)
        assert httpx.get(f"{url}/health/live").status_code == 200
        process.terminate()
        assert process.wait(60) == 0


def test_ctrl_c_while_torch_is_imported_is_one_sentence():
    flags = ("finetune", "--task", "classification", "--train", "examples/tickets.csv", "--name", "x")
    code = (
        "import sys, threading, os, signal, training.commands.verbs\n"
        "class Loud:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'torch': os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Loud())\n"
        f"sys.argv = ['roberta-train', *{flags!r}]\n"
        "from training.__main__ import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=REPOSITORY, check=False)
    assert done.returncode == 130
    assert done.stderr == "roberta-train: stopped; the same command goes on from the last checkpoint\n"
