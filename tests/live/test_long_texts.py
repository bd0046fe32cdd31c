"""Texts of 100,000 characters are answered whole by every task, and nothing is cut unless asked for."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.server import ThreadService

LENGTH = 100_000
SENTENCE = "The weather was cold and dull, and nothing much happened all day. "
NAMES = "Angela Merkel met Emmanuel Macron in Paris. "


def ask(service: ThreadService, path: str, text: str, **fields: object) -> Any:
    response = service.client.post(path, json={"inputs": text, **fields})
    assert response.status_code == 200, response.text
    return response.json()


def filled(length: int) -> str:
    """Return whole sentences of at most `length` characters."""
    return SENTENCE * (length // len(SENTENCE))


@pytest.fixture(params=["tiny_here", "tiny_several", "shipped"])
def service(request) -> ThreadService:
    return request.getfixturevalue(request.param)


def windows(service: ThreadService, task: str) -> float:
    return service.metric("roberta_windows_per_request_sum", task=task)


def test_a_long_text_is_classified_from_all_its_windows(service):
    before = windows(service, "classify")

    (ranking,) = ask(service, "/classify", filled(LENGTH).ljust(LENGTH, "."))

    assert sum(entry["score"] for entry in ranking) == pytest.approx(1, abs=1e-4)
    assert windows(service, "classify") - before > 30


def test_the_end_of_a_long_text_counts(shipped):
    """Half a good review and, from the second window on, a much longer bad one."""
    good, bad = "A warm, funny and wonderful film. ", "A dull, ugly and boring waste of time. "
    text = good * 60 + bad * 300

    (whole,) = ask(shipped, "/classify", text)
    (first_window,) = ask(shipped, "/classify", text, truncate=True)

    assert (whole[0]["label"], first_window[0]["label"]) == ("negative", "positive")


@pytest.mark.parametrize("strategy", ["none", "simple", "first", "average", "max"])
def test_every_part_of_a_long_text_is_tagged(service, strategy):
    text = filled(LENGTH).ljust(LENGTH, "x")
    parameters = {"aggregation_strategy": strategy, "ignore_labels": []}

    entities = ask(service, "/ner", text, parameters=parameters)

    covered = bytearray(LENGTH)
    for entity in entities:
        assert entity["word"] == text[entity["start"] : entity["end"]]
        covered[entity["start"] : entity["end"]] = b"\x01" * (entity["end"] - entity["start"])
    assert all(covered[i] for i, character in enumerate(text) if not character.isspace())


def test_names_far_inside_a_long_text_are_found_as_they_are_alone(shipped):
    def spans(text: str, shift: int = 0) -> list[tuple[str, str, int]]:
        return [(e["entity_group"], e["word"], e["start"] - shift) for e in ask(shipped, "/ner", text)]

    alone = spans(NAMES)
    assert [word for _, word, _ in alone] == ["Angela Merkel", "Emmanuel Macron", "Paris"]
    for place in (0, 1_000, LENGTH // 2, LENGTH - len(NAMES)):
        before = filled(place)
        after = filled(LENGTH - len(before) - len(NAMES))
        assert spans(before + NAMES + after, shift=len(before)) == alone


def test_truncating_leaves_out_all_but_the_first_window(service):
    text = filled(10_000)
    parameters = {"ignore_labels": [], "aggregation_strategy": "none"}
    before = windows(service, "ner")

    entities = ask(service, "/ner", text, truncate=True, parameters=parameters)

    assert windows(service, "ner") - before == 1
    assert entities[-1]["end"] < 5_000


def test_masks_anywhere_in_a_long_text_are_filled(service):
    part = filled(LENGTH // 3 - 20)
    text = f"<mask> day. {part}It was a <mask> day. {part}It was cold in <mask>."

    masks = ask(service, "/fill-mask", text, parameters={"top_k": 2})

    assert len(masks) == 3
    for number, candidates in enumerate(masks):
        assert len(candidates) == 2
        for candidate in candidates:
            head, gap, tail = split_at_mask(text, number)
            assert candidate["sequence"] in (
                f"{head}{candidate['token_str']}{tail}",
                f"{head.rstrip()}{candidate['token_str']}{tail}",
            )
            assert gap == "<mask>"


def split_at_mask(text: str, number: int) -> tuple[str, str, str]:
    """Split a text around its mask of that number."""
    parts = text.split("<mask>")
    return "<mask>".join(parts[: number + 1]), "<mask>", "<mask>".join(parts[number + 1 :])


@pytest.mark.parametrize("stride", [0, 10, 31])
def test_the_overlap_of_windows_can_be_chosen(tiny, stride):
    text = filled(5_000)
    before = windows(tiny, "ner")
    ask(tiny, "/ner", text)
    usual = windows(tiny, "ner") - before

    ask(tiny, "/ner", text, parameters={"stride": stride})

    assert (windows(tiny, "ner") - before - usual < usual) == (stride < 62 // 4)
