"""What a Hugging Face config says of a model: how many of its positions a text can use."""

import pytest

from app.bundle import BundleError
from app.bundle.config import usable_positions


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
