"""The peers: pinned versions, their API, and the settings among which the best are chosen."""

from __future__ import annotations

import pytest

from benchmarks.peers.candidates import INFINITY, PEERS, peer_servers, ways
from benchmarks.peers.environments import requirements_of, version_of

SCORES = {"negative": 0.9, "positive": 0.1}


def test_infinity_is_understood():
    assert INFINITY.body("a") == {"model": "m", "input": ["a"]}
    assert (
        INFINITY.scores(
            {"object": "classify", "data": [[{"label": label, "score": score} for label, score in SCORES.items()]]}
        )
        == SCORES
    )


@pytest.mark.parametrize("peer", PEERS)
def test_every_version_of_a_peer_is_pinned(peer):
    assert all("==" in line for line in requirements_of(peer).read_text().splitlines())
    with pytest.raises(KeyError):
        version_of(peer, "nothing")


def test_every_peer_has_settings_to_choose_from(tmp_path):
    servers = peer_servers(2, tmp_path, tmp_path)
    names = {server.name for server in servers}
    assert len(names) == 5
    assert all(len({str(s) for s in servers if s.name == name}) > 3 for name in names)
    assert {server.depends_on_batch for server in servers if server.precision == "int8"} == {True}
    assert len(ways(1)) == 3  # one worker is what a worker for each core is
    assert len(ways(4)) == 6
