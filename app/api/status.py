"""What the service says of itself: health, models, gauges."""

from __future__ import annotations

from typing import Any

from fastapi import Response
from fastapi.responses import JSONResponse

from app import __version__
from app.api.openai_form import about_model, is_openai
from app.errors import DrainingError, ModelNotFoundError, NotReadyError, ServeError, quote
from app.service import Service
from app.serving.registry import Entry

DEPENDS_ON_BATCH = (
    "answers depend on the texts that are computed together, because this int8 graph takes its scales from each batch; "
    "serve a graph in fp32, or export the checkpoint with roberta-train, whose int8 does not"
)


class Status:
    """Reads the service; changes nothing but gauges."""

    def __init__(self, service: Service) -> None:
        self._service, self._settings, self._registry = service, service.settings, service.registry
        self.exposed = service.backend.exposed  # what `/metrics` shows

    def live(self) -> Response:
        problem = self._service.problem()
        return JSONResponse({"status": problem or "live"}, 503 if problem else 200)

    def ready(self, *, route: str | None) -> Response:
        """Ready when some model is served, or, for a `route`, one of that task, and progress is made."""
        try:
            if self._service.stopping or self._service.draining:
                raise DrainingError
            if (problem := self._service.problem()) is not None:
                raise NotReadyError(f"the service makes no progress: {problem}")
            self._registry.check_ready()
            if route is not None:
                self._registry.find(route, None)
        except ServeError as error:
            return JSONResponse({"status": "not ready", "reason": error.message}, 503)
        return JSONResponse({"status": "ready"})

    def info(self, *, route: str | None) -> dict[str, Any]:
        about: dict[str, Any] = {
            "service": "roberta-serve",
            "version": __version__,
            "device": self._service.backend.device,
            "max_inputs": self._settings.max_inputs,
            "max_body_bytes": self._settings.max_body_bytes,
            "request_timeout_s": self._settings.request_timeout_s,
        }
        if route is not None:
            about["task"] = route
            about["model"] = self._registry.find(route, None).id
        return about

    def models(self) -> dict[str, Any]:
        return {
            "models": [describe(entry) for entry in self._registry.entries],
            "defaults": self._registry.answering(),
            "problems": list(self._registry.table.problems),
        }

    def model(self, name: str) -> dict[str, Any]:
        return describe(self._entry(name))

    def card(self, name: str) -> str:
        """Return the model card of a bundle that is served, in Markdown. Raises `ModelNotFoundError`."""
        model = self._entry(name).model
        if model is None or not model.bundle.card:
            raise ModelNotFoundError(f"there is no card of a served model {quote(name)}")
        return model.bundle.card

    def _entry(self, name: str) -> Entry:
        for entry in self._registry.entries:
            if entry.name == name.partition(":")[0]:
                return entry
        raise ModelNotFoundError(f"there is no model {quote(name)}; GET /models lists them")

    def openai_models(self) -> dict[str, Any]:
        return {"object": "list", "data": [about_model(name) for name in self._openai_names()]}

    def openai_model(self, name: str) -> dict[str, Any]:
        if name not in self._openai_names():
            raise ModelNotFoundError(f"there is no model {quote(name)}; GET /v1/models lists them")
        return about_model(name)

    def _openai_names(self) -> list[str]:
        """Return the models that answer any route of OpenAI's API."""
        served = self._registry.served().items()
        return [name for name, model in served if any(is_openai(f"/{route}") for route in model.pipelines)]

    def refresh_gauges(self) -> None:
        self._service.backend.refresh_gauges()


def describe(entry: Entry) -> dict[str, Any]:
    """Render one name under `models/` for `GET /models`."""
    about: dict[str, Any] = {"name": entry.name, "state": entry.state}
    if (model := entry.model) is not None:
        manifest, graph = model.bundle.manifest, model.bundle.manifest.graphs[model.precision]
        about |= {
            "version": manifest.version,
            "task": manifest.task,
            "route": f"/{model.task.route}",
            "routes": [f"/{route}" for route in model.pipelines],
            "labels": manifest.labels,
            "layout": manifest.layout,
            "precision": model.precision,
            "depends_on_batch": graph.depends_on_batch,
            "provider": model.provider,
            "max_length": manifest.max_length,
            "max_batch_tokens": model.lane.max_batch_tokens,
            "verified": model.bundle.verified,
            "temperature": graph.temperature,
            "thresholds": graph.thresholds,
            "quantisation": graph.quantisation,
            "metrics": graph.metrics,
            "provenance": manifest.provenance,
        }
        if manifest.task_settings:
            about["task_settings"] = manifest.task_settings
        if isinstance(source := manifest.provenance.get("source"), dict):
            about["source"] = source
        advice = [DEPENDS_ON_BATCH] if graph.depends_on_batch else []
        advice += [] if (of_task := model.task.advice(manifest)) is None else [of_task]
        if advice:
            about["advice"] = "; ".join(advice)
    if entry.note is not None:
        about["note"] = entry.note
    if entry.refused:
        about["refused"] = {str(version): reason for version, reason in entry.refused.items()}
    return about
