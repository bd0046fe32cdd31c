"""Several workers of one engine: each learns from its replies what the others have asked for, and refuses by it."""

import asyncio
import time
from types import SimpleNamespace

import pytest

from app.engine.backlog import Backlog, Level, Price
from app.engine.cost import CostModel
from app.errors import DeadlineUnmeetableError, QueueFullError
from app.processes import engine_server
from app.processes.engine_client import EngineClient
from app.processes.engine_server import EngineServer
from app.processes.messages import QueueState
from app.serving.registry import Registry
from tests.app.builders import make_lane, window
from tests.app.engines import PATIENCE_S, Gate, play, running
from tests.app.processes.test_engine_pool_faults import MODEL, Client, Pool


async def until(condition):
    while not condition():
        await asyncio.sleep(0.001)


def with_workers(tmp_path, scenario, per_token=0.01, **limits):
    """Play `scenario(workers, tasks)` with two workers of one engine, whose only runner stands still with a window."""

    async def play_it(engine, gate):
        lane = make_lane(gate, engine=engine, cost=CostModel(per_token=per_token))
        local = SimpleNamespace(engine=engine, registry=Registry("models"), device="cpu", problem=lambda: None)
        server = EngineServer(local, 30.0)
        server.lanes.by_key[MODEL] = lane
        await server.listen(tmp_path / "engine.sock")
        workers = [EngineClient(tmp_path / "engine.sock", lambda: None, lambda: None) for _ in range(2)]
        beating = asyncio.create_task(server.beat())
        keepers = [asyncio.create_task(worker.keep()) for worker in workers]
        await until(lambda: all(worker.table is not None for worker in workers))
        tasks = [asyncio.create_task(lane.submit([window(1)], deadline=time.monotonic() + PATIENCE_S))]
        assert await asyncio.to_thread(gate.entered.wait, PATIENCE_S)
        try:
            await scenario(workers, tasks)
        finally:
            gate.open.set()
            for each in (beating, *keepers, *tasks):
                each.cancel()
            await asyncio.gather(beating, *keepers, *tasks, return_exceptions=True)
            for worker in workers:
                worker.close()
            server.close()

    gate = Gate()
    with running(1, gate, **limits) as engine:
        play(play_it(engine, gate))


def ask(worker, tokens):
    work = worker.submit(MODEL, [window(tokens)], tokens, deadline=time.monotonic() + PATIENCE_S, priority=0)
    return asyncio.create_task(work)


def check(worker, tokens):
    worker.queue.check(MODEL, [window(tokens)], deadline=time.monotonic() + PATIENCE_S, priority=0)


async def fill(worker, tasks, kind=QueueFullError):
    """Fill the queue through one worker, until one request too many is refused by the engine."""
    tasks += [ask(worker, 40) for _ in range(4)]
    with pytest.raises(kind):
        await ask(worker, 60)


@pytest.mark.parametrize(
    ("limits", "kind"),
    [
        ({"tokens": 200}, QueueFullError),
        ({"max_queue_s": 1.5}, QueueFullError),
        ({"per_token": PATIENCE_S / 200}, DeadlineUnmeetableError),
    ],
    ids=["tokens", "seconds", "deadline"],
)
def test_a_worker_refuses_what_another_has_left_no_room_for(tmp_path, monkeypatch, limits, kind):
    monkeypatch.setattr("app.engine.backlog.FRESH_S", PATIENCE_S)

    async def scenario(workers, tasks):
        check(workers[1], 100)
        await fill(workers[0], tasks, kind)
        await until(lambda: workers[1].queue.state.backlog is not None)
        with pytest.raises(kind):
            check(workers[1], 100)
        with pytest.raises(kind):
            workers[1].queue.check_tokens(MODEL, 100, deadline=time.monotonic() + PATIENCE_S, priority=0)
        workers[1].queue.check("another:1#0", [window(60)], deadline=0.0, priority=0)  # not of this engine any more

    with_workers(tmp_path, scenario, **limits)


def test_once_the_queue_is_short_again_nothing_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("app.engine.backlog.FRESH_S", PATIENCE_S)
    monkeypatch.setattr(engine_server, "HEARTBEAT_S", 0.01)

    async def scenario(workers, tasks):
        await fill(workers[0], tasks)
        await until(lambda: workers[1].queue.state.backlog is not None)
        for task in tasks[1:]:
            task.cancel()
        await asyncio.gather(*tasks[1:], return_exceptions=True)
        await until(lambda: workers[1].queue.state.backlog is None)  # by the heartbeat
        check(workers[1], 100)

    with_workers(tmp_path, scenario, tokens=200)


def test_a_lost_engine_is_known_no_more(tmp_path):
    async def scenario(workers, tasks):
        await fill(workers[0], tasks)
        await until(lambda: workers[1].queue.state.backlog is not None)
        workers[1].lose()
        assert workers[1].queue.state.backlog is None

    with_workers(tmp_path, scenario, tokens=200)


def test_a_pool_asks_no_engine_that_would_refuse():
    async def scenario():
        client = Client()
        pool = Pool(client)
        full = Backlog(time.monotonic() + PATIENCE_S, 1, 100, 100, 1e9, [], [Level(0, 10, 10, 5.0)], [])
        client.queue.state = QueueState(full, {MODEL: Price(64, 0.0, 0.01, 0.0, 0.0)})
        with pytest.raises(QueueFullError):
            await pool.ask(1)
        with pytest.raises(QueueFullError):
            pool.pool.check_room(MODEL, 1, deadline=1e9, priority=0)
        assert client.asked == []

    play(scenario())
