"""Which engine a request goes to, and what becomes of it when one is lost, frozen, full or without its model."""

import asyncio
import time
from dataclasses import dataclass, field

import pytest

from app.errors import DeadlineExceededError, DrainingError, EngineLostError, NotReadyError, QueueFullError
from app.processes.pending import UnansweredError
from app.processes.told_queue import ToldQueue
from app.settings import Settings
from tests.app.builders import window
from tests.app.engines import PATIENCE_S, play
from tests.app.processes.test_engine_pool import make_pool

MODEL = "toy:1#0"


@dataclass
class Client:
    """An engine's client that keeps what it is asked, to be answered or failed by the test."""

    models: frozenset[str] = frozenset([MODEL])
    told: frozenset[str] | None = None  # default: `models`
    is_able: bool = True
    is_connected: bool = True
    is_silent: bool = False
    has_loaded: bool = True
    outstanding_tokens: int = 0
    asked: list[tuple[int, asyncio.Future[str]]] = field(default_factory=list)
    queue: ToldQueue = field(default_factory=ToldQueue)

    def __post_init__(self):
        self.told = self.models if self.told is None else self.told

    async def submit(self, model, windows, tokens, *, deadline, priority):
        answer = asyncio.get_running_loop().create_future()
        self.asked.append((int(windows[0].input_ids[0]), answer))
        return await answer

    def lose(self):
        self.is_able = self.is_connected = self.has_loaded = False
        for _, answer in self.asked:
            if not answer.done():
                answer.set_exception(UnansweredError())


class Pool:
    """An `EnginePool` of such clients."""

    def __init__(self, *clients, **settings):
        self.clients = clients
        self.pool = make_pool(Settings(**settings), [])
        self.pool._clients = list(clients)
        self.pool._waiting._limit_tokens = 30

    def ask(self, token, tokens=10, timeout_s=PATIENCE_S, priority=0):
        work = self.pool.submit(
            MODEL, [window(tokens, token)], deadline=time.monotonic() + timeout_s, priority=priority
        )
        return asyncio.create_task(work)

    def come_back(self, client):
        client.is_able = client.is_connected = client.has_loaded = True
        self.pool._on_able()

    @property
    def resent(self):
        return self.pool.metrics.registry.get_sample_value("roberta_resent_total")


async def settle():
    """Let every task go as far as it can."""
    for _ in range(10):
        await asyncio.sleep(0)


def tokens_of(client):
    return [token for token, _ in client.asked]


def test_a_model_that_was_replaced_is_asked_of_the_engine_that_had_it():
    """The engine keeps it for a while: a worker adopts what the engine serves a moment after it is told."""

    async def scenario():
        has_it, never = (
            Client(models=frozenset(["toy:2#0"])),
            Client(models=frozenset(["toy:2#0"]), outstanding_tokens=-1),
        )
        has_it.told = frozenset([MODEL, "toy:2#0"])
        pool = Pool(never, has_it)
        task = pool.ask(7)
        await settle()
        assert (tokens_of(never), tokens_of(has_it)) == ([], [7])
        has_it.asked[0][1].set_result("answered")
        assert await task == "answered"

    play(scenario())


def test_what_an_engine_had_is_asked_of_the_new_one_in_order():
    async def scenario():
        client = Client()
        pool = Pool(client)
        tasks = [pool.ask(token, priority=token == 3) for token in (1, 2, 3)]
        await settle()
        client.lose()
        await settle()
        tasks.append(pool.ask(4, tokens=1000, priority=1))
        await settle()
        assert isinstance(tasks.pop().exception(), NotReadyError)
        assert not any(task.done() for task in tasks)
        pool.come_back(client)
        await settle()
        assert tokens_of(client) == [1, 2, 3, 3, 1, 2]
        for _, answer in client.asked[3:]:
            answer.set_result("answered")
        assert await asyncio.gather(*tasks) == ["answered"] * 3
        assert pool.resent == 3

    play(scenario())


def test_a_request_that_takes_the_process_with_it_is_sent_twice_and_not_again():
    async def scenario():
        client = Client()
        pool = Pool(client)
        task = pool.ask(1)
        for _ in range(2):
            await settle()
            client.lose()
            await settle()
            pool.come_back(client)
        with pytest.raises(EngineLostError, match="ended twice"):
            await task
        assert tokens_of(client) == [1, 1]

    play(scenario())


def test_another_engine_that_serves_the_model_is_asked_at_once():
    async def scenario():
        first, second, other = Client(), Client(outstanding_tokens=5), Client(models=frozenset(["other:1#0"]))
        pool = Pool(first, second, other)
        task = pool.ask(1)
        await settle()
        first.is_able, first.is_silent = False, True
        assert pool.pool._is_taken_elsewhere(MODEL)
        first.asked[0][1].set_exception(UnansweredError())
        await settle()
        assert (tokens_of(second), tokens_of(other)) == ([1], [])
        second.asked[0][1].set_result("answered")
        assert await task == "answered"
        second.is_able = False
        assert not pool.pool._is_taken_elsewhere(MODEL)

    play(scenario())


def test_a_model_that_no_engine_will_have_is_not_waited_for():
    async def scenario():
        away, without = Client(is_able=False, has_loaded=False, models=frozenset()), Client(models=frozenset())
        pool = Pool(away, without)
        task = pool.ask(1)
        await settle()
        assert not task.done()  # the one that is away may have it
        away.has_loaded = away.is_able = True
        pool.pool._on_able()
        with pytest.raises(NotReadyError, match="toy:1 is not loaded any more"):
            await task

    play(scenario())


def test_what_waits_is_bounded_and_ends_at_its_deadline():
    async def scenario():
        client = Client(is_able=False)
        pool = Pool(client)
        tasks = [pool.ask(token) for token in range(3)]
        await settle()
        with pytest.raises(QueueFullError):  # the engine is there, and reads too slowly
            await pool.ask(4)
        with pytest.raises(QueueFullError):  # before it is tokenized
            pool.pool.check_room(MODEL, 1, deadline=1e9, priority=0)
        client.is_connected = False
        with pytest.raises(NotReadyError, match="too many requests wait") as caught:
            await pool.ask(4)
        assert caught.value.retry_after_s >= 1
        tasks.pop().cancel()
        await settle()
        with pytest.raises(DeadlineExceededError):
            await pool.ask(4, timeout_s=0.01)
        pool.come_back(client)
        await settle()
        assert tokens_of(client) == [0, 1]
        pool.pool.check_room(MODEL, 1_000_000, deadline=1e9, priority=0)

    play(scenario())


def test_nobody_waits_for_an_engine_once_everything_ends():
    async def scenario():
        client = Client()
        pool = Pool(client)
        task = pool.ask(1)
        await settle()
        client.lose()
        await settle()
        pool.pool.hurry()
        for each in (task, pool.ask(2)):
            with pytest.raises(DrainingError):
                await each

    play(scenario())
