"""An engine's side: which models workers may still ask for, and what their keys say."""

import asyncio
from types import SimpleNamespace

from app.processes.engine_server import LATE_S, EngineServer, row_of
from app.serving.registry import Entry
from tests.app.builders import make_manifest
from tests.app.engines import play

LONGEST_S = 30.0


def test_each_replaced_model_is_kept_for_the_longest_deadline_from_its_own_replacement_on():
    async def scenario():
        loop, server = asyncio.get_running_loop(), EngineServer(None, LONGEST_S)
        for key in ("a", "b", "c"):
            before = loop.time()
            server._replace_lanes({key: f"lane of {key}"})
            replaced = chr(ord(key) - 1)
            if replaced in server.lanes:
                assert server._expiries[replaced].when() >= before + LONGEST_S + LATE_S
        assert list(server.lanes) == ["a", "b", "c"]
        server._forget("a")
        assert (list(server.lanes), list(server._expiries)) == (["b", "c"], ["b"])
        server.close()

    play(scenario())


def test_a_model_that_is_served_again_is_not_forgotten():
    async def scenario():
        server = EngineServer(None, LONGEST_S)
        for key in ("a", "b", "a"):
            server._replace_lanes({key: f"lane of {key}"})
        assert (list(server.lanes), list(server._expiries)) == (["a", "b"], ["b"])
        server.close()

    play(scenario())


def entry_of(tmp_path, tokenizer="0" * 64, **config):
    bundle = SimpleNamespace(
        path=tmp_path, manifest=make_manifest(), config=config, verified=True, tokenizer_file=tmp_path / tokenizer
    )
    lane = SimpleNamespace(max_batch_tokens=64)
    return Entry("toy", SimpleNamespace(id="toy:1", bundle=bundle, precision="fp32", provider="CPU", lane=lane))


def test_one_name_and_version_of_another_content_is_another_key(tmp_path):
    entries = [entry_of(tmp_path), entry_of(tmp_path), entry_of(tmp_path, "1" * 64), entry_of(tmp_path, pad=1)]
    lanes = {}
    keys = [row_of(entry, lanes).model.key for entry in entries]
    assert {key.partition("#")[0] for key in keys} == {"toy:1"}
    assert keys[0] == keys[1]
    assert len(set(keys)) == len(lanes) == 3
