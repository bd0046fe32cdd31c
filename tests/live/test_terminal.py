"""The service on a terminal: what it shows there, that it ends with it, and that an operator's SIGHUP reloads."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import threading
from contextlib import contextmanager, suppress

import httpx
import pytest

from tests.support.server import REPOSITORY, SHAPES, environment, until

FLAGS = {SHAPES[0]: (), SHAPES[1]: ("--http-workers", "2")}


class Screen:
    """The user's end of a terminal: collects what is shown until it is closed."""

    def __init__(self, master):
        self.master, self.shown, self.is_closed = master, b"", False
        self.thread = threading.Thread(target=self.read)
        self.thread.start()

    def read(self):
        """Read what is shown. A read that waits would keep the terminal open, so that each waits for little."""
        with suppress(OSError):  # the other end is closed
            while not self.is_closed:
                if select.select([self.master], [], [], 0.05)[0]:
                    self.shown += os.read(self.master, 2**16)

    def text(self):
        return re.sub(r"\x1b\[[0-9;]*m", "", self.shown.decode(errors="replace"))

    def close(self):
        """Close the terminal, as a window that is closed does."""
        if not self.is_closed:
            self.is_closed = True
            self.thread.join()
            os.close(self.master)


@contextmanager
def on_terminal(*flags, module="app", ignored=False):
    """Run a command as the leader of a session with a terminal of its own; yield its process and the screen."""
    master, slave = pty.openpty()

    def take_terminal():
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        if ignored:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)

    line = [sys.executable, "-m", module, *flags]
    with subprocess.Popen(
        line, stdin=slave, stdout=slave, stderr=slave, cwd=REPOSITORY, env=environment(), preexec_fn=take_terminal
    ) as process:
        os.close(slave)
        screen = Screen(master)
        try:
            yield process, screen
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
            screen.close()


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
    return on_terminal("--models", str(models), "--host", "127.0.0.1", "--port", "0", *flags, **options)


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
            assert client.post("/models/tiny-classify", json={"inputs": "a"}).status_code == 200
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
