"""From a checkpoint to a bundle: every precision exported, verified, calibrated and scored, or nothing at all.

A chain of values: checkpoint -> draft -> graphs -> candidates -> verified -> scored -> manifest. Each graph is opened
once and predicts each split once; what it predicted is handed on.
"""

from __future__ import annotations

import itertools
import logging
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto
from pydantic import Field
from transformers import PreTrainedModel

from app.bundle import Graph, Manifest, Precision, Probe, new_version, sha256, write_manifest
from app.bundle.manifest import BundleName
from app.runtime.packing import PackedLayout
from training.config import CardConfig, EvaluationConfig, ExportConfig
from training.config.sections import Section
from training.encoders import family_of
from training.evaluation.bootstrap import PairedDrop, Scorer, paired_drop
from training.evaluation.metrics import greater_is_better
from training.evaluation.record import Evaluation, Trial
from training.evaluation.scoring import Scoring
from training.evaluation.served import batches_of
from training.export.card import model_card
from training.export.draft import LEAST_TOLERANCE, Candidate, Draft, describe, load_model
from training.export.gate import gate_int8
from training.export.graph import export_fp16, export_fp32
from training.export.quantize import quantize_int8
from training.export.verify import PROBE_MARGIN, answers_of, check_drift, length_mixes, make_reference, measure_drift
from training.progress import Phases
from training.provenance import commit_of_this_code, versions, without_folders
from training.trained import GENERIC_TEXTS, TrainedCheckpoint

PROBES = 8
PROBE_CHARACTERS = 300
VERIFIED_TEXTS = 200  # whose tokens the windows of verification are cut from

log = logging.getLogger(__name__)


class Publication(Section):
    """What is to be published, and how."""

    name: BundleName = Field(description="Folder of the bundle in models/.")
    export: ExportConfig = Field(default_factory=ExportConfig, description="Which graphs are made.")
    card: CardConfig = Field(default_factory=CardConfig, description="Text of the model card.")
    evaluation: EvaluationConfig = Field(default_factory=EvaluationConfig, description="What scores are made of.")
    seed: int = Field(42, ge=0, description="Seed of probes, of calibration and of resamples.")


@dataclass(frozen=True)
class Published:
    """A bundle that exists, and the evaluation of each graph that a CPU runs: those that are shipped, then fp32."""

    folder: Path
    manifest: Manifest
    evaluations: Sequence[Evaluation]


@dataclass(frozen=True)
class Scored:
    """A graph with its place in the manifest, and its evaluation where there are examples and a CPU runs it."""

    graph: Graph
    evaluation: Evaluation | None = None


def publish(
    publication: Publication, checkpoint: TrainedCheckpoint, models: Path, phases: Phases | None = None
) -> Published:
    """Export, verify and score a checkpoint, and publish it as the next version of its name in `models`.

    Raises `VerificationError` when a graph is not the checkpoint, or loses more of the task's metric on the
    validation split than the publication allows; `UnsupportedModelError` for a checkpoint that is no encoder of ours.
    Nothing is published then.
    """
    phases = phases or Phases()
    loaded = load_model(checkpoint.source)
    publication = possible(publication, loaded[0])
    with new_version(models, publication.name) as (folder, version):
        draft = describe(publication.name, version, checkpoint, loaded, publication.export, folder)
        manifest, evaluations = fill(draft, publication, phases)
        write_manifest(folder, manifest)
    log.info("published %s:%d", publication.name, version)
    return Published(models / publication.name / str(version), manifest, evaluations)


def possible(publication: Publication, model: PreTrainedModel) -> Publication:
    """Ask for those graphs only that the model's family of encoders has."""
    offered = family_of(model).offered(publication.export.precisions)
    return publication.model_copy(update={"export": publication.export.model_copy(update={"precisions": offered})})


