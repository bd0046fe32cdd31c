"""Orders: what holds after each, and what a process that replaces this one goes on with."""

import pytest
from prometheus_client import CollectorRegistry

from app.errors import ModelNotFoundError, OrderRefusedError
from app.metrics import Metrics
from app.serving.loading import Loader
from app.serving.orders import Choices, Order
from app.serving.registry import Registry
from app.settings import Settings
from tests.app.builders import write_bundle
from tests.app.registries import states


def make_loader(folder, choices):
    registry = Registry("models")
    metrics = Metrics(CollectorRegistry())
    loader = Loader(Settings(models=folder), "cpu", None, metrics, registry, choices_file=choices)
    loader.load()
    return loader, registry, metrics


def test_the_orders_hold_for_a_process_that_replaces_this_one(tmp_path, byte_level):
    models, choices = tmp_path / "models", tmp_path / "choices"
    for name in ("a", "a", "b", "c"):
        write_bundle(models, byte_level, name=name)
    loader, registry, metrics = make_loader(models, choices)
    loader.obey(Order("load", "a", 1))
    loader.obey(Order("unload", "b"))
    loader.obey(Order("default", "c", route="classify"))
    for each in (registry, make_loader(models, choices)[1]):
        assert states(each) == {"a": "a:1", "b": "failed", "c": "c:1"}
        assert each.entry("b").state == "unloaded"
        assert each.find("classify", None).name == "c"
    assert metrics.registry.get_sample_value("roberta_model_loaded", {"model": "b"}) is None


def test_an_order_that_fails_changes_nothing(tmp_path, byte_level):
    write_bundle(tmp_path, byte_level, name="a")
    loader, registry, _ = make_loader(tmp_path, None)
    before = registry.find("classify", None)
    for order, kind in (
        (Order("load", "a", 7), OrderRefusedError),
        (Order("unload", "../a"), ModelNotFoundError),
        (Order("default", "a", route="ner"), OrderRefusedError),
    ):
        with pytest.raises(kind):
            loader.obey(order)
    loader.load()
    assert registry.find("classify", None) is before


def test_choices_that_cannot_be_read_are_none(tmp_path):
    (tmp_path / "choices").write_text("{")
    assert Choices.read(tmp_path / "choices") == Choices() == Choices.read(tmp_path / "nowhere")
