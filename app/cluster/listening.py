"""A replica of Ray Serve that runs `roberta-serve serve`, which listens by itself: Ray places and heals it.

No request passes through Ray. A load balancer, or a Kubernetes Service, sends them to the port of each machine that is
ready. So `http_workers`, TLS and all else are as without Ray. Ray's own proxy only says where a replica listens.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from typing import Any, NamedTuple

from prometheus_client.parser import text_string_to_metric_families
from ray import serve
from ray.serve import Application as Deployed
from ray.util import get_node_ip_address

from app.cluster.checking import check_files, settings_of
from app.cluster.scaling import BUSY, QUEUE
from app.settings import Settings

MARGIN_S = 5.0  # for the command to end after the time that its settings give it
PAUSE_S = 0.1  # between two questions whether it is ready
ANSWER_S = 5.0
WAITING, FORWARD, RUNNERS = "roberta_queue_tokens", "roberta_forward_duration_seconds", "roberta_runner_busy_ratio"


@serve.deployment(max_replicas_per_node=1, graceful_shutdown_timeout_s=60)
class Listening:
    """Has one service listen on the `port` of its machine. Health and metrics are asked at `admin_port`.

    Raises `ValueError` where the settings are wrong or have no such ports, `RuntimeError` where the command ends, or
    where `/metrics` needs a key.
    """

    async def __init__(self, **settings: Any) -> None:  # type: ignore[misc]  # Ray awaits it
        self._settings = settings_of(settings)
        check_ports(self._settings)
        check_files(self._settings)
        self._measured = Measured(time.monotonic(), 0.0, 0.0, 0)
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "app.cluster.child", str(os.getpid())), env=os.environ | variables_of(settings)
        )
        while await self._status("/health/ready") != 200:
            if self._process.returncode is not None:
                raise RuntimeError(f"roberta-serve ended with {self._process.returncode}; the lines before say why")
            await asyncio.sleep(PAUSE_S)
        await self.record_autoscaling_stats()  # which must be possible

    async def __call__(self, _: Any) -> dict[str, str]:
        """Say where this replica listens."""
        scheme = self._settings.scheme
        return {"url": f"{scheme}://{get_node_ip_address()}:{self._settings.port}"}

    async def check_health(self) -> None:
        """Raise where the command has ended, or makes no progress: Ray puts another replica in its place."""
        if self._process.returncode is not None:
            raise RuntimeError(f"roberta-serve ended with {self._process.returncode}")
        if (status := await self._status("/health/live")) != 200:
            raise RuntimeError(f"/health/live answers {status}")

    async def record_autoscaling_stats(self) -> dict[str, float]:
        """Return what `app.cluster.scaling` decides by."""
        status, content = await asyncio.to_thread(self._get, "/metrics")
        if status != 200:
            raise RuntimeError(
                f'/metrics answers {status}; where keys are configured, set access to {{"metrics": "open"}}'
            )
        before, self._measured = self._measured, measured_in(content.decode(), time.monotonic())
        return load_between(before, self._measured)

    async def __del__(self) -> None:
        """Have the command drain and end."""
        if (process := getattr(self, "_process", None)) is None or process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        limit_s = self._settings.shutdown_delay_s + self._settings.drain_timeout_s + MARGIN_S
        try:
            await asyncio.wait_for(process.wait(), limit_s)
        except TimeoutError:
            process.kill()

    async def _status(self, path: str) -> int:
        """Return the status of an answer; 0 where there is none."""
        try:
            return (await asyncio.to_thread(self._get, path))[0]
        except (OSError, HTTPException):
            return 0

    def _get(self, path: str) -> tuple[int, bytes]:
        host = self._settings.admin_host or self._settings.host
        connection = HTTPConnection(
            "127.0.0.1" if host == "0.0.0.0" else host, self._settings.admin_port, timeout=ANSWER_S
        )
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()


def variables_of(settings: Mapping[str, Any]) -> dict[str, str]:
    """Return settings as the environment variables that the command reads; what is None is as where nothing is set."""
    return {
        f"ROBERTA_{name.upper()}": each if isinstance(each, str) else json.dumps(each)
        for name, each in settings.items()
        if each is not None
    }


def check_ports(settings: Settings) -> None:
    """Raise `ValueError` where nobody could know where the service listens."""
    if not settings.admin_port:
        raise ValueError("a replica that listens by itself needs an admin_port, where Ray asks whether it is well")
    if not settings.port or settings.uds is not None:
        raise ValueError(
            "a replica that listens by itself needs a port of its machine: set port, and neither 0 nor uds"
        )


class Measured(NamedTuple):
    """What `/metrics` shows at a moment: tokens that wait, seconds spent in forward passes so far, and runners."""

    at: float
    waiting: float
    forward_s: float
    runners: int


def measured_in(metrics: str, at: float) -> Measured:
    """Read what `/metrics` shows. Seconds are counted up, so it does not matter who else reads them."""
    samples = [each for family in text_string_to_metric_families(metrics) for each in family.samples]
    waiting = sum(each.value for each in samples if each.name == WAITING)
    forward_s = sum(each.value for each in samples if each.name == f"{FORWARD}_sum")
    return Measured(at, waiting, forward_s, sum(each.name == RUNNERS for each in samples))


def load_between(before: Measured, now: Measured) -> dict[str, float]:
    """Return the tokens that wait, and the share of runners' time that went into batches since `before`."""
    runner_s = max(now.at - before.at, 1e-3) * max(1, now.runners)
    return {QUEUE: now.waiting, BUSY: min(1.0, max(0.0, (now.forward_s - before.forward_s) / runner_s))}


def build(settings: dict[str, Any]) -> Deployed:
    """Return the application of a configuration file; its `args` are settings of the service by their names.

    Raises `ValueError`, before anything is deployed, where they are wrong.
    """
    check_ports(settings_of(settings))
    return Listening.bind(**settings)  # type: ignore[attr-defined]  # of Ray's decorator
