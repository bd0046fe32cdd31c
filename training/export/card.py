"""The model card, in the Hub's format, from what the run measured."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from app.bundle import Manifest
from app.tasks import tasks_of
from training.config import CardConfig
from training.tasks.base import TrainingTask


def model_card(
    card: CardConfig,
    manifest: Manifest,
    task: TrainingTask[Any, Any],
    encoder: str,
    examples: Mapping[str, Any],
    baseline: Mapping[str, float],
) -> str:
    """Return the Markdown card: what it is, how good, made how, of what data, with which limits.

    `encoder` is the model's type, as `bert`, `examples` maps texts to the graph's real answers, `baseline` is the
    fp32 graph's score.
    """
    training = manifest.provenance.get("training") or {}
    answers = "\n".join(f"- `{text}`\n  → {task.summary(answer)}" for text, answer in examples.items())
    sections = [
        f"---\n{front_matter(card, manifest, encoder)}\n---",
        f"# {card.title or manifest.name}",
        card.summary,
        served_by(manifest),
        "## Quality\n\n" + metrics_table(manifest, baseline) if baseline else "",
        "## Examples\n\nReal answers of the graph in this folder.\n\n" + answers if examples else "",
        "## Made from\n\n" + bullets(card.data_attribution or [f"Base: {manifest.provenance['base']}"]),
        f"## License\n\n{card.licence}" if card.licence else "",
        "## Limits\n\n" + bullets(card.limits) if card.limits else "",
        "## How it was trained\n\n```json\n" + json.dumps(training, indent=2) + "\n```" if training else "",
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def served_by(manifest: Manifest) -> str:
    """Return the routes that the bundle answers, that of its own task first."""
    own, *others = (f"`POST /{task.route}`" for task in tasks_of(manifest))
    more = f" It answers {', '.join(others)} too." if others else ""
    return f"Served by {own}, or `POST /models/{manifest.name}`.{more}"


def front_matter(card: CardConfig, manifest: Manifest, encoder: str) -> str:
    """Return what the Hub reads of a card, as YAML: the licence, the task, and the scores of each graph."""
    split = manifest.provenance.get("scored_on")
    results = [
        EvalResult(
            task_type=manifest.task,
            dataset_type="custom",
            dataset_name=f"{manifest.name}, {split} split",
            dataset_split=split,
            metric_type=metric,
            metric_name=f"{metric} ({precision})",
            metric_value=round(value, 4),
        )
        for precision, graph in manifest.graphs.items()
        for metric, value in graph.metrics.items()
    ]
    data = ModelCardData(
        model_name=manifest.name,
        language=card.language or None,
        license=card.licence.lower() or "other",
        library_name="onnx",
        pipeline_tag=manifest.task,
        tags=[encoder, "onnx"],
        eval_results=results or None,
    )
    return data.to_yaml().strip()


def metrics_table(manifest: Manifest, baseline: Mapping[str, float]) -> str:
    """One row for each metric, one column for each graph, fp32 first even where it is not shipped."""
    columns: dict[str, Mapping[str, float]] = {"fp32": baseline}
    columns |= {name: graph.metrics for name, graph in manifest.graphs.items() if graph.metrics}
    split = manifest.provenance.get("scored_on", "test")
    lines = [
        f"Scored on the {split} split with the graphs that are served, long texts by windows.\n",
        "| metric | " + " | ".join(columns) + " |",
        "|---" * (len(columns) + 1) + "|",
    ]
    for metric in baseline:
        lines.append(
            f"| {metric} | " + " | ".join(f"{c.get(metric, float('nan')):.4f}" for c in columns.values()) + " |"
        )
    return "\n".join(lines)


def bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
