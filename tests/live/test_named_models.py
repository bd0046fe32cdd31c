"""`roberta-serve --model ORG/NAME`: fetched before anything is served, again on SIGHUP, and refused with a sentence."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.app.builders import write_hub_folder
from tests.support.hub import Hub, files_of, hub_server
from tests.support.server import REPOSITORY, SHAPES, command, environment, until

FLAGS = pytest.mark.parametrize("flags", [(), ("--http-workers", "1")], ids=SHAPES)


@pytest.fixture(scope="module")
def files(tokenizer, tmp_path_factory):
    return files_of(write_hub_folder(tmp_path_factory.mktemp("repository") / "toy", tokenizer.backend_tokenizer))


@pytest.fixture
def hub():
    with hub_server() as hub:
        yield hub


def variables(hub: Hub, folder: Path) -> dict[str, str]:
    return {"HF_ENDPOINT": hub.url, "HF_HOME": str(folder / "hf"), "HF_HUB_OFFLINE": "0"}


@FLAGS
def test_a_model_is_served_by_its_name_and_looked_up_again_on_sighup(flags, hub, files, tmp_path):
    models = tmp_path / "models"
    models.mkdir()
    first = hub.add("Acme/Reviews", files)
    named = ("--model", "Acme/Reviews", "--model", "pinned=Acme/Reviews@" + first)
    with command(models, tmp_path / "log", *flags, *named, variables=variables(hub, tmp_path)) as service:

        def about() -> dict:
            return service.client.get("/models").json()

        def commits() -> list[str]:
            return [model["source"]["commit"] for model in about()["models"]]

        assert [model["name"] for model in about()["models"]] == ["reviews", "pinned"]
        assert about()["defaults"] == {"classify": "reviews", "explain": "reviews"}
        assert about()["models"][0]["source"]["repository"] == "Acme/Reviews"
        assert service.client.post("/classify", json={"inputs": "a good film"}).status_code == 200

        second = hub.add("Acme/Reviews", {**files, "vocab.txt": b"new"})
        service.process.send_signal(signal.SIGHUP)
        until(lambda: commits() == [second, first])

        if flags:
            return
        hub.add("Acme/Reviews", {"README.md": b"no model any more"})
        service.process.send_signal(signal.SIGHUP)
        until(
            lambda: any(
                "reviews was not fetched again: Acme/Reviews has no config.json" in p for p in about()["problems"]
            )
        )
        assert commits() == [second, first]
        assert service.is_ready()
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(30) == 0


def test_models_that_cannot_be_served_end_the_command_with_a_sentence_each(hub, files, tmp_path):
    hub.add("Acme/Reviews", files)
    line = [sys.executable, "-m", "app", "--host", "127.0.0.1", "--port", "0"]
    for name in ("Acme/Nothing", "Acme/Reviews@v9", "Acme/Reviews"):
        line += ["--model", f"m{len(line)}={name}"]
    env = environment() | variables(hub, tmp_path)
    done = subprocess.run(line, cwd=REPOSITORY, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    sentences = [line for line in done.stderr.splitlines() if line.startswith("roberta-serve: ")]
    assert len(sentences) == 2
    assert "has no model Acme/Nothing" in sentences[0]
    assert "Acme/Reviews has no revision 'v9'" in sentences[1]
    assert "Traceback" not in done.stderr


def test_a_model_is_pulled_into_the_models_folder(hub, files, tmp_path):
    commit = hub.add("Acme/Reviews", files)
    line = [sys.executable, "-m", "app", "pull", "Acme/Reviews", "--models", str(tmp_path / "models")]
    env = environment() | variables(hub, tmp_path)
    done = subprocess.run(line, cwd=REPOSITORY, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout.split(": ")[0]) == (0, str(tmp_path / "models" / "reviews" / "1")), done.stderr
    assert f"roberta-serve: fetching repository=Acme/Reviews commit={commit}" in done.stderr


def test_a_signal_ends_a_command_that_fetches_and_what_it_has_started(hub, files, tmp_path):
    hub.add("Acme/Reviews", files)
    hub.hold.clear()
    line = [sys.executable, "-m", "app", "--host", "127.0.0.1", "--port", "0", "--model", "Acme/Reviews"]
    env = environment() | variables(hub, tmp_path)
    with subprocess.Popen(line, cwd=REPOSITORY, env=env, stderr=subprocess.DEVNULL) as process:
        until(lambda: hub.requests)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    hub.hold.set()
