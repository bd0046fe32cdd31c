"""The graphs that may be published: every precision, int8 as far as the gate on the validation split allows it."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import ModelProto

from app.bundle import Precision
from app.runtime.packing import PackedLayout
from training.evaluation.bootstrap import PairedDrop, Scorer, paired_drop
from training.evaluation.metrics import greater_is_better
from training.evaluation.served import batches_of
from training.export.draft import Candidate, Draft
from training.export.gate import gate_int8
from training.export.graph import export_fp16, export_fp32
from training.export.publication import Publication
from training.export.quantize import quantize_int8
from training.progress import Phases


def make_candidates(
    draft: Draft, publication: Publication, phases: Phases
) -> tuple[dict[Precision, Candidate], dict[str, Any] | None]:
    """Export every precision, and open those that a CPU runs; also return what the gate of int8 decided."""
    with phases("export"):
        head = draft.task.head(draft.family, draft.model)
        fp32 = export_fp32(draft.model, *head)
        draft.save(fp32, "fp32")
        if "fp16" in draft.manifest.graphs:
            draft.save(export_fp16(draft.model, *head), "fp16")
        candidates: dict[Precision, Candidate] = {"fp32": draft.open("fp32")}
    decision = None
    if "int8" in draft.manifest.graphs:
        with phases("calibrate"):
            candidates["int8"], decision = make_int8(draft, fp32, candidates["fp32"], publication)
    return candidates, decision


def make_int8(
    draft: Draft, fp32: ModelProto, baseline: Candidate, publication: Publication
) -> tuple[Candidate, dict[str, Any] | None]:
    """Quantize as many operators as the bound on the validation metric allows; also return what was decided."""
    feeds = calibration_feeds(draft, fp32, publication)
    if baseline.validation is None:
        draft.save(quantize_int8(fp32, feeds), "int8")
        return draft.open("int8"), None
    tried: list[Candidate] = []

    def compare(graph: ModelProto) -> PairedDrop:
        draft.save(graph, "int8")
        tried[:] = [draft.open("int8")]
        return drop_between(draft, baseline, tried[0])

    _, decision = gate_int8(fp32, feeds, compare, publication.export.max_metric_drop)
    metric = draft.task.main_metric(draft.labeling)
    return tried[0], {"metric": metric, "split": "validation", **decision.as_json()}


def drop_between(draft: Draft, before: Candidate, after: Candidate) -> PairedDrop:
    """Return what the second graph loses of the validation metric against the first."""
    task, examples, labeling = draft.task, draft.checkpoint.validation, draft.labeling
    metric = task.main_metric(labeling)

    def scorer(candidate: Candidate) -> Scorer:
        return task.scorer(examples, candidate.validation, labeling, candidate.scoring)

    count = task.count(examples, before.validation)
    return paired_drop(scorer(before), scorer(after), metric, count, greater_is_better=greater_is_better(metric))


def calibration_feeds(draft: Draft, graph: ModelProto, publication: Publication) -> list[dict[str, Any]]:
    """Return the batches on which int8's activation ranges are measured: the first window of some training texts."""
    encoder, generator = draft.encoder, np.random.default_rng(publication.seed)
    texts = list(draft.checkpoint.texts[: publication.export.calibration_texts])
    windows = [draft.task.calibration_window(text, encoder, generator) for text in encoder.encode(texts, truncate=True)]
    manifest, names = draft.manifest, [value.name for value in graph.graph.input]
    layout = PackedLayout(names, manifest.position_offset, manifest.local_attention)
    lengths = [len(window) for window in windows]
    order = sorted(range(len(windows)), key=lengths.__getitem__)
    return [layout.feed([windows[i] for i in batch]) for batch in batches_of(order, lengths)]
