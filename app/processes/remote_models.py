"""The models of a worker: their tasks are here, their lanes in the engine processes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import msgspec

from app.bundle import Bundle, Manifest, Precision
from app.bundle.files import read_card
from app.metrics import Metrics, ModelSeries
from app.processes.held_models import HeldModels
from app.processes.messages import ModelRow, ServedModel
from app.processes.pending import Reply
from app.processes.tokenizers import is_as_kept
from app.serving.model import Model, counted
from app.serving.registry import Entry
from app.tasks import open_task, task_named, with_secondary
from app.tasks.base import BaseTask
from app.window import Window


class KeptTokenizerError(Exception):
    """The copy of a tokenizer that an engine keeps is gone, or is not what the engine has proved."""


class Engines(Protocol):
    """What lanes submit to: an `EnginePool`. `held` counts the lanes."""

    @property
    def held(self) -> HeldModels: ...

    async def submit(self, model: str, windows: Sequence[Window], *, deadline: float, priority: int = 0) -> Reply: ...

    def check_room(self, model: str, tokens: int, *, deadline: float, priority: int) -> None: ...


@dataclass(frozen=True, slots=True, weakref_slot=True)
class RemoteLane:
    """A model's lane in the engines, by the model's key."""

    engines: Engines
    model: str
    max_batch_tokens: int
    series: ModelSeries

    async def submit(self, windows: Sequence[Window], *, deadline: float, priority: int = 0) -> Reply:
        """Have windows run by one of the engines; see `EnginePool.submit`."""
        return await self.engines.submit(self.model, windows, deadline=deadline, priority=priority)

    def check_room(self, tokens: int, *, deadline: float, priority: int = 0) -> None:
        """Raise what `submit` would raise for so many tokens or more, as far as it is known here; see `EnginePool`."""
        self.engines.check_room(self.model, tokens, deadline=deadline, priority=priority)


class RemoteModels:
    """Builds models from an engine's table, each once as long as the engine says the same of it.

    Of a bundle it reads nothing but the tokenizer, from the copy that the engine keeps, and the model card.
    """

    def __init__(self, metrics: Metrics, max_tokens: int, engines: Engines) -> None:
        self._metrics, self._max_tokens, self._engines = metrics, max_tokens, engines
        self._built: dict[str, tuple[ServedModel, Model]] = {}

    def build(self, rows: Sequence[ModelRow]) -> list[Entry]:
        """Return the entries of a registry. Raises `KeptTokenizerError`, and what a tokenizer raises."""
        entries = [Entry(row.name, self._model_of(row), row.refused, row.note, row.is_unloaded) for row in rows]
        for name in self._built.keys() - {entry.name for entry in entries}:
            del self._built[name]
        return entries

    def _model_of(self, row: ModelRow) -> Model | None:
        if (served := row.model) is None:
            return None
        built = self._built.get(row.name)
        if built is None or built[0] != served:
            built = self._built[row.name] = (served, self._open(served))
        return built[1]

    def tasks_of(self, bundle: Bundle, precision: Precision) -> Sequence[BaseTask[Any, Any]]:
        """Return the tasks that a bundle can answer, its own first."""
        return with_secondary(counted(open_task(bundle, precision, self._max_tokens), self._metrics), precision)

    def _open(self, served: ServedModel) -> Model:
        manifest = Manifest.model_validate_json(served.manifest)
        tokenizer, config = Path(served.tokenizer), msgspec.json.decode(served.config)
        if not is_as_kept(tokenizer):
            raise KeptTokenizerError(f"the kept tokenizer of {manifest.name} is gone or altered")
        path = Path(served.path)
        bundle = Bundle(path, manifest, config, served.verified, tokenizer, served.fingerprint, card=read_card(path))
        precision = cast(Precision, served.precision)
        series = self._metrics.of_model(task_named(manifest.task).route, manifest.name)
        lane = RemoteLane(self._engines, served.key, served.max_batch_tokens, series)
        self._engines.held.hold(served.key, lane)
        tasks = self.tasks_of(bundle, precision)
        return Model(bundle, precision, served.provider, tasks, lane, self._metrics)
