"""How many tokens a window of a Hugging Face folder may have, and the position of its first token."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from app.bundle.config import whole_number
from app.bundle.files import read_json

# Types of models that count positions from the id of their padding, as fairseq's make_positions does, and those that
# are known to count from 0.
FROM_PADDING = frozenset(
    {
        *("roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "longformer", "mpnet", "data2vec-text", "ibert"),
        *("roberta-prelayernorm", "xmod", "luke", "mluke", "lilt", "esm", "layoutlmv3", "markuplm"),
    }
)
FROM_ZERO = frozenset(
    {
        *("bert", "distilbert", "electra", "albert", "deberta", "deberta-v2", "modernbert", "mobilebert", "funnel"),
        *("squeezebert", "convbert", "ernie", "nezha", "rembert", "roformer", "big_bird", "megatron-bert", "fnet"),
        *("layoutlm", "xlm", "flaubert", "nystromformer", "yoso", "mra", "nomic_bert", "eurobert", "splinter"),
    }
)
FAIRSEQ_PADDING = 1
MOST_TOKENS = 2**20  # of a window; a greater limit is none


def position_offset_of(config: dict[str, Any]) -> int:
    """Return the position of a window's first token: the one after padding's for models like RoBERTa, 0 for others.

    Of a type that is not known, two signs speak for RoBERTa: a padding token other than 0, which is BERT's, and that
    the remaining positions are a multiple of 8, such as 512 = 514 - 2. It is taken for RoBERTa by either, because a
    window that is too long for a model fails, and one that is a little shorter does not.
    """
    kind, padding = config.get("model_type"), config.get("pad_token_id")
    if kind in FROM_ZERO:
        return 0
    offset = (FAIRSEQ_PADDING if padding is None else whole_number(config, "pad_token_id")) + 1
    if kind in FROM_PADDING:
        return offset
    remaining = whole_number(config, "max_position_embeddings") - offset
    is_like_roberta = remaining % 8 == 0 or (padding or 0) > 0
    return offset if remaining > 0 and is_like_roberta else 0


def usable_positions(config: dict[str, Any]) -> int:
    """Return how many tokens a window may have, by the number of position embeddings and those that are not used."""
    return whole_number(config, "max_position_embeddings") - position_offset_of(config)


def max_length_of(path: Path, config: dict[str, Any]) -> int:
    """Return the longest window of a Hub folder in tokens: the tokenizer's limit, bounded by the positions.

    A limit of no sense, such as -1 or the 1e30 that transformers writes where it knows none, is as if it were not
    there.
    """
    tokenizer_config = path / "tokenizer_config.json"
    limit = read_json(tokenizer_config).get("model_max_length") if tokenizer_config.is_file() else None
    known = sensible(limit)
    if known is not None and config.get("max_position_embeddings") is None:  # positions without a table
        return known
    positions = usable_positions(config)
    return positions if known is None else min(positions, known)


def sensible(limit: object) -> int | None:
    """Return a limit of tokens as a number; None where it is none, such as -1 or 1e30."""
    if not isinstance(limit, int | float) or not math.isfinite(limit) or not 1 <= limit <= MOST_TOKENS:
        return None
    return int(limit)
