"""Fill-mask: a small body may not ask for more than fits in memory."""

import pytest
from pydantic import ValidationError

from app.errors import RequestTooLargeError
from tests.app.tasks.test_fill_mask import make_request, make_task


def test_more_masks_than_fit_in_memory_are_refused(encoder, monkeypatch):
    task = make_task(encoder)
    monkeypatch.setattr("app.tasks.fill_mask.MOST_LOGITS", 3 * task.vocabulary)
    assert task.encode(make_request(["<mask> a", "a <mask> <mask>"])).windows
    with pytest.raises(RequestTooLargeError, match="inputs has 4 masks; at most 3"):
        task.encode(make_request(["<mask> a", "a <mask> <mask> <mask>"]))


@pytest.mark.parametrize(
    ("inputs", "parameters", "characters"),
    [
        (["<mask> a"], {"top_k": 3}, 8 * 3),
        (["<mask> a", "a <mask><mask>"], {"top_k": 2}, (8 + 2 * 14) * 2),
        (["<mask> a"], {"top_k": 1000, "targets": ["film"]}, 8),
    ],
)
def test_an_answer_with_too_much_text_is_refused(inputs, parameters, characters, encoder, monkeypatch):
    task = make_task(encoder)
    monkeypatch.setattr("app.tasks.fill_mask.MOST_CHARACTERS", characters)
    assert task.encode(make_request(inputs, **parameters)).windows
    monkeypatch.setattr("app.tasks.fill_mask.MOST_CHARACTERS", characters - 1)
    with pytest.raises(RequestTooLargeError, match=f"over {characters} characters, at most {characters - 1}"):
        task.encode(make_request(inputs, **parameters))


def test_targets_are_tokenized_once_for_all_masks(encoder):
    task, asked = make_task(encoder), []
    find, task.target_id = task.target_id, lambda word, after_space: asked.append(word) or find(word, after_space)
    (window,) = task.encode(make_request("a" + " <mask>" * 20, targets=["film", "good"])).windows
    assert len(window.head_rows) == 20
    assert asked == ["film", "good"]


def test_targets_are_tokenized_too_and_their_number_is_bounded():
    assert make_request("a <mask>", targets=["film", "good"]).count_characters() == 8 + 8
    with pytest.raises(ValidationError, match="at most 1000"):
        make_request("a <mask>", targets=["film"] * 1001)