def fill(draft: Draft, publication: Publication, phases: Phases) -> tuple[Manifest, list[Evaluation]]:
    """Make the graphs of a draft, prove each, and say what the bundle is."""
    candidates, quantization = make_candidates(draft, publication, phases)
    with phases("verify"):
        probes = make_probes(draft, candidates["fp32"], publication)
        tolerances = verify(draft, candidates.values(), probes)
    with phases("score"):
        scored = {p: score(draft, candidate, publication, tolerances[p]) for p, candidate in candidates.items()}
    if "fp16" in draft.manifest.graphs:
        log.warning("fp16 needs CUDA to be verified: the service will hold it to its probes at load")
        scored["fp16"] = Scored(graph_of(draft, "fp16", candidates["fp32"].scoring))
    if quantization is not None:
        scored["int8"] = with_quantization(scored["int8"], quantization)
    manifest = draft.manifest.model_copy(
        update={
            "graphs": {p: scored[p].graph for p in publication.export.precisions},
            "probes": probes,
            "provenance": provenance(draft.checkpoint, publication),
        }
    )
    write_card(draft, candidates, publication, manifest, scored["fp32"].graph.metrics)
    for precision in set(draft.manifest.graphs) - set(manifest.graphs):
        (draft.folder / draft.manifest.graphs[precision].file).unlink()
    shown = sorted(scored, key=lambda p: (p not in manifest.graphs, p == "fp32"))
    return manifest, [evaluation for p in shown if (evaluation := scored[p].evaluation) is not None]


# --- Graphs ---------------------------------------------------------------------------------------------


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
    log.info("int8 loses %.2f points of validation %s", decision.drop_after, metric)
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


# --- Proof ----------------------------------------------------------------------------------------------


def make_probes(draft: Draft, fp32: Candidate, publication: Publication) -> list[Probe]:
    """Record what the checkpoint, not a graph, answers to the card's examples and to short texts of the data."""
    task, generator = draft.task, random.Random(publication.seed)
    short = [text[:PROBE_CHARACTERS].strip() for text in [*draft.checkpoint.texts, *GENERIC_TEXTS]]
    made = (task.probe_text(text, generator) for text in short if text)
    examples = itertools.chain(publication.card.examples, (text for text in made if text))
    texts = list(itertools.islice(unique(examples), PROBES))
    windows = [fp32.served.task.probe(text) for text in texts]
    probes = []
    for text, outputs in zip(texts, answers_of(draft.model, windows, task.outputs_of), strict=True):
        columns = task.probe_columns(outputs)
        kept = outputs if columns is None else outputs[:, columns]  # (rows, columns)
        probes.append(Probe(text=text, columns=columns, logits=np.round(kept, 5).tolist()))
    return probes


def unique(texts: Iterable[str]) -> Iterator[str]:
    """Yield each text once."""
    seen: set[str] = set()
    for text in texts:
        if text not in seen:
            seen.add(text)
            yield text


def verify(draft: Draft, candidates: Iterable[Candidate], probes: Sequence[Probe]) -> dict[Precision, float]:
    """Hold each graph against the checkpoint, and return how far the service may see its probes drift.

    Raises `VerificationError` when a graph is not the checkpoint.
    """
    encoder, task = draft.encoder, draft.task
    tokens = [token for text in encoder.encode(list(draft.checkpoint.texts[:VERIFIED_TEXTS])) for token in text.ids]
    mixes = length_mixes(tokens, encoder, task.rows_to_verify)
    reference = make_reference(draft.model, mixes, task.outputs_of)
    tolerances = {}
    for candidate in candidates:
        precision, served = candidate.precision, candidate.served
        drift = measure_drift(served.session, reference)
        check_drift(drift, precision)
        log.info("%s: outputs off by %.2g at most, %.2g on average", precision, drift.greatest, drift.mean)
        probed = max(probe.drift(served.session.run([served.task.probe(probe.text)])[0]) for probe in probes)
        tolerances[precision] = max(LEAST_TOLERANCE[precision], PROBE_MARGIN * probed)
    return tolerances


