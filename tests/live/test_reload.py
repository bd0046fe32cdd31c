"""Reloading under load, in both shapes: publish, replace, roll back, remove, and what goes wrong; no request is lost.

Each content of a version has labels of its own, so that an answer by any other than the model it names is seen.
"""

from __future__ import annotations

import json
import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.live.test_bundles import copy_bundle, edit, truncate_graph
from tests.support.server import SHAPES, ProcessService, command, until

BODY = {"inputs": "a good film"}
FLAGS = pytest.mark.parametrize("flags", [(), ("--http-workers", "2")], ids=SHAPES)
CLIENTS = 4


class Load:
    """Clients that ask again and again, over connections that are kept, and note whatever is not as it should be."""

    def __init__(self, url: str) -> None:
        self.url, self.answers, self.wrong = url, 0, []
        self._ending = threading.Event()
        self._threads = [threading.Thread(target=self._ask, name=f"client-{n}") for n in range(CLIENTS)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        with httpx.Client(base_url=self.url, timeout=60) as client:
            while not self._ending.is_set():
                try:
                    self._check(client.post("/classify", json=BODY))
                except httpx.TransportError as error:
                    self.wrong.append(repr(error))
                self.answers += 1

    def _check(self, response: httpx.Response) -> None:
        if response.status_code != 200:
            self.wrong.append(f"{response.status_code}: {response.text}")
            return
        version = response.headers["x-model"].partition(":")[2]
        labels = {entry["label"] for entry in response.json()[0]}
        if not all(label.startswith(f"v{version}") for label in labels):
            self.wrong.append(f"{response.headers['x-model']} answered {labels}")


def put(models: Path, source: Path, version: int, content: str = "", *, broken: bool = False) -> None:
    """Put a version in place in one step, in that of another content of it where there is one."""
    folder, staged = models / "sentiment" / str(version), models.parent / "staged"
    made = copy_bundle(source, staged / "sentiment" / str(version))
    edit(made, labels=[f"v{version}{content}-{n}" for n in range(3)])
    if broken:
        truncate_graph(made)
    folder.parent.mkdir(parents=True, exist_ok=True)
    if folder.exists():
        folder.rename(models.parent / f"replaced-{version}-{content}")
    made.rename(folder)


@contextmanager
def served(models: Path, log: Path, flags: tuple[str, ...]) -> Iterator[ProcessService]:
    with command(models, log, *flags) as service, Load(service.url) as load:
        yield service
        until(lambda: load.answers > 50)
    assert load.wrong == []


def reload_until_answers(service: ProcessService, label: str) -> None:
    """Have the service reload; return when an answer has that label, and no worker gives another."""
    service.process.send_signal(signal.SIGHUP)

    def first_labels() -> set[str]:
        asked = [httpx.post(f"{service.url}/classify", json=BODY) for _ in range(8)]
        assert {each.status_code for each in asked} == {200}, [each.text for each in asked]
        return {entry["label"].partition("-")[0] for each in asked for entry in each.json()[0]}

    until(lambda: first_labels() == {label})


def reload_until_said(service: ProcessService, path: str, text: str) -> None:
    """Have the service reload; return when all of several answers of `path` have that text."""
    service.process.send_signal(signal.SIGHUP)
    until(lambda: all(text in httpx.get(f"{service.url}{path}").text for _ in range(8)))


@FLAGS
def test_under_load_nothing_that_is_published_replaced_or_removed_costs_a_request(flags, tiny_models, tmp_path):
    models, source = tmp_path / "models", tiny_models / "tiny-classify" / "1"
    put(models, source, 1)
    copy_bundle(source, models / "zebra" / "1")
    with served(models, tmp_path / "log", flags) as service:
        put(models, source, 2)
        reload_until_answers(service, "v2")
        put(models, source, 2, "b")  # another content of the same version
        reload_until_answers(service, "v2b")
        put(models, source, 3, broken=True)
        reload_until_said(service, "/models/sentiment", "altered or half-copied")
        assert service.metric("roberta_model_versions_refused", model="sentiment") == 1
        shutil.rmtree(models / "sentiment" / "3")
        shutil.rmtree(models / "sentiment" / "2")  # rolled back
        reload_until_answers(service, "v1")
        put(models, source, 4, broken=True)
        shutil.rmtree(models / "sentiment" / "1")
        reload_until_said(service, "/models/sentiment", "no version in its folder loads; sentiment:1, from before")
        (models / "defaults.json").write_text('{"clasify": "zebra"}')
        reload_until_said(service, "/models", "did you mean classify?")
        (models / "defaults.json").unlink()
        models.rename(tmp_path / "unmounted")
        reload_until_said(service, "/models", "the models folder is missing; what was loaded before is served")
        assert service.is_ready()
        assert service.metric("roberta_load_problems", kind="folder") == 1
        (tmp_path / "unmounted").rename(models)
        shutil.rmtree(models / "zebra")
        service.process.send_signal(signal.SIGHUP)
        until(lambda: all(len(httpx.get(f"{service.url}/models").json()["models"]) == 1 for _ in range(8)))
        assert json.loads(service.client.get("/models").text)["problems"] == []
