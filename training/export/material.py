"""The texts that an export needs: calibration windows for int8, and probes for the service to check at load."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
from transformers import PreTrainedModel

from app.bundle import Manifest, Probe, TaskName
from app.tasks.fill_mask import FillMask
from app.tasks.text import TextEncoder
from app.window import Window
from training.evaluation.served import ServedGraph
from training.export.verify import Read, answers_of

PROBES = 8
PROBE_CHARACTERS = 300
PROBE_COLUMNS = 16  # of a vocabulary's logits, only the greatest are stored
MASKED_SHARE = 0.15

# For a checkpoint exported without any text of its own.
GENERIC_TEXTS = (
    "The quick brown fox jumps over the lazy dog near the old stone bridge.",
    "Angela Merkel met Tim Cook at Apple's office in Berlin on Tuesday.",
    "I really enjoyed this film, although the ending was a little too long.",
    "Please send the signed contract to our office in Paris by next Friday.",
    "The central bank raised interest rates for the third time this year.",
    "It rained all day, so we stayed at home, cooked soup and played cards.",
    "Our server was down for two hours because a disk had silently failed.",
    "Nobody answered the phone; the shop had closed many months before.",
)


def calibration_windows(texts: Sequence[str], encoder: TextEncoder, mask_id: int | None, seed: int) -> list[Window]:
    """Return the first window of each text; with a `mask_id`, some of its tokens are masked, as when serving."""
    generator = np.random.default_rng(seed)
    windows = []
    for text in encoder.encode(texts, truncate=True):
        window = encoder.window(text.ids, text.pieces[0], np.zeros(1, np.int64))
        if mask_id is not None:
            content = np.arange(len(encoder.special.prefix), len(window) - len(encoder.special.suffix))
            rows = np.sort(generator.choice(content, max(1, round(MASKED_SHARE * len(content))), replace=False))
            ids = window.input_ids.copy()
            ids[rows] = mask_id
            window = Window(ids, rows)
        windows.append(window)
    return windows


def probe_texts(manifest: Manifest, examples: Sequence[str], texts: Sequence[str], seed: int) -> list[str]:
    """Choose texts to probe with: the card's examples, then short ones of the data; fill-mask's get a mask."""
    masked = manifest.task == "fill-mask"
    generator = random.Random(seed)
    others = [text[:PROBE_CHARACTERS].strip() for text in [*texts, *GENERIC_TEXTS]]
    if masked:
        others = [mask_a_word(text, generator) for text in others if len(text.split()) > 2]
    return list(dict.fromkeys(text for text in [*examples, *others] if text))[:PROBES]


def mask_a_word(text: str, generator: random.Random) -> str:
    words = text.split()
    words[generator.randrange(1, len(words))] = "[MASK]"
    return " ".join(words)


def reader_of(task: TaskName) -> Read:
    """Return what takes of a checkpoint's logits those that the task reads."""
    if task == "text-classification":
        return lambda output, windows: list(output.logits.numpy()[:, None])
    return lambda output, windows: [
        logits[window.head_rows] for logits, window in zip(output.logits.numpy(), windows, strict=True)
    ]


def make_probes(graph: ServedGraph, model: PreTrainedModel, texts: Sequence[str]) -> list[Probe]:
    """Record what the checkpoint, not the graph, answers to `texts`."""
    probes = []
    answers = answers_of(model, [graph.task.probe(text) for text in texts], reader_of(graph.task.name))
    for text, logits in zip(texts, answers, strict=True):  # (rows, width)
        columns = None
        if isinstance(graph.task, FillMask):
            columns = sorted({int(c) for row in logits for c in np.argsort(-row)[:PROBE_COLUMNS]})
            logits = logits[:, columns]
        probes.append(Probe(text=text, columns=columns, logits=np.round(logits, 5).tolist()))
    return probes
