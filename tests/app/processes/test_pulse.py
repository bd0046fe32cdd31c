"""When the supervisor takes a process for frozen: by its silence, by what it says, by what the kernel says."""

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import suppress

import pytest

from app.processes.pulse import (
    ALIVE,
    FROZEN_S,
    LEAST_S,
    LOADING,
    LONGEST_TICK_S,
    STALLED,
    STARTING_S,
    STOPPED_S,
    Pulse,
    beat,
    is_stopped,
)
from tests.app.engines import play
from tests.support.server import until

STALL_S = 60.0
MYSELF = os.getpid()


async def heard(pulse, written):
    """Let a process write through the pipe, and the supervisor hear it."""
    end = os.dup(pulse.write_end)
    pulse.listen()
    os.write(end, written)
    os.close(end)
    while pulse._state != written[-1:]:
        await asyncio.sleep(0)


def pass_time(pulse, seconds):
    while seconds > 0:
        pulse.pass_time(min(seconds, LONGEST_TICK_S))
        seconds -= LONGEST_TICK_S


@pytest.mark.parametrize(
    ("written", "stall_timeout_s", "limit_s"),
    [
        (b"", STALL_S, STARTING_S),
        (ALIVE, STALL_S, FROZEN_S),
        (ALIVE, 5.0, 5.0),
        (ALIVE, 0.1, LEAST_S),
        (LOADING + ALIVE, STALL_S, FROZEN_S),
        (ALIVE + LOADING, STALL_S, STALL_S),
        (LOADING, 0.1, FROZEN_S),
    ],
    ids=repr,
)
def test_silence_is_a_trouble_after_a_while(written, stall_timeout_s, limit_s):
    async def scenario():
        with Pulse(stall_timeout_s) as pulse:
            if written:
                await heard(pulse, written)
            pass_time(pulse, limit_s)
            assert pulse.trouble(MYSELF) is None
            pass_time(pulse, 0.5)
            assert pulse.trouble(MYSELF) == "silent"

    play(scenario())


def test_a_machine_that_was_suspended_makes_nobody_silent():
    async def scenario():
        with Pulse(STALL_S) as pulse:
            await heard(pulse, ALIVE)
            pulse.pass_time(100_000.0)
            assert pulse.trouble(MYSELF) is None

    play(scenario())


def test_an_engine_that_says_that_a_runner_hangs_is_in_trouble_at_once():
    async def scenario():
        with Pulse(STALL_S) as pulse:
            await heard(pulse, ALIVE + STALLED)
            assert pulse.trouble(MYSELF) == "stalled"

    play(scenario())


def test_a_process_that_the_kernel_has_stopped_is_not_given_the_benefit_of_the_doubt():
    async def scenario():
        with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
            process.send_signal(signal.SIGSTOP)
            until(lambda: is_stopped(process.pid))
            with Pulse(STALL_S) as pulse:
                pass_time(pulse, STOPPED_S)
                assert pulse.trouble(process.pid) is None
                pass_time(pulse, 0.5)
                assert pulse.trouble(process.pid) == "stopped"
                assert pulse.trouble(MYSELF) is None
            process.kill()

    play(scenario())
    assert not is_stopped(2**22 + 1)  # there is none


def test_a_pulse_that_nobody_reads_blocks_nobody():
    async def scenario():
        read_end, write_end = os.pipe()
        os.set_blocking(write_end, False)
        with suppress(BlockingIOError):
            while True:
                os.write(write_end, b"a" * 4096)
        task = asyncio.create_task(beat(write_end, lambda: ALIVE))
        await asyncio.sleep(0)
        os.close(read_end)
        await asyncio.sleep(0)
        assert not task.done()
        task.cancel()
        os.close(write_end)

    play(scenario())
