"""A warm start for pretraining: the transformer of one encoder with the vocabulary of another."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from transformers import (
    AutoModel,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    RobertaConfig,
    RobertaForMaskedLM,
)

from training.config import RecipeError
from training.encoders import UnsupportedModelError, family_of_config, model_types
from training.encoders.loading import check_vocabulary, load_tokenizer, reason_of
from training.progress import track

log = logging.getLogger(__name__)

SPECIALS = ("bos_token", "eos_token", "cls_token", "sep_token", "pad_token", "unk_token", "mask_token")
CONFIG_TAKEN = (
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "hidden_act",
    "layer_norm_eps",
    "initializer_range",
)
UNKNOWN_CHARACTER = "\N{REPLACEMENT CHARACTER}"


def transplant(body: str, tokenizer: str) -> tuple[RobertaForMaskedLM, PreTrainedTokenizerBase]:
    """Return a RoBERTa masked LM with the layers, norms and positions of `body` and the tokens of `tokenizer`.

    Each token's vector is the mean of the body's vectors that spell it. The head's dense layer begins as the
    identity and its decoder is tied to the word vectors, so that what the model guesses first is what its last
    hidden state is most like. Raises `RecipeError` when one of the two cannot be loaded or used.
    Source of the idea: WECHSEL, Minixhofer et al. 2022, arXiv:2112.06598; here both vocabularies spell the same
    language, so that spelling stands in for its bilingual dictionary.
    """
    donor, donor_tokenizer, target = load_encoder(body, tokenizer)
    model = RobertaForMaskedLM(config_of(donor, target))
    encoder, source = model.roberta, donor
    with torch.no_grad():
        encoder.encoder.load_state_dict(source.encoder.state_dict())
        encoder.embeddings.LayerNorm.load_state_dict(source.embeddings.LayerNorm.state_dict())
        encoder.embeddings.token_type_embeddings.weight[0] = source.embeddings.token_type_embeddings.weight[0]
        move_positions(source, encoder)
        words = source.embeddings.word_embeddings.weight  # (old vocabulary, hidden)
        encoder.embeddings.word_embeddings.weight.copy_(spelled_vectors(target, donor_tokenizer, words))
        model.lm_head.dense.weight.copy_(torch.eye(donor.config.hidden_size))
        model.lm_head.dense.bias.zero_()
    model.tie_weights()
    return model.eval(), target


def spelled_vectors(target: PreTrainedTokenizerBase, donor: PreTrainedTokenizerBase, words: Tensor) -> Tensor:
    """Return a vector for each token of `target`: (new vocabulary, hidden).

    Special tokens take the vector of the special token that does the same. A token that is no text, such as a
    part of a character, takes the mean of all vectors.
    """
    vectors = words.mean(dim=0).repeat(len(target), 1)  # (new vocabulary, hidden)
    speller = Speller(donor)
    for token_id, text in track(texts_of(target), "tokens"):
        if spellings := speller.spell(text):
            vectors[token_id] = torch.stack([words[ids].mean(dim=0) for ids in spellings]).mean(dim=0)
    for name in SPECIALS:
        new, old = getattr(target, f"{name}_id"), same_special(donor, name)
        if new is not None and old is not None:
            vectors[new] = words[old]
    return vectors


def texts_of(tokenizer: PreTrainedTokenizerBase) -> list[tuple[int, str]]:
    """List the tokens that are text, by id; a leading space is kept, since it says that the token begins a word."""
    decoder = tokenizer.backend_tokenizer.decoder
    tokens = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    special = set(tokenizer.all_special_ids)
    texts = [(i, decoder.decode([token])) for i, token in enumerate(tokens) if i not in special]
    return [(i, text) for i, text in texts if text.strip() and UNKNOWN_CHARACTER not in text]


class Speller:
    """Spells texts in a tokenizer's tokens, as the beginning of a word and as what follows inside one."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self.backend, self.unknown = tokenizer.backend_tokenizer, tokenizer.unk_token_id
        self.vocabulary: dict[str, int] = tokenizer.get_vocab()
        # In byte-level BPE the space before a word is part of the word's first token.
        self.space = " " if type(self.backend.decoder).__name__ == "ByteLevel" else ""

    def spell(self, text: str) -> list[list[int]]:
        """Return one list of ids where `text` begins with a space, else one for each place in a word."""
        encoding = self.backend.encode(f"{self.space}{text.strip()}", add_special_tokens=False)
        begins = [i for i in encoding.ids if i != self.unknown]
        if not begins:
            return []
        first = None if text[0].isspace() else self.inside(encoding.tokens[0])
        return [begins] if first is None else [begins, [first, *begins[1:]]]

    def inside(self, piece: str) -> int | None:
        """Return the id of the form that a word's first piece has inside a word, or None where there is none.

        WordPiece marks pieces inside a word with `##`; byte-level BPE and SentencePiece mark those that begin one.
        """
        bare = piece.lstrip("Ġ▁")
        return self.vocabulary.get(f"##{piece}", self.vocabulary.get(bare) if bare != piece else None)


