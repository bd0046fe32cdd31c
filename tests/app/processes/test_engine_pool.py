"""A service whose models run behind a socket: it answers as one whose models run in its own process."""

import asyncio
import json

import pytest
from prometheus_client import CollectorRegistry

from app.errors import DeadlineExceededError, InvalidRequestError, NotReadyError
from app.metrics import Metrics
from app.processes.engine_pool import EnginePool
from app.processes.engine_server import EngineServer
from app.processes.tokenizers import TokenizerStore
from app.service import Service
from app.serving.local_engine import LocalEngine
from app.settings import Settings
from tests.app.builders import write_bundle
from tests.app.engines import PATIENCE_S

BODY = {"inputs": "a good <mask> film"}


def make_metrics():
    return Metrics(CollectorRegistry(), is_one_of_several=True)


def make_pool(settings, sockets):
    return EnginePool(settings, make_metrics(), sockets, CollectorRegistry())


def behind_a_socket(models, folder, scenario):
    """Play a scenario with a service that has not started, and the engine that it will find."""

    async def play():
        settings = Settings(models=models, runners=1, idle_threads=1)
        keep = TokenizerStore(folder / "kept").keep
        local, socket = LocalEngine(settings, make_metrics(), keep=keep), folder / "engine.sock"
        server = EngineServer(local, settings.request_timeout_s)
        await local.start()
        await server.listen(socket)
        service = Service(settings, make_pool(settings, [socket]))
        try:
            return await scenario(service, server)
        finally:
            await service.stop()
            await local.stop()
            server.close()

    return asyncio.run(asyncio.wait_for(play(), PATIENCE_S))


@pytest.mark.parametrize("route", ["classify", "ner", "fill-mask"])
def test_an_answer_is_that_of_a_service_in_one_process(tiny_models, tmp_path, route):
    async def ask(service, server):
        loading = asyncio.create_task(server.load())
        await service.start()
        await loading
        return await service.answer(route, BODY)

    async def ask_here():
        async with Service(Settings(models=tiny_models, runners=1, idle_threads=1)) as service:
            return await service.answer(route, BODY)

    assert json.loads(behind_a_socket(tiny_models, tmp_path, ask).content) == json.loads(
        asyncio.run(ask_here()).content
    )


def test_a_start_waits_for_the_engine_s_models(tiny_models, tmp_path):
    async def ask(service, server):
        starting = asyncio.create_task(service.start())
        await service.backend._greeted.wait()
        with pytest.raises(NotReadyError, match="still loading"):
            await service.answer("classify", BODY)
        assert not starting.done()
        await server.load()
        await starting
        with pytest.raises(InvalidRequestError, match="inputs: is missing"):
            await service.answer("classify", {})
        return service.registry.find("ner", None).id

    assert behind_a_socket(tiny_models, tmp_path, ask) == "tiny-ner:1"


def test_a_start_fails_where_the_engine_serves_nothing(tmp_path, byte_level):
    (write_bundle(tmp_path / "models", byte_level) / "model.fp32.onnx").write_bytes(b"no graph")

    async def start(service, server):
        await server.load()
        with pytest.raises(NotReadyError, match="no model under models/ could be loaded"):
            await service.start()

    behind_a_socket(tmp_path / "models", tmp_path, start)


def test_without_an_engine_there_is_no_answer_and_in_the_end_a_problem(tiny_models, tmp_path):
    async def ask(service, server):
        await server.load()
        await service.start()
        assert service.problem() is None
        server.close()
        while service.registry.table.suspended is None:
            await asyncio.sleep(0)
        with pytest.raises(NotReadyError, match="try again in a moment"):
            service.registry.check_ready()
        assert service.problem() is None  # the supervisor starts another
        pool = service.backend
        pool._outage.pass_time(pool._clients, service.settings.stall_timeout_s + 1)
        assert service.problem() == "engine lost"
        with pytest.raises(DeadlineExceededError):
            await service.answer("classify", BODY, timeout_s=0.01)

    behind_a_socket(tiny_models, tmp_path, ask)


def test_a_service_that_has_stopped_leaves_no_task_behind(tiny_models, tmp_path):
    async def ask(service, server):
        await server.load()
        before = asyncio.all_tasks()
        await service.start()
        await service.answer("classify", BODY)
        assert asyncio.all_tasks() > before
        await service.stop()
        assert asyncio.all_tasks() == before

    behind_a_socket(tiny_models, tmp_path, ask)
