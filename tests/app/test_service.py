"""The service without HTTP: it answers, refuses, fails to start loudly, and leaves nothing behind."""

import asyncio
import json
import threading
import time

import pytest

from app.errors import (
    DeadlineUnmeetableError,
    DrainingError,
    InvalidRequestError,
    MalformedBodyError,
    ModelNotFoundError,
    NotReadyError,
    RouteNotFoundError,
)
from app.runtime.memory import MEMORY_THREAD
from app.service import Service
from app.settings import Settings
from tests.app.backends import ToyBackend
from tests.app.builders import write_bundle

TEXT = "a good <mask> film"
ROUTES = ["classify", "ner", "fill-mask"]


def served(folder, scenario, **settings):
    """Play a scenario with a service of `folder`, and return what it returns."""

    async def play():
        async with Service(Settings(models=folder, runners=1, idle_threads=1, **settings)) as service:
            return await scenario(service)

    return asyncio.run(play())


def on_toy(scenario, **settings):
    """Play a scenario with a service whose model answers at once; return the model too."""
    backend = ToyBackend()

    async def play():
        async with Service(Settings(**settings), backend) as service:
            return await scenario(service)

    return asyncio.run(play()), backend.model


def running():
    """Return the names of the runners' threads."""
    return {thread.name for thread in threading.enumerate() if thread.name.startswith("runner")}


def threads():
    """Return the threads but those that give a model's memory back, which end by themselves within a second."""
    return {thread for thread in threading.enumerate() if thread.name != MEMORY_THREAD}


# --- Answers --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def answers(tiny_models):
    """What a service answers for each task: to a mapping, and to the same as JSON."""

    async def ask(service):
        bodies = [{"inputs": TEXT}, json.dumps({"inputs": TEXT}).encode()]
        return {route: [await service.answer(route, body) for body in bodies] for route in ROUTES}

    return served(tiny_models, ask)


@pytest.mark.parametrize(("route", "key"), [("classify", "label"), ("ner", "entity_group"), ("fill-mask", "token_str")])
def test_every_task_is_answered(answers, route, key):
    answer, again = answers[route]
    found = json.loads(answer.content)
    assert found == json.loads(again.content)
    assert found != []
    assert key in (found[0][0] if route == "classify" else found[0])
    assert answer.windows == 1
    assert answer.forward_s > 0


def test_a_model_is_chosen_by_the_call_or_by_the_body(tiny_models):
    async def ask(service):
        await service.answer("classify", {"inputs": TEXT}, model="tiny-classify:1")
        with pytest.raises(ModelNotFoundError, match="'tiny-ner' answers /ner"):
            await service.answer("classify", {"inputs": TEXT}, model="tiny-ner")
        with pytest.raises(ModelNotFoundError, match="'nobody'"):
            await service.answer("classify", {"inputs": TEXT, "model": "nobody"}, model="tiny-classify")

    served(tiny_models, ask)


# --- What a caller can do wrong ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("route", "body", "error", "words"),
    [
        ("translate", {"inputs": "a"}, RouteNotFoundError, "choose one of classify, "),
        ("/classify", {"inputs": "a"}, RouteNotFoundError, "there is no task '/classify'"),
        ("classify", b"{", MalformedBodyError, "not valid JSON"),
        ("classify", {"inputs": object()}, MalformedBodyError, "cannot carry"),
        ("classify", {}, InvalidRequestError, "inputs: is missing"),
        ("classify", {"inputs": "a", "input": "b"}, InvalidRequestError, "input: unknown field"),
        ("ner", {"inputs": "a"}, ModelNotFoundError, "no model for /ner is loaded"),
    ],
)
def test_what_is_wrong_is_raised(route, body, error, words):
    async def ask(service):
        with pytest.raises(error, match=words):
            await service.answer(route, body)

    on_toy(ask)


def test_time_and_priority_reach_the_model():
    async def ask(service):
        await service.answer("classify", {"inputs": "a"})
        await service.answer("classify", {"inputs": "a"}, timeout_s=100.0, priority=7)
        return time.monotonic()

    now, model = on_toy(ask, request_timeout_s=5.0)
    (_, usual, none), (_, chosen, seven) = model.asked
    assert 0 < usual - now <= 5
    assert 5 < chosen - now <= 100
    assert (none, seven) == (0, 7)


