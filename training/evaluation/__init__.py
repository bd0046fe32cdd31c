"""Scores of predictions, whatever made them: a checkpoint and each exported graph of it share this code."""

from training.evaluation.classification import evaluate_classification, label_matrix
from training.evaluation.fill_mask import evaluate_fill_mask
from training.evaluation.metrics import greater_is_better
from training.evaluation.ner import evaluate_ner, word_tags
from training.evaluation.predict import torch_classifier, torch_mask_filler, torch_tagger
from training.evaluation.protocols import Classify, FillMasks, FloatArray, IntArray, Offsets, TagTokens, TokenLogits
from training.evaluation.record import Curve, Evaluation, Table, Trial
from training.evaluation.scoring import Scoring

__all__ = [
    "Classify",
    "Curve",
    "Evaluation",
    "FillMasks",
    "FloatArray",
    "IntArray",
    "Offsets",
    "Scoring",
    "Table",
    "TagTokens",
    "TokenLogits",
    "Trial",
    "evaluate_classification",
    "evaluate_fill_mask",
    "evaluate_ner",
    "greater_is_better",
    "label_matrix",
    "torch_classifier",
    "torch_mask_filler",
    "torch_tagger",
    "word_tags",
]
