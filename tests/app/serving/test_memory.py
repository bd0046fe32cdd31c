"""The answers in progress: bounded in memory, and what is over gives its place back."""

import pytest

from app.errors import QueueFullError, RequestTooLargeError
from app.serving.memory import AnswerMemory


def test_what_does_not_fit_is_refused_until_others_are_done():
    memory = AnswerMemory(100)
    with memory.hold(60), memory.hold(40):
        with pytest.raises(QueueFullError, match="try again later") as refused, memory.hold(1):
            pass
        assert refused.value.retry_after_s == 1.0
        assert memory.held_bytes == 100
    assert memory.held_bytes == 0


def test_a_failure_gives_its_place_back():
    memory = AnswerMemory(100)
    with pytest.raises(ZeroDivisionError), memory.hold(60):
        raise ZeroDivisionError
    assert memory.held_bytes == 0


def test_an_answer_that_could_never_fit_is_too_large():
    with pytest.raises(RequestTooLargeError, match="about 3 MiB, at most 2"), AnswerMemory(2 * 2**20).hold(3 * 2**20):
        pass
