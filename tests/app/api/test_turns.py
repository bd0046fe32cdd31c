"""A burst of predictions is spread over turns of the event loop, in order; nothing is left waiting."""

import asyncio

from app.api.turns import MOST_BEGUN, Turns


def begun_by_turn(callers, cancelled=(), turns=None):
    """Return the numbers of the callers that begin in each turn of the event loop, from the first."""

    async def play():
        taking, begun, loop = turns or Turns(), [[]], asyncio.get_running_loop()

        def tick():
            begun.append([])
            if sum(map(len, begun)) < callers - len(cancelled):
                loop.call_soon(tick)

        async def call(number):
            if (turn := taking.take()) is not None:
                await turn
            begun[-1].append(number)

        loop.call_soon(tick)
        tasks = [loop.create_task(call(number)) for number in range(callers)]
        await asyncio.sleep(0)
        for number in cancelled:
            tasks[number].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return [each for each in begun if each]

    return asyncio.run(play())


def test_few_begin_at_once():
    assert begun_by_turn(MOST_BEGUN) == [list(range(MOST_BEGUN))]


def test_many_begin_in_order_a_bounded_number_in_each_turn():
    begun = begun_by_turn(10 * MOST_BEGUN + 3)
    assert [number for each in begun for number in each] == list(range(10 * MOST_BEGUN + 3))
    assert max(map(len, begun)) == MOST_BEGUN
    assert len(begun) >= 11


def test_who_leaves_while_waiting_takes_no_turn():
    left = range(MOST_BEGUN, 5 * MOST_BEGUN)
    begun = begun_by_turn(6 * MOST_BEGUN, cancelled=left)
    assert len(begun) <= 3
    assert not set(left) & {number for each in begun for number in each}


def test_another_event_loop_begins_anew():
    turns = Turns()

    async def take():
        return [turns.take() for _ in range(MOST_BEGUN)]

    for _ in range(3):  # each loop ends before its turn does
        assert asyncio.run(take()) == [None] * MOST_BEGUN


def test_turns_are_counted_anew_after_a_burst():
    turns = Turns()
    begun_by_turn(3 * MOST_BEGUN, turns=turns)
    assert begun_by_turn(MOST_BEGUN, turns=turns) == [list(range(MOST_BEGUN))]
