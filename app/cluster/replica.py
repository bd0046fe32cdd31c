"""A replica of Ray Serve that has the whole service inside: the engine, its models, and the HTTP application.

`serve deploy deploy/ray/serve.yaml` starts what `build` returns.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from prometheus_client import CollectorRegistry
from ray import serve
from ray.serve import Application as Deployed

from app.api.admin import AdminThread
from app.api.application import Application
from app.api.listener import bind
from app.cluster.checking import check_files, settings_of
from app.cluster.front import Front
from app.cluster.load import Load
from app.hub.named import Named
from app.logs import configure_logs, count_dropped_lines
from app.metrics import Metrics
from app.runtime.memory import return_large_blocks
from app.service import Service
from app.serving.local_engine import LocalEngine
from app.serving.watching import state_of, watch
from app.tracing.opening import open_tracing, warn_without_tracing

MOST_ONGOING = 4096  # requests in one replica, which the engine refuses sooner by its own limits
DRAIN_S = 40.0  # as long as a request may take, and some more


@serve.deployment(max_ongoing_requests=MOST_ONGOING, graceful_shutdown_timeout_s=DRAIN_S, max_replicas_per_node=1)
@serve.ingress()
class Replica:
    """Answers every route of the service behind Ray's proxy. It is there once its models are loaded.

    Raises `ValueError` where its settings or files are wrong, `NotReadyError` where no model can be served, `HubError`
    where one that is named cannot be fetched.
    """

    async def __init__(self, **settings: Any) -> None:  # type: ignore[misc]  # Ray awaits it
        self._ending = AsyncExitStack()  # what is to end with the replica, the last first
        self._settings = settings_of(settings)
        check_files(self._settings)
        configure_logs(self._settings)
        warn_without_tracing()
        return_large_blocks()
        folder = self._ending.enter_context(TemporaryDirectory(prefix="roberta-serve-", ignore_cleanup_errors=True))
        if (tracing := open_tracing()) is not None:
            self._ending.push_async_callback(asyncio.to_thread, tracing.close)
        self._tracing = tracing
        self._named = await self._fetch(Path(folder) / "named.json")
        table = None if self._named is None else self._named.file
        backend = LocalEngine(self._settings, Metrics(CollectorRegistry()), table=table)
        count_dropped_lines(backend.metrics.log_lines_dropped.inc)
        self._service, self._load = Service(self._settings, backend), Load(backend)
        self._ending.push_async_callback(self._service.stop)
        await self._service.start()
        self._start_admin()
        self._watch()

    async def _fetch(self, table: Path) -> Named | None:
        """Fetch the models that the settings name, and write to `table` where they are."""
        if not self._settings.model:
            return None
        named = Named(self._settings, table)
        self._ending.callback(named.stop)
        await asyncio.to_thread(named.fetch)
        return named

    def _start_admin(self) -> None:
        """Open the admin port, where the settings have one: the metrics of this replica, and its health."""
        if self._settings.admin_port is None:
            return
        admin = AdminThread(
            self._service, bind(self._settings.admin_host or self._settings.host, self._settings.admin_port)
        )
        admin.start()
        self._ending.push_async_callback(admin.stop)

    def _watch(self) -> None:
        if not (interval_s := self._settings.reload_interval_s):
            return
        watching = asyncio.create_task(watch(partial(state_of, self._settings.models), interval_s, self._service.load))
        self._ending.callback(watching.cancel)

    def __serve_build_asgi_app__(self) -> Front:  # Ray's name for what makes the application
        return Front(Application(self._service, tracing=self._tracing), self._settings)

    async def reconfigure(self, user_config: Any) -> None:
        """Load new versions of the models: Ray calls this when `user_config` is another."""
        if self._named is not None:
            await asyncio.to_thread(self._named.refresh)
        await self._service.load()

    async def check_health(self) -> None:
        """Raise where the models make no progress: Ray puts another replica in the place of this one."""
        if (problem := self._service.problem()) is not None:
            raise RuntimeError(f"the models make no progress: {problem}")

    async def record_autoscaling_stats(self) -> dict[str, float]:
        """Return what `app.cluster.scaling` decides by."""
        return self._load.read()

    async def __del__(self) -> None:
        """End the service, or what of it was started; Ray has waited for the requests in hand."""
        await self._ending.aclose()


def build(settings: dict[str, Any]) -> Deployed:
    """Return the application of a configuration file; its `args` are settings of the service by their names.

    Raises `ValueError`, before anything is deployed, where they are wrong.
    """
    settings_of(settings)
    return Replica.bind(**settings)  # type: ignore[attr-defined]  # of Ray's decorator
