"""How long the texts are in tokens of the base, and how many training cuts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from training.checking.findings import Finding, Severity, first
from training.config import Recipe
from training.data import Part
from training.tasks import training_task

CUT = 0.05  # share of cut texts from which it is a warning


def token_lengths(parts: Sequence[Part], recipe: Recipe) -> list[Finding]:
    """Describe lengths of each split, special tokens included; a notice where the base cannot be loaded."""
    from transformers import AutoTokenizer

    from training.export.restore import bundle_folder

    try:
        tokenizer = AutoTokenizer.from_pretrained(bundle_folder(recipe.base) or recipe.base)
    except (OSError, ValueError):
        summary = f"not measured: the tokenizer of base {recipe.base} cannot be loaded"
        return [Finding("note", "length", "all", 0, summary, (), "Name another base with --base.")]
    limit = recipe.training.max_length
    by_windows = recipe.data.windows or training_task(recipe.task).always_windows
    return [of_part(part, tokenizer, limit, by_windows) for part in parts if part.items]


def of_part(part: Part, tokenizer: object, limit: int, by_windows: bool) -> Finding:
    placed = [(item.where, text) for item in part.items for text in (item.text, *item.others)]
    texts = [text for _, text in placed]
    pairs = [item.text_pair or "" for item in part.items] if part.items[0].text_pair is not None else None
    encoded = tokenizer(texts, pairs, verbose=False, return_attention_mask=False)  # type: ignore[operator]
    lengths = np.array([len(ids) for ids in encoded["input_ids"]])  # (N,)
    half, most = np.percentile(lengths, [50, 95]).astype(int)
    cut = np.flatnonzero(lengths > limit)
    share = len(cut) / len(lengths)
    places = first([f"{placed[i][0]}  {lengths[i]} tokens" for i in cut])
    summary = f"tokens: median {half}, 95 % under {most}, longest {lengths.max()}; {share:.1%} over {limit}"
    remedy = "They are cut: set data.windows to train on all of them, or raise training.max_length." if len(cut) else ""
    if by_windows and len(cut):
        remedy = f"{len(cut):,} of {len(lengths):,} texts are read in windows of {limit} tokens."
    severity: Severity = "warning" if share > CUT and not by_windows else "note"
    return Finding(severity, "length", part.split, len(cut), summary, places, remedy)
