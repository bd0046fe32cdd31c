"""The comparison of servers, as the page shows it."""

from __future__ import annotations

import json

from benchmarks.serving import comparison


def test_the_comparison_has_a_row_for_each_server(tmp_path):
    rounds = [{"requests_per_s": 100.0, "p50_ms": 9.0, "p99_ms": 20.0}] * 2
    measured = [{"texts": "short", "connections": 32, "rounds": rounds, "settings": "2 threads"}]
    rates = [{"texts_per_s": 900.0, "tokens_per_s": 24_000.0}]
    raw = {"precision": "int8", "budget": 256, "callers": 2, "threads": 1, "texts_set": "short", "rates": rates}
    reached = {"texts": "short", "what": "int8: speed", "wanted": 5.0, "reached": 1.5}
    file = tmp_path / "http.json"
    file.write_text(
        json.dumps(
            {
                "machine": "A machine.",
                "rounds": 2,
                "seconds": 4,
                "sets": [{"name": "short", "texts": 2, "tokens": [17, 40]}],
                "servers": [{"name": "ours", "measured": measured}, {"name": "left out", "measured": []}],
                "raw": [raw],
                "targets": [reached, {**reached, "wanted": None}],
            }
        )
    )
    section = comparison.read(file)
    text = section.render("figures")
    assert [(t.what, t.wanted, t.reached) for t in section.targets] == [
        ("short texts, int8: speed", "at least 5", "1.50")
    ]
    assert "- ours: 2 threads at 32" in text
    assert "| int8, packed, sorted, 256 tokens a batch, 2 x 1 threads | 900 | 24,000 |" in text
    assert "A machine. Medians of 2 rounds of 4 s" in text
    assert "short: 2 texts, 17 to 40 tokens" in text
    assert "| ours | 100 (100-100) | 9.0 (9.0-9.0) | 20.0 (20.0-20.0) |" in text
    assert "left out" not in text
