"""docs/scaling.md: its tables and picture are what its script computes, from numbers that the other pages have."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MEASURED = {
    "docs/performance.md": {"XEON_CORE": "{:,.0f}", "XEON_PAIR": "{:,.0f}"},
    "docs/gpu.md": dict.fromkeys(("H200_HTTP", "H200_FORWARD", "H200_TOKENS"), "{:,.0f}")
    | {"H200_QUEUE_BUSY": "for {} of the time", "H200_WORKER_CORES": "took {} cores"},
    "benchmarks/README.md": {
        "XEON_PROCESS": "{:,.0f}",
        "XEON_WORKER_MS": "worker 0 {:.3f}",
        "EPYC_PAIR": "{:,.0f}",
        "EPYC_FORWARD": "{:,.0f}",
        "EPYC_TOKENIZING": "{:,.0f}",
        "REQUEST_BYTES": "is {} bytes",
        "ANSWER_BYTES": "answer {}",
        "ARRAY_BYTES": "are {} bytes for a token",
    },
}


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("scaling", ROOT / "docs/scaling.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_tables_and_the_picture_are_what_the_script_makes(script):
    text = script.PAGE.read_text("utf-8")
    assert script.page(text, 0.04, 4.0) == text
    assert script.PAGE.with_suffix(".svg").read_text("utf-8") == script.drawing()


@pytest.mark.parametrize("page", MEASURED)
def test_what_is_called_measured_stands_where_it_was_measured(script, page):
    text = (ROOT / page).read_text("utf-8")
    for name, form in MEASURED[page].items():
        assert form.format(getattr(script, name)) in text, name


def test_every_number_says_how_it_is_known(script):
    for each in (*script.MACHINES, *script.LIMITS):
        assert each.known.partition(":")[0] in ("measured", "computed")


def test_other_prices_change_the_costs_alone(script):
    text = script.PAGE.read_text("utf-8")
    dear = script.page(text, 0.08, 8.0)
    changed = [line for line, other in zip(text.splitlines(), dear.splitlines(), strict=True) if line != other]
    assert 0 < len(changed) <= len(script.costs(1, 1).splitlines()) - 2
