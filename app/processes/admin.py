"""The admin process: health, metrics and the other pages of all processes, without predictions."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from types import FrameType
from typing import Any, cast

from app.api.admin import AdminApplication, AdminServer
from app.api.listener import bind
from app.api.server import server_config
from app.bundle import Bundle, Precision
from app.logs import count_dropped_lines
from app.processes.child import DRAIN, LEAVE, ChildProcess
from app.processes.remote_models import RemoteModels
from app.processes.worker import open_pool
from app.service import Service
from app.tasks import tasks_of
from app.tasks.base import BaseTask


class DescribedModels(RemoteModels):
    """Models that are shown and never asked: their tokenizers, which take most of their memory, are not opened."""

    def tasks_of(self, bundle: Bundle, precision: Precision) -> Sequence[BaseTask[Any, Any]]:
        return cast("Sequence[BaseTask[Any, Any]]", tasks_of(bundle.manifest))  # of which pages read the route


class AdminProcessServer(AdminServer):
    """It ends on the supervisor's order, not on a signal."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        assert threading.current_thread() is threading.main_thread()


def run_admin(child: ChildProcess) -> None:
    """Show the pages until the supervisor says to end, after all other processes."""
    with asyncio.Runner(loop_factory=server_config(child.settings).get_loop_factory()) as runner:
        runner.run(serve(child))


async def serve(child: ChildProcess) -> None:
    child.start_pulse()
    settings = child.settings
    pool = open_pool(child, DescribedModels)
    count_dropped_lines(pool.metrics.log_lines_dropped.inc)
    service = Service(settings, pool)
    server = AdminProcessServer(AdminApplication(service, runs_service=True))

    def leave() -> None:
        service.stopping = True

    def drain() -> None:
        pool.hurry()
        server.end()

    child.follow({LEAVE: leave, DRAIN: drain, **pool.told_state.orders()})
    await server.serve([bind(settings.admin_host or settings.host, child.assignment.port, shared=True)])
