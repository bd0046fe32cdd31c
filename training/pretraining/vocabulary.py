"""A RoBERTa from nothing: a byte-level BPE trained on the user's own text, and random weights."""

from __future__ import annotations

from collections.abc import Sequence

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast, RobertaConfig, RobertaForMaskedLM

from training.config import ArchitectureConfig

MASK = AddedToken("<mask>", lstrip=True, special=True)  # takes the space before it, as RoBERTa's does
FIRST_SPECIALS = ("<s>", "<pad>", "</s>", "<unk>")  # ids 0 to 3, as in RoBERTa; <mask> is the last id


def train_vocabulary(documents: Sequence[str], size: int, positions: int = 512) -> PreTrainedTokenizerFast:
    """Return a byte-level BPE tokenizer of at most `size` tokens, framed as RoBERTa's.

    Fewer tokens come out where the documents hold too few different words. Every text can be spelled with it.
    """
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size - 1,  # the mask comes on top
        min_frequency=2,
        special_tokens=list(FIRST_SPECIALS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    bpe.train_from_iterator(documents, trainer, length=len(documents))
    bpe.add_special_tokens([MASK])
    return as_roberta(bpe, positions)


def as_roberta(bpe: Tokenizer, positions: int) -> PreTrainedTokenizerFast:
    """Frame a byte-level BPE with RoBERTa's special tokens as RoBERTa's is: <s> a </s>, <s> a </s></s> b </s>."""
    bpe.post_processor = processors.RobertaProcessing(
        ("</s>", 2), ("<s>", 0), trim_offsets=True, add_prefix_space=False
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        bos_token="<s>",
        eos_token="</s>",
        cls_token="<s>",
        sep_token="</s>",
        unk_token="<unk>",
        pad_token="<pad>",
        mask_token=MASK,
        model_max_length=positions,
    )


def fresh_model(shape: ArchitectureConfig, tokenizer: PreTrainedTokenizerBase) -> RobertaForMaskedLM:
    """Return a model of a shape with random weights; its word vectors fit the tokenizer."""
    config = RobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=shape.hidden_size,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.attention_heads,
        intermediate_size=shape.intermediate_size,
        max_position_embeddings=shape.positions + tokenizer.pad_token_id + 1,
        type_vocab_size=1,
        layer_norm_eps=1e-5,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.cls_token_id,
        eos_token_id=tokenizer.sep_token_id,
    )
    return RobertaForMaskedLM(config)