def test_a_deadline_that_cannot_be_met_is_raised(tiny_models):
    async def ask(service):
        with pytest.raises(DeadlineUnmeetableError):
            await service.answer("classify", {"inputs": TEXT}, timeout_s=0.0)

    served(tiny_models, ask)


# --- Start and stop ---------------------------------------------------------------------------------------


def test_a_service_that_can_serve_nothing_fails_to_start(tmp_path, byte_level):
    (write_bundle(tmp_path, byte_level) / "model.fp32.onnx").write_bytes(b"no graph")
    before = threads()

    async def start():
        service = Service(Settings(models=tmp_path))
        with pytest.raises(NotReadyError, match=r"no model under .* could be loaded"):
            await service.start()
        with pytest.raises(DrainingError):
            await service.answer("classify", {"inputs": TEXT})

    asyncio.run(start())
    assert threads() == before


def test_a_start_that_does_not_wait_answers_when_the_models_are_loaded(tiny_models):
    async def start():
        service = Service(Settings(models=tiny_models, runners=1))
        await service.start(wait=False)
        with pytest.raises(NotReadyError, match="still loading"):
            await service.answer("classify", {"inputs": TEXT})
        await service.load()
        answer = await service.answer("classify", {"inputs": TEXT})
        await service.stop()
        return answer

    assert json.loads(asyncio.run(start()).content)


def test_a_load_while_the_service_runs_serves_a_new_version(tmp_path, byte_level):
    async def ask(service):
        assert service.registry.find("classify", None).id == "toy:1"
        write_bundle(tmp_path, byte_level)
        await service.load()
        assert service.registry.find("classify", None).id == "toy:2"

    write_bundle(tmp_path, byte_level)
    served(tmp_path, ask)


def test_a_service_that_has_stopped_refuses_and_leaves_no_thread(tiny_models):
    before = threads()

    async def play():
        async with Service(Settings(models=tiny_models, runners=3)) as service:
            assert service.problem() is None
            await service.answer("classify", {"inputs": TEXT})
            assert running() == {"runner-0", "runner-1", "runner-2"}
        assert running() == set()
        with pytest.raises(DrainingError):
            await service.answer("classify", {"inputs": TEXT})
        await service.stop()

    asyncio.run(play())
    assert threads() == before


def test_a_start_that_is_cancelled_stops_what_it_started(tiny_models):
    before = threads()

    async def play():
        service = Service(Settings(models=tiny_models, runners=1))
        starting = asyncio.create_task(service.start())
        while not running():
            await asyncio.sleep(0)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        assert running() == set()

    asyncio.run(play())
    assert threads() == before


@pytest.mark.parametrize("wait", [True, False])
def test_a_backend_that_fails_to_start_is_stopped(wait):
    class Broken(ToyBackend):
        async def start(self):
            await super().start()
            raise RuntimeError("no engine")

    backend = Broken()
    with pytest.raises(RuntimeError, match="no engine"):
        asyncio.run(Service(Settings(), backend).start(wait))
    assert backend.calls == ["start", "stop"]


def test_two_services_count_apart(tiny_models):
    one, other = Service(Settings(models=tiny_models)), Service(Settings(models=tiny_models))
    one.metrics.cancelled.inc()
    assert other.metrics.registry.get_sample_value("roberta_cancelled_total") == 0


def test_an_event_loop_that_stands_still_is_a_problem_once_it_has_moved(monkeypatch):
    """Any thread may ask: the admin port does, whose loop is another one."""
    service = Service(Settings(stall_timeout_s=20), ToyBackend())
    now = time.monotonic()
    assert service.problem() is None
    service.beat()
    monkeypatch.setattr(time, "monotonic", lambda: now + 19)
    assert service.problem() is None
    monkeypatch.setattr(time, "monotonic", lambda: now + 30)
    assert service.problem() == "event loop stalled"
    service.beat()
    assert service.problem() is None
