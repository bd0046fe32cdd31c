"""How long the texts are in tokens of the base, and how many training cuts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from app.bundle.reading import versions
from training.checking.findings import Finding, Severity, first
from training.checking.reading import reading_of
from training.config import Recipe
from training.data import Part

CUT = 0.05  # share of cut texts from which it is a warning
TOKENIZER = "tokenizer.json"

Measure = Callable[[Sequence[str], Sequence[str] | None], list[int]]  # from texts, and second texts, to their tokens


def token_lengths(parts: Sequence[Part], recipe: Recipe) -> list[Finding]:
    """Describe lengths of each split, special tokens included; a notice where the base cannot be loaded."""
    measure = measure_of(recipe.base)
    if measure is None:
        summary = f"not measured: the tokenizer of base {recipe.base} cannot be loaded"
        return [Finding("note", "length", "all", 0, summary, (), "Name another base with --base.")]
    limit = recipe.training.max_length
    by_windows = recipe.data.windows or reading_of(recipe.task).always_windows
    return [of_part(part, measure, limit, by_windows) for part in parts if part.items]


def measure_of(base: str) -> Measure | None:
    """Return what counts the tokens of texts by a base's tokenizer; None where that cannot be loaded."""
    folder = Path(base)
    if not folder.exists():
        return of_the_hub(base)
    newest = [folder / str(version) for version in versions(folder.parent, folder.name)[:1]]  # of a model of bundles
    file = next((place / TOKENIZER for place in (folder, *newest) if (place / TOKENIZER).is_file()), None)
    return by_transformers(base) if file is None else by_file(file)


def of_the_hub(base: str) -> Measure | None:
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
    from huggingface_hub.errors import (  # type: ignore[attr-defined]  # HTTPError is that of the HTTP library
        HTTPError,
        LocalEntryNotFoundError,
        RemoteEntryNotFoundError,
    )

    try:
        try:
            return by_file(Path(hf_hub_download(base, TOKENIZER, local_files_only=True)))
        except LocalEntryNotFoundError:
            get_hf_file_metadata(hf_hub_url(base, TOKENIZER))  # once: a download tries for half a minute
            return by_file(Path(hf_hub_download(base, TOKENIZER)))
    except RemoteEntryNotFoundError:
        return by_transformers(base)
    except (OSError, ValueError, HTTPError):  # it cannot be reached, or that is no name
        return None


def by_file(file: Path) -> Measure | None:
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception:  # which is all that tokenizers raises
        return None
    tokenizer.no_truncation()
    tokenizer.no_padding()

    def measure(texts: Sequence[str], pairs: Sequence[str] | None) -> list[int]:
        inputs = list(texts) if pairs is None else list(zip(texts, pairs, strict=True))
        return [len(encoded) for encoded in tokenizer.encode_batch_fast(inputs)]

    return measure


def by_transformers(base: str) -> Measure | None:
    """Return it for a base without tokenizer.json, whose tokenizer transformers makes of other files."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(base)
    except (OSError, ValueError):
        return None

    def measure(texts: Sequence[str], pairs: Sequence[str] | None) -> list[int]:
        encoded = tokenizer(texts, pairs, verbose=False, return_attention_mask=False)
        return [len(ids) for ids in encoded["input_ids"]]

    return measure


def of_part(part: Part, measure: Measure, limit: int, by_windows: bool) -> Finding:
    placed = [(item.where, text) for item in part.items for text in (item.text, *item.others)]
    texts = [text for _, text in placed]
    pairs = [item.text_pair or "" for item in part.items] if part.items[0].text_pair is not None else None
    lengths = np.array(measure(texts, pairs))  # (N,)
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
