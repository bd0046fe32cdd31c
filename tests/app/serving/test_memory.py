"""The answers in progress: bounded in memory, and what is over gives its place back."""

import pytest

from app.errors import QueueFullError, RequestTooLargeError
from app.serving.memory import AnswerMemory


def test_what_does_not_fit_is_refused_until_others_are_done():
    memory = AnswerMemory(100)
    memory.hold(60)
    memory.hold(40)
    with pytest.raises(QueueFullError, match="try again later") as refused:
        memory.hold(1)
    assert refused.value.retry_after_s == 1.0
    memory.free(60)
    memory.hold(50)
    assert memory.held_bytes == 90


def test_an_answer_that_could_never_fit_is_too_large():
    with pytest.raises(RequestTooLargeError, match="about 3 MiB, at most 2"):
        AnswerMemory(2 * 2**20).hold(3 * 2**20)