# --- Scores ---------------------------------------------------------------------------------------------


def score(draft: Draft, candidate: Candidate, publication: Publication, tolerance: float) -> Scored:
    """Score one graph on the test split, or on validation where there is no test."""
    task, labeling, scoring = draft.task, draft.labeling, candidate.scoring
    split = scored_split(draft.checkpoint)
    if split is None:
        return Scored(graph_of(draft, candidate.precision, scoring, tolerance))
    examples: Sequence[Any] = getattr(draft.checkpoint, split)
    predictions = candidate.validation if split == "validation" else task.predict_graph(candidate.served, examples)
    metric = task.main_metric(labeling)
    metrics = task.score(examples, predictions, labeling, scoring)
    for suffix, rendered in task.renderings(examples).items():
        again = task.predict_graph(candidate.served, rendered)
        metrics[f"{metric}_{suffix}"] = task.score(rendered, again, labeling, scoring)[metric]
    log.info("%s: %s", candidate.precision, {name: round(value, 4) for name, value in metrics.items()})
    is_shipped = candidate.precision in publication.export.precisions
    variant = candidate.precision if is_shipped else f"checkpoint {candidate.precision}"
    trial = Trial(task.name, metric, variant, split, publication.evaluation, publication.seed)
    evaluation = task.evaluate(examples, predictions, labeling, scoring, trial)
    return Scored(graph_of(draft, candidate.precision, scoring, tolerance, metrics), evaluation)


def scored_split(checkpoint: TrainedCheckpoint) -> str | None:
    return "test" if checkpoint.test else "validation" if checkpoint.validation else None


def graph_of(
    draft: Draft,
    precision: Precision,
    scoring: Scoring,
    tolerance: float | None = None,
    metrics: Mapping[str, float] | None = None,
) -> Graph:
    """Return a graph's entry in the manifest. fp16, which no CPU runs, takes over what was fitted for fp32."""
    return Graph(
        file=draft.manifest.graphs[precision].file,
        tolerance=tolerance or LEAST_TOLERANCE[precision],
        temperature=scoring.temperature,
        thresholds=scoring.thresholds,
        metrics=dict(metrics or {}),
    )


def with_quantization(scored: Scored, decision: Mapping[str, Any]) -> Scored:
    return replace(scored, graph=scored.graph.model_copy(update={"quantisation": dict(decision)}))


# --- What is written beside the graphs ------------------------------------------------------------------


def provenance(checkpoint: TrainedCheckpoint, publication: Publication) -> dict[str, Any]:
    """Say where the bundle comes from."""
    weights = Path(checkpoint.source) / "model.safetensors"
    return {
        "base": without_folders(checkpoint.base),
        "data": list(publication.card.data_attribution),
        "licence": publication.card.licence,
        "scored_on": scored_split(checkpoint),
        "training": without_folders(checkpoint.training),
        "training_seconds": checkpoint.training_seconds,
        "export": publication.export.model_dump(mode="json"),
        "data_sha256": checkpoint.data_sha256,
        "checkpoint_sha256": sha256(weights) if weights.is_file() else None,
        "versions": versions(),
        "commit": commit_of_this_code(),
    }


def write_card(
    draft: Draft,
    candidates: Mapping[Precision, Candidate],
    publication: Publication,
    manifest: Manifest,
    baseline: Mapping[str, float],
) -> None:
    """Answer the card's examples with the first graph that is shipped and that a CPU can run, and write README.md."""
    served = candidates[next((p for p in publication.export.precisions if p in candidates), "fp32")].served
    examples = {text: served.answer({"inputs": text}) for text in publication.card.examples}
    card = model_card(publication.card, manifest, draft.task, examples, baseline)
    (draft.folder / "README.md").write_text(card, encoding="utf-8")
