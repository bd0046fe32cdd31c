"""A replaced model leaves the engine as soon as no worker can ask for it, and not before."""

import asyncio
import time

import pytest

from tests.app.builders import write_bundle
from tests.app.engines import PATIENCE_S
from tests.app.processes.test_engine_pool import BODY, behind_a_socket


@pytest.fixture
def models(tmp_path, byte_level):
    write_bundle(tmp_path / "models", byte_level)
    return tmp_path / "models"


async def until(condition):
    while not condition():
        await asyncio.sleep(0.01)


def lanes_of(server):
    return sorted(key.partition("#")[0] for key in server.lanes.by_key)


async def serve_first(service, server):
    """Serve the first version, and return its pipeline."""
    await server.load()
    await service.start()
    return service.registry.find("classify", None).pipelines["classify"]


async def serve_next(service, server, models, byte_level):
    """Publish another version, and return when the worker serves it."""
    version = int(write_bundle(models, byte_level).name)
    await server.load()
    await until(lambda: service.registry.find("classify", None).id == f"toy:{version}")


def test_it_goes_once_the_worker_serves_the_next_one(models, byte_level, tmp_path):
    async def reload(service, server):
        await serve_first(service, server)
        for version in (2, 3, 4):
            await serve_next(service, server, models, byte_level)
            await until(lambda: lanes_of(server) == [f"toy:{version}"])  # noqa: B023
            await service.answer("classify", BODY)

    behind_a_socket(models, tmp_path, reload)


def test_it_stays_for_as_long_as_a_request_may_be_sent_to_it(models, byte_level, tmp_path):
    async def reload(service, server):
        first = await serve_first(service, server)
        request = await service.parse(b'{"inputs": "a film"}', first.task.request_type, deadline=float("inf"))
        for _ in range(2):
            await serve_next(service, server, models, byte_level)
        await until(lambda: "toy:2" not in lanes_of(server))
        assert lanes_of(server) == ["toy:1", "toy:3"]
        assert await service.ask(first, request, deadline=time.monotonic() + PATIENCE_S)
        del first
        await until(lambda: lanes_of(server) == ["toy:3"])

    behind_a_socket(models, tmp_path, reload)
