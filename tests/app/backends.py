"""A backend without an engine, whose one model answers at once, for tests of what stands on a service."""

from __future__ import annotations

from types import SimpleNamespace

from prometheus_client import CollectorRegistry

from app.metrics import Metrics
from app.serving.defaults import Defaults
from app.serving.pipeline import Answer, write_own
from app.serving.registry import Entry, Registry
from app.tasks.classify import Classify


class Saying(Classify):
    """A classification whose answer is always what it `says`."""

    def __init__(self):
        self.says = None

    def decode(self, request, state, outputs):
        return self.says


class ToyModel:
    """Answers a classification with its own name, or what it `says`, or raises `error`; keeps what it was asked."""

    def __init__(self, metrics, name="toy", error=None):
        self.name, self.id, self.task, self.error = name, f"{name}:1", Saying(), error
        self.bundle = SimpleNamespace(manifest=SimpleNamespace(version=1, task="a task of a toy"))
        self.series, self.pipelines = metrics.of_model("classify", name), {"classify": self}
        self.asked = []

    async def answer(self, request, shared, *, deadline, priority=0, write=write_own):
        self.asked.append((request, deadline, priority))
        if self.error is not None:
            raise self.error
        content = self.name.encode() if self.task.says is None else write(self.task, request, None, ())
        return Answer(content, 1, 0.001, 0.002, 0.003, 9)


class ToyBackend:
    """Serves a `ToyModel` from its first `load` on; notes what is done with it."""

    device = "toy"

    def __init__(self, error=None):
        self.metrics = Metrics(CollectorRegistry())
        self.exposed = self.metrics.registry
        self.registry = Registry("models")
        self.model = ToyModel(self.metrics, error=error)
        self.calls = []

    async def start(self):
        self.calls.append("start")

    async def load(self):
        self.calls.append("load")
        self.registry.publish([Entry("toy", self.model)], Defaults())

    async def obey(self, order):
        self.calls.append(order)
        return {"name": order.name, "state": "ready"}

    async def stop(self):
        self.calls.append("stop")

    is_answering = False

    def problem(self):
        return None

    def refresh_gauges(self):
        pass

    def value(self, name, **labels):
        """Return a sample, or None."""
        return self.metrics.registry.get_sample_value(f"roberta_{name}", labels)
