"""Levels of the log: by logger, over those of the start, shared through a file."""

import logging
import os

import pytest

from app.logs.levels import LogLevels, UnknownLoggerError, check_loggers, modules
from app.logs.limit import ACCESS_LOGGER

NAMES = ("root", "app.engine", "app.engine.runner", ACCESS_LOGGER)


@pytest.fixture(autouse=True)
def _levels_as_before():
    loggers = [logging.getLogger(None if name == "root" else name) for name in NAMES]
    before = [logger.level for logger in loggers]
    yield
    for logger, level in zip(loggers, before, strict=True):
        logger.setLevel(level)


def is_written(name, level):
    return logging.getLogger(name).isEnabledFor(getattr(logging, level.upper()))


def started(**more):
    levels = LogLevels()
    levels.start({"root": "info", **more})
    return levels


def test_an_order_goes_over_the_start_and_the_next_in_place_of_it():
    levels = started(**{"app.engine": "warning"})
    assert not is_written("app.engine.runner", "info")
    levels.order({"app.engine": "debug", ACCESS_LOGGER: "info"})
    assert is_written("app.engine.runner", "debug")
    assert levels.shown() == {"root": "info", "app.engine": "debug", ACCESS_LOGGER: "info"}
    levels.order({"app.engine.runner": "error"})
    assert not is_written("app.engine", "info")
    assert not is_written("app.engine.runner", "warning")
    levels.order({})
    assert levels.shown() == {"root": "info", "app.engine": "warning"}
    assert logging.getLogger("app.engine.runner").level == logging.NOTSET


def test_processes_share_what_is_ordered_and_one_that_starts_has_it(tmp_path):
    asked, other = started(), started()
    for each in (asked, other):
        each.share(tmp_path / "levels.json")
    asked.order({"app.engine": "debug"})
    other.follow()
    late = started()
    late.share(tmp_path / "levels.json")
    assert asked.shown() == other.shown() == late.shown() == {"root": "info", "app.engine": "debug"}


def test_what_the_other_processes_cannot_be_told_holds_in_none(tmp_path):
    levels = started()
    levels.share(tmp_path / "gone" / "levels.json")
    with pytest.raises(FileNotFoundError):
        levels.order({"app.engine": "debug"})
    assert levels.shown() == {"root": "info"}


def test_processes_that_are_ordered_at_once_write_files_of_their_own(tmp_path, monkeypatch):
    asked, other, pids = started(), started(), iter((1, 2))
    monkeypatch.setattr(os, "getpid", pids.__next__)
    for each in (asked, other):
        each.share(tmp_path / "levels.json")
    asked.order({"app.engine": "debug"})
    assert [file.name for file in sorted(tmp_path.iterdir())] == ["levels.json"]
    other.order({"app.engine": "error"})
    assert [file.name for file in tmp_path.iterdir()] == ["levels.json"]


@pytest.mark.parametrize("content", ["", "[]", "{"])
def test_a_file_that_is_not_whole_changes_nothing(content, tmp_path):
    levels = started()
    (tmp_path / "levels.json").write_text(content)
    levels.share(tmp_path / "levels.json")
    assert levels.shown() == {"root": "info"}


@pytest.mark.parametrize(
    "name", ["root", "app", "app.engine", "app.runtime.cpu.session", ACCESS_LOGGER, "httpx", "uvicorn.error"]
)
def test_modules_packages_and_the_root_have_levels(name):
    check_loggers([name])


@pytest.mark.parametrize(("name", "likely"), [("app.engin", "app.engine"), ("zebra" * 9, None)])
def test_a_logger_that_is_not_there_is_refused_with_what_may_be_meant(name, likely):
    with pytest.raises(UnknownLoggerError) as raised:
        LogLevels().order({name: "debug"})
    assert raised.value.name == name
    assert (f"did you mean {likely}?" in str(raised.value)) is (likely is not None)


def test_no_module_is_left_out():
    assert {"app", "app.__main__", "app.logs.levels", "app.tasks.ner"} <= modules()
