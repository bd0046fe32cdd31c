"""A start of the service, step by step."""

from __future__ import annotations

from benchmarks.serving import startup


def test_a_start_is_taken_apart(tiny_models):
    """In a process of its own, by names that loading must go on using."""
    seconds = startup.taken_apart(tiny_models)
    assert seconds.keys() >= {"import", "loading", "hashing", "graph", "tokenizer", "first run", "probes", "warm-up"}
    assert all(value > 0 for value in seconds.values())
