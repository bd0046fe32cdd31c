"""What publishing returns beside the bundle: the evaluations that the report of a run shows."""

from __future__ import annotations

import pytest

from tests.support.students import LABELS, TEXTS
from training.config import EvaluationConfig, ExportConfig
from training.data import ClassificationExample
from training.export.publication import Publication
from training.export.publish import publish
from training.trained import TrainedCheckpoint


@pytest.mark.parametrize(
    ("precisions", "variants"),
    [(("fp32", "int8"), ["fp32", "int8"]), (("int8",), ["int8", "checkpoint fp32"])],
    ids=str,
)
def test_a_report_begins_with_the_graph_that_the_recipe_names_first(precisions, variants, tiny_checkpoints, tmp_path):
    examples = [ClassificationExample(text, (LABELS[index % 3],)) for index, text in enumerate(TEXTS)]
    export = ExportConfig(precisions=precisions, max_length=64, max_metric_drop=100)
    publication = Publication(name="tiny", export=export, evaluation=EvaluationConfig(bootstrap_samples=0))
    checkpoint = TrainedCheckpoint(str(tiny_checkpoints["classify"]), "tiny-random", TEXTS, validation=examples)
    published = publish(publication, checkpoint, tmp_path)
    assert list(published.manifest.graphs) == list(precisions)
    assert [evaluation.variant for evaluation in published.evaluations] == variants