def same_special(donor: PreTrainedTokenizerBase, name: str) -> int | None:
    """Return the donor's token for a role; BERT begins and ends a text with [CLS] and [SEP]."""
    stand_in = {"bos_token": "cls_token", "eos_token": "sep_token"}.get(name, name)
    found: int | None = getattr(donor, f"{name}_id", None)
    return found if found is not None else getattr(donor, f"{stand_in}_id", None)


def move_positions(source: Any, encoder: Any) -> None:
    """Copy the positions to where RoBERTa counts from, pad_token_id + 1."""
    old, new = source.embeddings.position_embeddings.weight, encoder.embeddings.position_embeddings.weight
    count = len(new) - offset(encoder.config)
    new[offset(encoder.config) :] = old[offset(source.config) : offset(source.config) + count]


def config_of(donor: PreTrainedModel, target: PreTrainedTokenizerBase) -> RobertaConfig:
    taken = {name: getattr(donor.config, name) for name in CONFIG_TAKEN}
    return RobertaConfig(
        vocab_size=len(target),
        max_position_embeddings=positions(donor.config) + target.pad_token_id + 1,
        type_vocab_size=1,
        pad_token_id=target.pad_token_id,
        bos_token_id=target.cls_token_id,
        eos_token_id=target.sep_token_id,
        **taken,
    )


def can_be_transplanted(config: PretrainedConfig) -> bool:
    try:
        return family_of_config(config).can_be_transplanted
    except UnsupportedModelError:
        return False


def offset(config: PretrainedConfig) -> int:
    return family_of_config(config).position_offset(config)


def positions(config: PretrainedConfig) -> int:
    return family_of_config(config).positions(config)


def load_encoder(body: str, tokenizer: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, PreTrainedTokenizerBase]:
    donor = loaded(AutoModel.from_pretrained, body, dtype=torch.float32)
    if not can_be_transplanted(donor.config):
        takes = ", ".join(model_types("can_be_transplanted"))
        raise RecipeError(f"body {body} is a {type(donor).__name__}; transplant takes {takes}")
    target = loaded(load_tokenizer, tokenizer)
    if not target.is_fast or type(target.backend_tokenizer.decoder).__name__ != "ByteLevel":
        raise RecipeError(f"tokenizer {tokenizer} is not a byte-level BPE with a tokenizer.json, as RoBERTa's is")
    if target.mask_token_id is None or target.pad_token_id is None:
        raise RecipeError(f"tokenizer {tokenizer} has no <mask> or no <pad> token")
    target.model_max_length = positions(donor.config)
    donor_tokenizer = loaded(load_tokenizer, body)
    try:
        check_vocabulary(donor_tokenizer, donor)
    except UnsupportedModelError as error:
        raise RecipeError(f"body {body} cannot be used: {error}") from error
    return donor, donor_tokenizer, target


def loaded(load: Callable[..., Any], source: str, **settings: object) -> Any:
    try:
        return load(source, **settings)
    except Exception as error:  # the Hub's client, safetensors and every config have errors of their own
        raise RecipeError(f"{source} cannot be loaded: {reason_of(error)}") from error
