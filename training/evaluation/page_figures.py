"""The drawings of the report's page, each with a heading."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from training.evaluation.figures import heat_map, line_figure, scatter_figure
from training.evaluation.metrics import metric_name
from training.evaluation.record import Curve, Evaluation

TABLE_OF_AT_MOST = 12  # labels whose confusion is a table; of more it is a heat map


def learning_curves(history: Mapping[str, Any], main: str) -> list[tuple[str, Markup]]:
    """Return drawings of the loss by step and of the validation metric by epoch, from the Trainer's log."""
    log: Sequence[Mapping[str, float]] = history.get("log", ())
    wanted = (("loss", "step", "Training loss"), (f"eval_{main}", "epoch", f"Validation {metric_name(main)[0]}"))
    drawings = []
    for key, axis, name in wanted:
        points = np.array([(each[axis], each[key]) for each in log if key in each and axis in each], dtype=np.float64)
        if len(points):
            curve = Curve(points[:, 0], points[:, 1])
            drawings.append((f"{name} by {axis}", Markup(line_figure({name: curve}, axis, name, markers=True))))
    return drawings


def curve_figures(evaluation: Evaluation) -> list[tuple[str, str, Markup]]:
    """Return (heading, what it shows, drawing) of each curve that the evaluation has."""
    curves, drawings = evaluation.curves, []
    if "roc" in curves:
        about = f"Of the label {evaluation.labels[1]}: how many are found, by how many others are taken for it."
        roc = line_figure({"roc": curves["roc"]}, "false positive rate", "true positive rate", diagonal=True, unit=True)
        drawings.append(("ROC curve", about, Markup(roc)))
        about = f"Of the label {evaluation.labels[1]}: how many are rightly called so, by how many are found."
        both = line_figure({"pr": curves["precision_recall"]}, "recall", "precision", unit=True)
        drawings.append(("Precision and recall", about, Markup(both)))
    if "reliability" in curves:
        keys = {"reliability_before_temperature": "before temperature", "reliability": "as served"}
        series = {name: curves[key] for key, name in keys.items() if key in curves}
        about = (
            "How often a score is right, each point of as many scores; on the dashed line a score means what it says."
        )
        drawing = line_figure(series, "score", "share that is right", diagonal=True, unit=True, markers=True)
        drawings.append(("Calibration", about, Markup(drawing)))
    if "regression" in curves:
        drawing = scatter_figure(curves["regression"], "truth", "prediction")
        drawings.append(("Predictions", "On the dashed line a prediction is right.", Markup(drawing)))
    if "cosines" in curves:
        drawing = scatter_figure(curves["cosines"], "score", "cosine", diagonal=False)
        drawings.append(("Similarities", "Cosines are to grow with the scores.", Markup(drawing)))
    return drawings


def heat_map_of(evaluation: Evaluation) -> Markup | None:
    """Return the drawing of a confusion that is too wide for a table."""
    if evaluation.confusion is None or len(evaluation.labels) <= TABLE_OF_AT_MOST:
        return None
    return Markup(heat_map(evaluation.confusion))
