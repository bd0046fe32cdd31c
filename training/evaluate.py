"""Scores predictions, whatever made them: a checkpoint and each exported graph of it share this code.

``evaluate_*`` take a function that predicts; ``torch_*`` make such functions from a checkpoint.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from seqeval.metrics import classification_report, f1_score
from seqeval.scheme import IOB2
from sklearn.metrics import accuracy_score
from sklearn.metrics import f1_score as label_f1_score
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from training.config import Task
from training.data import ClassificationExample, ModelInput, NerExample, legal_iob2

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]
Offsets = NDArray[np.int64]  # (n, 2): start and end of each token in its text, code points, end exclusive

Classify = Callable[[Sequence[ModelInput]], list[FloatArray]]  # per text: logits (labels,)
TagTokens = Callable[[Sequence[str]], list[tuple[Offsets, FloatArray]]]  # per text: (n, 2), logits (n, labels)
FillMasks = Callable[[Sequence[list[int]]], list[FloatArray]]  # per window: logits (masks, vocabulary)

MAIN_METRIC: dict[Task, str] = {
    "text-classification": "accuracy",
    "token-classification": "f1",
    "fill-mask": "masked_accuracy",
}


def evaluate_classification(
    examples: Sequence[ClassificationExample], labels: Sequence[str], predict: Classify
) -> dict[str, float]:
    """Return ``accuracy`` and ``macro_f1`` in 0..1; ``labels`` names the logits in order.

    Of multi-label examples a label is predicted where its logit is above 0 (probability above 0.5), and
    ``accuracy`` is the share of texts with every label right.
    """
    logits = np.stack(predict([example.model_input for example in examples]))  # (N, C)
    truth = label_matrix(examples, labels)  # (N, C)
    multi_label = examples[0].multi_label
    guess = (logits > 0) if multi_label else np.eye(len(labels))[logits.argmax(axis=1)]  # (N, C)
    return {
        "accuracy": float(accuracy_score(truth, guess)),
        "macro_f1": float(label_f1_score(truth, guess, average="macro", zero_division=0)),
    }


def label_matrix(examples: Sequence[ClassificationExample], labels: Sequence[str]) -> IntArray:
    """Return (N, C): 1 where an example has a label; raises ``KeyError`` when ``labels`` lacks one."""
    column = {label: index for index, label in enumerate(labels)}
    matrix = np.zeros((len(examples), len(labels)), dtype=np.int64)
    for row, example in enumerate(examples):
        matrix[row, [column[label] for label in example.labels]] = 1
    return matrix


def evaluate_ner(examples: Sequence[NerExample], labels: Sequence[str], predict: TagTokens) -> dict[str, float]:
    """Return entity scores in 0..1, by seqeval over words.

    ``f1``, ``precision``, ``recall`` and ``f1_<TYPE>`` are of its strict IOB2 mode, ``lenient_f1`` of its
    default mode, which is conlleval's. A word takes the tag of the first token that overlaps it, O where none
    does (a text cut short); a tag that continues nothing is then read as B-.
    """
    truth = [list(example.tags) for example in examples]
    answers = predict([example.text for example in examples])
    guess = [
        word_tags(example.word_offsets, offsets, [labels[index] for index in logits.argmax(axis=1)])
        for example, (offsets, logits) in zip(examples, answers, strict=True)
    ]
    report = classification_report(truth, guess, mode="strict", scheme=IOB2, output_dict=True, zero_division=0)
    overall = report["micro avg"]
    scores = {
        "f1": overall["f1-score"],
        "precision": overall["precision"],
        "recall": overall["recall"],
        "lenient_f1": f1_score(truth, guess, zero_division=0),
    }
    types = (name for name in report if not name.endswith(" avg"))
    scores |= {f"f1_{name}": report[name]["f1-score"] for name in types}
    return {name: float(score) for name, score in scores.items()}


def word_tags(word_offsets: Sequence[tuple[int, int]], token_offsets: Offsets, token_tags: Sequence[str]) -> list[str]:
    """Return an IOB2 tag per word from the tags of tokens; both kinds of offsets ascend in the same text."""
    tags = []
    token = 0
    for start, end in word_offsets:
        while token < len(token_offsets) and token_offsets[token, 1] <= start:
            token += 1
        overlaps = token < len(token_offsets) and token_offsets[token, 0] < end
        tags.append(token_tags[token] if overlaps else "O")
    return list(legal_iob2(tags))


def evaluate_fill_mask(
    documents: Sequence[str],
    tokenizer: PreTrainedTokenizerBase,
    predict: FillMasks,
    *,
    window: int = 128,
    share: float = 0.15,
    seed: int = 0,
    batch_size: int = 16,
) -> dict[str, float]:
    """Score the model's guesses at masked tokens of ``documents``.

    Returns ``masked_accuracy``, the share of masked tokens whose best guess is right, 0..1, and
    ``masked_loss``, their mean cross-entropy in nats.

    Each document is tokenised without special tokens and cut into consecutive pieces of ``window`` - 2
    tokens, the last piece of a document as short as it falls; <s> and </s> make a piece a window. Of the n
    tokens of each piece, round(``share`` * n) but at least one are chosen by one generator, seeded once, and
    all of these become <mask>: no 80/10/10, since a served text holds masks and nothing else that is made up.
    """
    rng = random.Random(seed)
    windows = [piece for document in documents for piece in _pieces(document, tokenizer, window)]
    hits, loss, count = 0, 0.0, 0
    for start in range(0, len(windows), batch_size):
        masked = [_mask(ids, tokenizer.mask_token_id, share, rng) for ids in windows[start : start + batch_size]]
        logits = np.concatenate(predict([ids for ids, _ in masked]))  # (M, vocabulary)
        targets = np.concatenate([targets for _, targets in masked])  # (M,)
        hits += int((logits.argmax(axis=1) == targets).sum())
        tensors = torch.from_numpy(logits), torch.from_numpy(targets)
        loss += float(torch.nn.functional.cross_entropy(*tensors, reduction="sum"))
        count += len(targets)
    return {"masked_accuracy": hits / count, "masked_loss": loss / count}


def _pieces(document: str, tokenizer: PreTrainedTokenizerBase, window: int) -> Iterator[list[int]]:
    ids = tokenizer(document, add_special_tokens=False, verbose=False)["input_ids"]
    bounds = range(0, len(ids) + window - 2, window - 2)
    for start, end in pairwise(bounds):
        yield [tokenizer.cls_token_id, *ids[start:end], tokenizer.sep_token_id]


def _mask(ids: Sequence[int], mask_id: int, share: float, rng: random.Random) -> tuple[list[int], IntArray]:
    """Return the window with masks in it and the ids that they hide, in order."""
    positions = sorted(rng.sample(range(1, len(ids) - 1), max(1, round(share * (len(ids) - 2)))))
    masked = list(ids)
    for position in positions:
        masked[position] = mask_id
    return masked, np.array([ids[position] for position in positions], dtype=np.int64)


def torch_classifier(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, max_length: int, batch_size: int = 32
) -> Classify:
    """Return a function that classifies texts with a checkpoint; a text is cut at ``max_length`` tokens."""

    def predict(inputs: Sequence[ModelInput]) -> list[FloatArray]:
        encoded = [tokenizer(*_as_pair(each), truncation=True, max_length=max_length) for each in inputs]
        return _forward(model, tokenizer, [dict(each) for each in encoded], batch_size)

    return predict


def torch_tagger(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, max_length: int, batch_size: int = 32
) -> TagTokens:
    """Return a function that tags the tokens of raw texts; a text is cut at ``max_length`` tokens.

    Special tokens are left out of its answers; a token's offsets are the tokenizer's.
    """

    def predict(texts: Sequence[str]) -> list[tuple[Offsets, FloatArray]]:
        extra = {"return_offsets_mapping": True, "return_special_tokens_mask": True}
        encoded = [dict(tokenizer(text, truncation=True, max_length=max_length, **extra)) for text in texts]
        offsets = [np.array(each.pop("offset_mapping"), dtype=np.int64) for each in encoded]  # (S, 2)
        own = [np.array(each.pop("special_tokens_mask")) == 0 for each in encoded]  # (S,)
        logits = _forward(model, tokenizer, encoded, batch_size)  # (S, labels) each
        return [(o[keep], scores[keep]) for o, scores, keep in zip(offsets, logits, own, strict=True)]

    return predict


def torch_mask_filler(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> FillMasks:
    """Return a function that scores the vocabulary at each <mask> of each window of token ids."""

    def predict(windows: Sequence[list[int]]) -> list[FloatArray]:
        encoded = [{"input_ids": ids, "attention_mask": [1] * len(ids)} for ids in windows]
        logits = _forward(model, tokenizer, encoded, len(windows))  # (S, vocabulary) each
        masks = [np.array(ids) == tokenizer.mask_token_id for ids in windows]
        return [scores[mask] for scores, mask in zip(logits, masks, strict=True)]

    return predict


def _as_pair(model_input: ModelInput) -> tuple[str, ...]:
    return (model_input,) if isinstance(model_input, str) else model_input


@torch.inference_mode()
def _forward(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    encoded: Sequence[dict[str, list[int]]],
    batch_size: int,
) -> list[FloatArray]:
    """Run the model on batches of similar length; return logits per input, in order, without padding."""
    training = model.training
    model.eval()
    lengths = [len(each["input_ids"]) for each in encoded]
    order = sorted(range(len(encoded)), key=lengths.__getitem__)
    outputs: dict[int, FloatArray] = {}
    for start in range(0, len(order), batch_size):
        batch = order[start : start + batch_size]
        padded = tokenizer.pad([encoded[index] for index in batch], return_tensors="pt").to(model.device)
        logits = model(**padded).logits.float().cpu().numpy()  # (B, labels) or (B, S, labels)
        for index, scores in zip(batch, logits, strict=True):
            outputs[index] = scores[: lengths[index]] if scores.ndim > 1 else scores
    model.train(training)
    return [outputs[index] for index in range(len(encoded))]
