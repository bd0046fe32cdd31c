"""The table of models that were named: what a reload changes in it, and what it leaves."""

import signal
from pathlib import Path

import pytest

from app.hub import named as named_module
from app.hub.errors import HubError
from app.hub.named import Named
from app.hub.process import Fetch, Prepared
from app.serving.places import NamedModels, Place
from app.settings import Settings
from tests.support.server import until


class Played:
    """What `Fetch` is; `outcomes` says what each run prepares."""

    outcomes: list[Prepared]
    asked: list[tuple[list[str], str]]

    def __init__(self, texts, device):
        self.asked.append((texts, device))

    def run(self, hear):
        hear({"event": "fetching", "repository": "o/a"})
        return self.outcomes.pop(0)

    def stop(self):
        self.outcomes.clear()


@pytest.fixture
def played(monkeypatch):
    Played.outcomes, Played.asked = [], []
    monkeypatch.setattr(named_module, "Fetch", Played)
    return Played


def place(name, commit):
    return Place(name, {1: Path(f"/cache/{commit}")}, source={"commit": commit})


def make(tmp_path, **settings):
    return Named(Settings(model=["o/a", "o/b"], device="cpu", **settings), tmp_path / "table")


def test_the_table_has_what_was_prepared_in_the_order_in_which_it_was_named(tmp_path, played):
    played.outcomes = [Prepared([place("b", "1"), place("a", "1")])]
    named = make(tmp_path)
    named.prepare()
    assert NamedModels.read(named.file) == NamedModels((place("b", "1"), place("a", "1")), has_folder=False)
    assert played.asked == [(["o/a", "o/b"], "cpu")]


def test_the_folder_is_served_as_well_where_it_was_named(tmp_path, played):
    played.outcomes = [Prepared()]
    named = make(tmp_path, models=tmp_path)
    named.prepare()
    assert NamedModels.read(named.file).has_folder


def test_a_start_at_which_any_is_refused_is_an_error_with_a_sentence_for_each(tmp_path, played):
    played.outcomes = [Prepared([place("a", "1")], {"b": "o/b is gone", None: "no"})]
    with pytest.raises(HubError) as raised:
        make(tmp_path).prepare()
    assert str(raised.value) == "roberta-serve: o/b is gone\nroberta-serve: no"


def test_what_is_refused_on_a_reload_stays_as_it_was_and_is_said_until_it_is_not(tmp_path, played):
    first = Prepared([place("a", "1"), place("b", "1")])
    played.outcomes = [first, Prepared([place("a", "2")], {"b": "o/b is gone"}), Prepared([], {None: "killed"}), first]
    named = make(tmp_path)
    named.prepare()
    tables = []
    for _ in range(3):
        named.refresh()
        tables.append(NamedModels.read(named.file))
    assert [table.places for table in tables] == [
        (place("a", "2"), place("b", "1")),
        (place("a", "2"), place("b", "1")),
        (place("a", "1"), place("b", "1")),
    ]
    assert [table.problems for table in tables] == [
        ("b was not fetched again: o/b is gone",),
        ("a model was not fetched again: killed",),
        (),
    ]


def test_once_stopped_nothing_is_fetched(tmp_path, played):
    named = make(tmp_path)
    named.stop()
    named.refresh()
    assert played.asked == []


def test_a_table_that_somebody_has_removed_is_written_again(tmp_path, played):
    played.outcomes = [Prepared([place("a", "1")])]
    named = make(tmp_path)
    named.prepare()
    named.file.unlink()
    named.write()
    assert NamedModels.read(named.file).places == (place("a", "1"),)


def test_a_reload_that_can_neither_fetch_nor_write_changes_nothing(tmp_path, played, monkeypatch):
    played.outcomes = [Prepared([place("a", "1")]), Prepared([place("a", "2")])]
    named = make(tmp_path)
    named.prepare()
    monkeypatch.setattr(named, "write", lambda: fail())
    named.refresh()
    monkeypatch.setattr(named_module, "Fetch", lambda *_: fail())
    named.refresh()
    assert NamedModels.read(named.file).places == (place("a", "1"),)


def fail():
    raise OSError(28, "No space left on device")


def test_what_interrupts_the_hearing_ends_the_process(hub, monkeypatch):
    """The command does not wait for a fetch that nobody hears any more."""
    hub.add("o/a", {"config.json": b"{}"})
    for name, value in {"HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0", "HF_HOME": "/nowhere"}.items():
        monkeypatch.setenv(name, value)
    hub.hold.clear()
    fetch = Fetch(["o/a"], "cpu")
    until(lambda: hub.requests)

    def interrupt(prepared, hear):
        raise KeyboardInterrupt

    monkeypatch.setattr(fetch, "_hear_all", interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            fetch.run(lambda said: None)
        assert fetch._process.returncode == -signal.SIGKILL
    finally:
        hub.hold.set()
    fetch.stop()
