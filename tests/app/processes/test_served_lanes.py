"""Which lanes an engine keeps: what is served, and what a worker may still ask for."""

import asyncio

from app.processes.held_models import HeldModels
from app.processes.served_lanes import LATE_S, ServedLanes
from tests.app.engines import play

LONGEST_S = 30.0


def with_lanes(scenario):
    async def play_it():
        lanes = ServedLanes(LONGEST_S)
        lanes.replace({"a": "lane of a"})
        scenario(lanes)
        lanes.close()

    play(play_it())


def serve(lanes, key):
    lanes.replace({key: f"lane of {key}"})


def test_without_workers_nothing_replaced_is_kept():
    def scenario(lanes):
        serve(lanes, "b")
        assert lanes.by_key == {"b": "lane of b"}

    with_lanes(scenario)


def test_every_worker_must_have_seen_the_table_and_have_let_go():
    def scenario(lanes):
        lanes.join("one")
        lanes.join("other")
        serve(lanes, "b")
        lanes.hold("one", lanes.table, ["b"])
        lanes.hold("other", lanes.table - 1, ["a"])
        assert list(lanes.by_key) == ["a", "b"]
        lanes.hold("other", lanes.table, ["a", "b"])
        assert list(lanes.by_key) == ["a", "b"]
        lanes.hold("other", lanes.table, ["b"])
        assert list(lanes.by_key) == ["b"]

    with_lanes(scenario)


def test_what_was_said_before_the_table_does_not_count():
    def scenario(lanes):
        lanes.join("worker")
        serve(lanes, "b")
        lanes.hold("worker", lanes.table, ["b"])
        serve(lanes, "c")
        assert list(lanes.by_key) == ["b", "c"]

    with_lanes(scenario)


def test_a_worker_that_leaves_or_has_just_come_keeps_nothing():
    def scenario(lanes):
        lanes.join("worker")
        serve(lanes, "b")
        lanes.join("newcomer")
        assert list(lanes.by_key) == ["a", "b"]
        lanes.leave("worker")
        assert list(lanes.by_key) == ["b"]

    with_lanes(scenario)


def test_a_worker_that_says_nothing_keeps_each_for_the_longest_deadline_and_no_longer():
    def scenario(lanes):
        lanes.join("frozen")
        before = asyncio.get_running_loop().time()
        serve(lanes, "b")
        assert lanes._expiries["a"].when() >= before + LONGEST_S + LATE_S
        serve(lanes, "c")
        lanes._forget("a")
        assert (list(lanes.by_key), list(lanes._expiries)) == (["b", "c"], ["b"])

    with_lanes(scenario)


def test_a_lane_that_is_served_again_is_not_forgotten():
    def scenario(lanes):
        lanes.join("worker")
        serve(lanes, "b")
        serve(lanes, "a")
        assert (list(lanes.by_key), list(lanes._expiries)) == (["a", "b"], ["b"])
        lanes.hold("worker", lanes.table, ["a"])
        assert list(lanes.by_key) == ["a"]

    with_lanes(scenario)


class Lane:
    """Something that can be referred to weakly."""


class Engine:
    """Keeps what it is told."""

    def __init__(self):
        self.told = []

    def tell_held(self, keys):
        self.told.append(sorted(keys))


def test_a_model_is_held_while_any_of_its_lanes_lives():
    async def scenario():
        engine, lanes = Engine(), {"a": [Lane(), Lane()], "b": [Lane()]}
        held = HeldModels([engine])
        held.start()
        for key, each in lanes.items():
            for lane in each:
                held.hold(key, lane)
        del lane
        for key in ("a", "a", "b"):
            lanes[key].pop()
            held.tell()
        assert engine.told == [["a", "b"], ["b"], []]
        await asyncio.sleep(0)  # when the last lane of a model had gone, without being asked
        assert engine.told[3:] == [[], []]

    play(scenario())
