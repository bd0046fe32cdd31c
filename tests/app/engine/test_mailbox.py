"""Calls that threads leave for an event loop: each is made, in order, and few wake-ups do for many."""

import asyncio
import threading
from functools import partial

from app.engine.mailbox import Mailbox
from tests.app.engines import play


def counted(loop, monkeypatch):
    """Count how often the loop is woken."""
    woken, wake = [], loop.call_soon_threadsafe
    monkeypatch.setattr(loop, "call_soon_threadsafe", lambda *call: woken.append(call) or wake(*call), raising=False)
    return woken


def test_all_that_a_thread_leaves_before_the_loop_turns_wakes_it_once(monkeypatch):
    async def scenario():
        loop = asyncio.get_running_loop()
        mailbox, called, done = Mailbox(loop), [], asyncio.Event()
        woken = counted(loop, monkeypatch)

        def leave():
            for number in range(100):
                mailbox.leave(partial(called.append, number))
            mailbox.leave(done.set)

        thread = threading.Thread(target=leave)
        thread.start()
        thread.join()  # the loop does not turn meanwhile
        await done.wait()
        assert called == list(range(100))
        assert len(woken) == 1
        mailbox.leave(partial(called.append, "later"))
        assert len(woken) == 2
        await asyncio.sleep(0)
        assert called[-1] == "later"

    play(scenario())


def test_nothing_that_several_threads_leave_is_lost():
    async def scenario():
        mailbox, called, ended = Mailbox(asyncio.get_running_loop()), [], asyncio.Event()

        def count(number):
            called.append(number)
            if len(called) == 4000:
                ended.set()

        def leave():
            for number in range(1000):
                mailbox.leave(partial(count, number))

        threads = [threading.Thread(target=leave) for _ in range(4)]
        for thread in threads:
            thread.start()
        await ended.wait()
        for thread in threads:
            thread.join()

    play(scenario())


def test_a_call_that_fails_does_not_keep_the_next_from_being_made():
    async def scenario():
        loop = asyncio.get_running_loop()
        failures, done = [], asyncio.Event()
        loop.set_exception_handler(lambda _, context: failures.append(context["exception"]))
        mailbox = Mailbox(loop)
        mailbox.leave(partial(int, "no number"))
        mailbox.leave(done.set)
        await done.wait()
        assert [type(failure) for failure in failures] == [ValueError]

    play(scenario())
