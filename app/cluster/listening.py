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
from collections.abc import Mapping
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from typing import Any

from prometheus_client.parser import text_string_to_metric_families
from ray import serve
from ray.serve import Application as Deployed
from ray.util import get_node_ip_address

from app.cluster.scaling import BUSY, QUEUE
from app.settings import Settings

MARGIN_S = 5.0  # for the command to end after the time that its settings give it
PAUSE_S = 0.1  # between two questions whether it is ready
ANSWER_S = 5.0
SERIES = {"roberta_queue_tokens": QUEUE, "roberta_runner_busy_ratio": BUSY}


@serve.deployment(max_replicas_per_node=1, graceful_shutdown_timeout_s=60)
class Listening:
    """Has one service listen on the `port` of its machine, or on any with 0. `admin_port` must be set: health and
    metrics are asked there.

    Raises `RuntimeError` where the command ends, or where `/metrics` needs a key.
    """

    async def __init__(self, **settings: Any) -> None:  # type: ignore[misc]  # Ray awaits it
        self._settings = Settings(**settings)
        if not self._settings.admin_port:
            raise ValueError("a replica that listens by itself needs an admin_port, where Ray asks whether it is well")
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
        scheme = "http" if self._settings.ssl_certfile is None else "https"
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
        return load_in(content.decode())

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
    """Return settings as the environment variables that the command reads."""
    return {
        f"ROBERTA_{name.upper()}": each if isinstance(each, str) else json.dumps(each)
        for name, each in settings.items()
    }


def load_in(metrics: str) -> dict[str, float]:
    """Return the tokens that wait, and the mean share of time that runners are busy, of what `/metrics` shows."""
    values: dict[str, list[float]] = {name: [] for name in SERIES.values()}
    for family in text_string_to_metric_families(metrics):
        if family.name in SERIES:
            values[SERIES[family.name]] += [sample.value for sample in family.samples]
    return {QUEUE: sum(values[QUEUE]), BUSY: sum(values[BUSY]) / max(1, len(values[BUSY]))}


def build(settings: dict[str, Any]) -> Deployed:
    """Return the application of a configuration file; its `args` are settings of the service by their names."""
    return Listening.bind(**settings)  # type: ignore[attr-defined]  # of Ray's decorator
