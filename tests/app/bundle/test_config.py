"""What a Hugging Face config says of a model: how many of its positions a text can use."""

import json

import pytest

from app.bundle import BundleError
from app.bundle.positions import max_length_of, usable_positions


@pytest.mark.parametrize(
    ("model", "positions", "pad_token_id", "usable"),
    [
        ("roberta", 514, 1, 512),
        ("xlm-roberta", 514, 1, 512),
        ("camembert", 514, 1, 512),
        ("mpnet", 514, 1, 512),
        ("longformer", 4098, 1, 4096),
        ("roberta with transformers' default of positions", 512, 1, 510),
        ("roberta with an odd number of positions", 515, 1, 513),
        ("bert", 512, 0, 512),
        ("distilbert", 512, 0, 512),
        ("electra", 512, 0, 512),
        ("deberta-v2", 512, 0, 512),
        ("modernbert", 8192, 50283, 8192),
        ("modernbert of a small vocabulary", 8192, 7, 8184),  # the price of telling families apart by numbers
        ("a base of our own", 130, 1, 128),
    ],
)
def test_positions_that_are_for_padding_are_not_counted(model, positions, pad_token_id, usable):
    assert usable_positions({"max_position_embeddings": positions, "pad_token_id": pad_token_id}) == usable


@pytest.mark.parametrize(("positions", "usable"), [(514, 512), (512, 512)])
def test_without_a_padding_token_the_number_of_positions_decides(positions, usable):
    assert usable_positions({"max_position_embeddings": positions}) == usable


@pytest.mark.parametrize("config", [{}, {"max_position_embeddings": 512, "pad_token_id": "x"}], ids=str)
def test_positions_that_are_no_number_are_refused_by_name(config):
    with pytest.raises(BundleError, match=r"config\.json needs a whole number as (max_position|pad_token)"):
        usable_positions(config)


@pytest.mark.parametrize(
    ("config", "usable"),
    [
        ({"model_type": "modernbert", "max_position_embeddings": 8192, "pad_token_id": 50283}, 8192),
        ({"model_type": "modernbert", "max_position_embeddings": 8192, "pad_token_id": 7}, 8192),
        ({"model_type": "distilbert", "max_position_embeddings": 512}, 512),
        ({"model_type": "distilbert", "max_position_embeddings": 512, "pad_token_id": 1}, 512),
        ({"model_type": "deberta-v2", "max_position_embeddings": 512, "pad_token_id": 0}, 512),
        ({"model_type": "deberta", "max_position_embeddings": 513}, 513),
        ({"model_type": "albert", "max_position_embeddings": 512, "pad_token_id": 0}, 512),
        ({"model_type": "big_bird", "max_position_embeddings": 4096, "pad_token_id": 0}, 4096),
        ({"model_type": "roberta", "max_position_embeddings": 514}, 512),
        ({"model_type": "mpnet", "max_position_embeddings": 514, "pad_token_id": 1}, 512),
        ({"model_type": "longformer", "max_position_embeddings": 4098, "pad_token_id": 1}, 4096),
        ({"model_type": "camembert", "max_position_embeddings": 514, "pad_token_id": 1}, 512),
    ],
    ids=str,
)
def test_families_that_are_known_count_as_they_do(config, usable):
    assert usable_positions(config) == usable


@pytest.mark.parametrize(
    ("limit", "expected"),
    [(-1, 512), (1e30, 512), (0, 512), ("512", 512), (None, 512), (128, 128), (128.0, 128), (1e9, 512)],
)
def test_a_limit_of_no_sense_is_as_if_it_were_not_there(limit, expected, tmp_path):
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"model_max_length": limit}))
    assert max_length_of(tmp_path, {"model_type": "bert", "max_position_embeddings": 512}) == expected


def test_without_positions_the_limit_of_the_tokenizer_counts(tmp_path):
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"model_max_length": 256}))
    assert max_length_of(tmp_path, {"model_type": "funnel"}) == 256
