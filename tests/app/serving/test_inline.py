"""What is done at once on the event loop, and what on another thread, so that other requests need not wait."""

import asyncio
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

from app.serving.memory import AnswerMemory
from app.serving.pipeline import Pipeline, Shared
from app.serving.pool import Pool
from app.tasks.classify import ClassifyRequest


class Task:
    """Notes the threads that it works on."""

    priority = 0
    encoder = SimpleNamespace(special=SimpleNamespace(prefix=[0], suffix=[2]))

    def __init__(self, answer_bytes):
        self.answer_bytes, self.threads = answer_bytes, []

    def encode(self, request):
        self.threads.append(threading.current_thread().name)
        return SimpleNamespace(windows=[range(3)], state=None, answer_bytes=self.answer_bytes)

    def render(self, request, state, outputs):
        self.threads.append(threading.current_thread().name)
        return b"[]"


class Lane:
    def __init__(self, output):
        self.output, self.series, self.max_batch_tokens = output, None, 64

    async def submit(self, windows, *, deadline, priority=0):
        return SimpleNamespace(outputs=[self.output], queue_s=0.0, forward_s=0.0, ended=0.0)

    def check_room(self, tokens, *, deadline, priority=0):
        pass


def threads_of(inputs, answer_bytes=0, output=(1, 2)):
    """Return the threads that tokenize and answer a request."""
    task, lane = Task(answer_bytes), Lane(np.zeros(output, np.float32))
    pipeline, pool = Pipeline(task, lane, None), Pool(1, 2**20)
    work = pipeline.answer(
        ClassifyRequest(inputs=inputs), Shared(pool, AnswerMemory(2**24)), deadline=time.monotonic() + 60
    )
    asyncio.run(work)
    pool.close()
    return task.threads


@pytest.mark.parametrize(
    ("inputs", "answer_bytes", "output", "expected"),
    [
        ("a good film", 1000, (1, 2), ["MainThread", "MainThread"]),
        (["a good film"] * 32, 4000, (1, 2), ["MainThread", "MainThread"]),
        ("a" * 3000, 1000, (1, 2), ["pool", "MainThread"]),
        (["a"] * 100, 6400, (1, 2), ["pool", "pool"]),
        ("a", 2**18, (1, 2), ["MainThread", "pool"]),
        ("a", 0, (512, 128), ["MainThread", "pool"]),  # a task that does not say how large its answers are
    ],
    ids=["short", "some texts", "long", "many texts", "large answer", "large outputs"],
)
def test_only_what_takes_a_moment_is_done_on_the_event_loop(inputs, answer_bytes, output, expected):
    assert threads_of(inputs, answer_bytes, output) == expected
