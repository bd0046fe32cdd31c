"""Scores of predictions, whatever made them: a checkpoint and each exported graph of it share this code."""

from training.evaluation.classification import evaluate_classification, label_matrix
from training.evaluation.evaluate import evaluate
from training.evaluation.fill_mask import evaluate_fill_mask
from training.evaluation.metrics import greater_is_better, main_metric
from training.evaluation.ner import evaluate_ner, word_tags
from training.evaluation.predict import torch_classifier, torch_mask_filler, torch_predictor, torch_tagger
from training.evaluation.protocols import Classify, FillMasks, FloatArray, IntArray, Offsets, TagTokens
from training.evaluation.record import Curve, Evaluation, Table

__all__ = [
    "Classify",
    "Curve",
    "Evaluation",
    "FillMasks",
    "FloatArray",
    "IntArray",
    "Offsets",
    "Table",
    "TagTokens",
    "evaluate",
    "evaluate_classification",
    "evaluate_fill_mask",
    "evaluate_ner",
    "greater_is_better",
    "label_matrix",
    "main_metric",
    "torch_classifier",
    "torch_mask_filler",
    "torch_predictor",
    "torch_tagger",
    "word_tags",
]
