"""What a graph scores on the test split, and its entry in the manifest."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from app.bundle import Graph, Precision
from training.evaluation.record import Evaluation, Trial
from training.evaluation.scoring import Scoring
from training.export.draft import LEAST_TOLERANCE, Candidate, Draft
from training.export.publication import Publication
from training.trained import TrainedCheckpoint

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Scored:
    """A graph with its place in the manifest, and its evaluation where there are examples and a CPU runs it."""

    graph: Graph
    evaluation: Evaluation | None = None


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
