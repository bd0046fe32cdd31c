"""A registry over a folder of bundles, filled by the loader, for tests."""

from prometheus_client import CollectorRegistry

from app.metrics import Metrics
from app.serving.loading import Loader
from app.serving.registry import Registry
from app.settings import Settings


def make_registry(folder, engine=None, device="cpu", table=None, **settings):
    metrics = Metrics(CollectorRegistry())
    registry = Registry(folder.name)
    registry.loader = Loader(Settings(models=folder, **settings), device, engine, metrics, registry, table=table)
    registry.load = registry.loader.load
    registry.metrics = metrics.registry
    return registry


def load(folder, **settings):
    registry = make_registry(folder, **settings)
    registry.load()
    return registry


def states(registry):
    return {entry.name: entry.model.id if entry.model else "failed" for entry in registry.entries}


def reason(registry, name="toy", version=1):
    (entry,) = [entry for entry in registry.entries if entry.name == name]
    return entry.refused[version]
