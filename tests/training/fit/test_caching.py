"""Features are made once and read back, whatever they depend on is in their key, and the cache may fail."""

from __future__ import annotations

from training.data import ClassificationExample, Labeling
from training.fit.caching import cached, key_of
from training.tasks.classify import ClassifyTraining

CLASSIFY = ClassifyTraining()


def test_stored_features_are_made_once_and_read_back(tokenizer, tmp_path):
    examples = [ClassificationExample("a good film", ("n",)), ClassificationExample("Ada", ("p",))]
    made = []

    def make():
        made.append(1)
        return CLASSIFY.features(examples, Labeling(("n", "p")), tokenizer, 16)

    key = key_of(examples, tokenizer, 16)
    first, second = (cached(tmp_path / "cache", key, make) for _ in range(2))
    assert len(made) == 1
    assert first.to_list() == second.to_list() == make().to_list()
    assert first.features == second.features


def test_whatever_changes_the_features_changes_their_key(tokenizer):
    examples = [ClassificationExample("a good film", ("n",))]
    other = [ClassificationExample("a good film", ("p",))]
    assert len({key_of(examples, tokenizer, 16), key_of(examples, tokenizer, 32), key_of(other, tokenizer, 16)}) == 3
    assert key_of(examples, tokenizer, 16) == key_of(list(examples), tokenizer, 16)


def test_a_folder_that_cannot_be_written_to_costs_only_the_cache(tokenizer, tmp_path, monkeypatch):
    def refuse(*args):
        raise PermissionError("Permission denied")

    monkeypatch.setattr("training.fit.caching.store", refuse)
    rows = CLASSIFY.features([ClassificationExample("Ada", ("n",))], Labeling(("n",)), tokenizer, 16)
    assert cached(tmp_path, "key", lambda: rows).to_list() == rows.to_list()
