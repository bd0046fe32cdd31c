"""Fill-mask: a small body may not ask for more than fits in memory."""

import numpy as np
import pytest
from pydantic import ValidationError

from app.errors import RequestTooLargeError
from tests.app.tasks.test_fill_mask import answer, make_request, make_task, repeat_neighbor


def test_more_masks_than_fit_in_memory_are_refused(encoder, monkeypatch):
    task = make_task(encoder)
    monkeypatch.setattr("app.tasks.fill_mask.MOST_KEPT", 3 * 2 * 5)  # a token and a score for each of five candidates
    assert task.encode(make_request(["<mask> a", "a <mask> <mask>"])).windows
    with pytest.raises(RequestTooLargeError, match="inputs has 4 masks; at most 3"):
        task.encode(make_request(["<mask> a", "a <mask> <mask> <mask>"]))


@pytest.mark.parametrize(
    ("inputs", "parameters", "characters"),
    [
        (["<mask> a"], {"top_k": 3}, 72 * 3),
        (["<mask> a", "a <mask><mask>"], {"top_k": 2}, (72 + 2 * 78) * 2),
        (["<mask> a"], {"top_k": 1000, "targets": ["film"]}, 72),
    ],
)
def test_an_answer_with_too_much_text_is_refused(inputs, parameters, characters, encoder, monkeypatch):
    task = make_task(encoder)
    monkeypatch.setattr("app.tasks.fill_mask.MOST_CHARACTERS", characters)
    assert task.encode(make_request(inputs, **parameters)).windows
    monkeypatch.setattr("app.tasks.fill_mask.MOST_CHARACTERS", characters - 1)
    with pytest.raises(RequestTooLargeError, match=f"{characters} characters, at most {characters - 1}"):
        task.encode(make_request(inputs, **parameters))


def test_what_an_answer_may_take_is_counted_before_it_is_computed(encoder):
    task = make_task(encoder)
    one, four = (task.encode(make_request(["a <mask>"] * count)).answer_bytes for count in (1, 4))
    assert 500 < one < 2000
    assert four == 4 * one


def test_a_window_of_many_masks_runs_in_parts(encoder, monkeypatch):
    task, request = make_task(encoder), make_request("a" + " <mask>" * 20)
    (whole,) = task.encode(request).windows
    expected = answer(task, request, repeat_neighbor(task))
    monkeypatch.setattr("app.tasks.fill_mask.MOST_LOGITS", 8 * task.vocabulary)
    parts = task.encode(request).windows
    assert [len(part.head_rows) for part in parts] == [8, 8, 4]
    assert np.concatenate([part.head_rows for part in parts]).tolist() == whole.head_rows.tolist()
    assert answer(task, request, repeat_neighbor(task)) == expected


def test_targets_are_tokenized_once_for_all_masks(encoder):
    task, asked = make_task(encoder), []
    find, task.only_token = task.only_token, lambda number, *forms: asked.append(number) or find(number, *forms)
    (window,) = task.encode(make_request("a" + " <mask>" * 20, targets=["film", "good"])).windows
    assert len(window.head_rows) == 20
    assert asked == [0, 1]


def test_targets_are_tokenized_too_and_their_number_is_bounded():
    assert make_request("a <mask>", targets=["film", "good"]).count_characters() == 8 + 8
    with pytest.raises(ValidationError, match="at most 1000"):
        make_request("a <mask>", targets=["film"] * 1001)
