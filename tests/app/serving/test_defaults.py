"""Defaults: what is configured answers or nothing does; a mistake keeps what answered before, and is said."""

import json
import os

import pytest
import structlog

from app.bundle.defaults import set_default
from app.errors import NotReadyError
from tests.app.builders import write_bundle, write_hub_folder
from tests.app.registries import load

BROKEN = {
    "empty": (b"", "cannot be read as JSON"),
    "cut off": (b'{"classify": "be', "cannot be read as JSON"),
    "not UTF-8": (b'{"classify": "\xff"}', "cannot be read as JSON"),
    "deeply nested": (b"[" * 100_000, "cannot be read as JSON"),
    "a list": (b"[]", "must be a table"),
    "a number for a name": (b'{"classify": 1}', "must be a table"),
    "huge": (b" " * (2**20 + 1), "is larger than"),
    "misspelt route": (b'{"clasify": "beta"}', "'clasify' that is not known; did you mean classify?"),
    "unknown route": (b'{"xyz": "beta"}', "'xyz' that is not known; there are"),
}
WRONG = {
    "of nobody": ("gamma", "the default of /classify, 'gamma', is not served"),
    "of another task": ("tags", "the default of /classify, 'tags', answers /ner"),
    "of a version that is not served": ("beta:1", "the default of /classify is 'beta:1', but beta:2 is served"),
}


@pytest.fixture
def three(tmp_path, byte_level):
    """Two classifiers, alpha and beta:2, and tags for /ner."""
    for name in ("beta", "alpha", "beta"):
        write_bundle(tmp_path, byte_level, name=name)
    write_hub_folder(tmp_path / "tags", byte_level, {"architectures": ["RobertaForTokenClassification"]})
    return tmp_path


def assert_blocked(registry, reason):
    """Nothing answers /classify by default, and the reason is said; a request that names its model is answered."""
    with pytest.raises(NotReadyError) as error:
        registry.find("classify", None)
    assert reason in error.value.message
    assert "must name its model" in error.value.message
    assert registry.find("classify", "alpha").name == "alpha"
    assert "classify" not in registry.answering()


def assert_said(registry, logs, reason):
    assert reason in registry.table.problems[0]
    (event,) = [event for event in logs if event["event"] == "defaults_refused"]
    assert reason in event["reason"]
    assert registry.metrics.get_sample_value("roberta_load_problems", {"kind": "defaults"}) == 1


@pytest.mark.parametrize(("content", "reason"), BROKEN.values(), ids=BROKEN.keys())
def test_at_start_a_file_that_is_not_understood_makes_no_guess(content, reason, three):
    (three / "defaults.json").write_bytes(content)
    with structlog.testing.capture_logs() as logs:
        registry = load(three)
    assert_blocked(registry, reason)
    assert_said(registry, logs, reason)


@pytest.mark.parametrize(("content", "reason"), BROKEN.values(), ids=BROKEN.keys())
def test_a_file_that_broke_keeps_the_defaults_of_before(content, reason, three):
    set_default(three, "classify", "beta")
    registry = load(three)
    (three / "defaults.json").write_bytes(content)
    with structlog.testing.capture_logs() as logs:
        registry.load()
        registry.load()
    assert registry.find("classify", None).name == "beta"
    assert registry.find("ner", None).name == "tags"
    assert_said(registry, logs[: len(logs) // 2], reason)
    set_default_anew(three, "classify", "alpha")
    registry.load()
    assert registry.find("classify", None).name == "alpha"
    assert registry.table.problems == ()


def set_default_anew(folder, route, name):
    (folder / "defaults.json").write_text(json.dumps({route: name}))


@pytest.mark.parametrize(("spec", "reason"), WRONG.values(), ids=WRONG.keys())
@pytest.mark.parametrize("source", ["file", "setting"])
def test_at_start_a_default_that_cannot_be_honored_makes_no_guess(source, spec, reason, three):
    settings = {"default_models": {"classify": spec}} if source == "setting" else {}
    if source == "file":
        set_default(three, "classify", spec)
    with structlog.testing.capture_logs() as logs:
        registry = load(three, **settings)
    assert_blocked(registry, reason)
    assert_said(registry, logs, reason)
    assert registry.find("ner", None).name == "tags"


@pytest.mark.parametrize(("spec", "reason"), WRONG.values(), ids=WRONG.keys())
def test_a_new_default_that_cannot_be_honored_keeps_the_one_of_before(spec, reason, three):
    registry = load(three)  # alpha, the first by name
    set_default(three, "classify", spec)
    with structlog.testing.capture_logs() as logs:
        registry.load()
    assert registry.find("classify", None).name == "alpha"
    assert_said(registry, logs, reason)


def test_a_default_whose_model_was_removed_is_not_replaced_by_another(three):
    set_default(three, "classify", "beta")
    registry = load(three)
    (three / "beta").rename(three / ".beta")
    registry.load()
    assert_blocked(registry, "the default of /classify, 'beta', is not served")


def test_the_rest_of_a_file_with_a_misspelt_route_counts(three):
    (three / "defaults.json").write_text(json.dumps({"clasify": "beta", "ner": "tags"}))
    registry = load(three)
    assert registry.find("ner", None).name == "tags"
    assert_blocked(registry, "did you mean classify?")


def test_a_setting_goes_before_a_broken_file(three):
    (three / "defaults.json").write_text("")
    assert load(three, default_models={"classify": "beta"}).find("classify", None).name == "beta"


def test_a_default_that_is_no_regular_file_blocks_nobody(three):
    os.mkfifo(three / "defaults.json")
    assert_blocked(load(three), "defaults.json is not a regular file")


def test_another_answering_model_is_said(three):
    registry = load(three)
    set_default(three, "classify", "beta")
    with structlog.testing.capture_logs() as logs:
        registry.load()
    changed = [event for event in logs if event["event"] == "default_changed"]
    assert {(event["model"], event["before"]) for event in changed} == {("beta", "alpha")}
    assert [event["route"] for event in changed] == ["classify", "explain"]  # which the same model answers
