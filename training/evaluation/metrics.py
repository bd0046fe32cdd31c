"""What metrics are called, what they say, and which way is better."""

from __future__ import annotations

LOWER_IS_BETTER = ("rmse", "mae", "masked_loss", "perplexity", "ece", "ece_before_temperature", "loss")

# What a metric is called, and what it says.
METRICS = {
    "accuracy": ("Accuracy", "share of texts with the right label"),
    "subset_accuracy": ("Subset accuracy", "share of texts with every label right"),
    "macro_f1": ("Macro F1", "mean of the labels' F1, rare ones counting as much as frequent ones"),
    "micro_f1": ("Micro F1", "F1 over all decisions together"),
    "mcc": ("Matthews correlation", "1: always right, 0: no better than chance"),
    "roc_auc": ("ROC AUC", "chance that a positive text scores above a negative one"),
    "average_precision": ("Average precision", "area under the precision-recall curve"),
    "pearson": ("Pearson correlation", "of the numbers"),
    "spearman": ("Spearman correlation", "of their ranks"),
    "mrr": ("Mean reciprocal rank", "1: each text finds a similar one first, 0.5: second, on average"),
    "recall_at_1": ("Recall at 1", "share of texts whose nearest other text is a similar one"),
    "recall_at_5": ("Recall at 5", "share of texts with a similar one among the five nearest"),
    "recall_at_10": ("Recall at 10", "share of texts with a similar one among the ten nearest"),
    "triplet_accuracy": ("Triplet accuracy", "share of negatives that are less near than the similar text"),
    "rmse": ("RMSE", "root of the mean squared error"),
    "mae": ("MAE", "mean absolute error"),
    "f1": ("Entity F1", "as served: span and type must match"),
    "precision": ("Entity precision", "share of the predicted entities that are right"),
    "recall": ("Entity recall", "share of the true entities that are found"),
    "strict_f1": ("Entity F1, strict IOB2", "an I- that continues nothing is no entity, where the service reads B-"),
    "token_f1": (
        "Token F1",
        "mean overlap of an answer's words with those of the nearest right one, as SQuAD scores it",
    ),
    "exact_match": ("Exact match", "share of questions with a right answer, case, punctuation and articles aside"),
    "has_answer_f1": ("Token F1 where there is an answer", "as above"),
    "has_answer_exact_match": ("Exact match where there is an answer", "as above"),
    "no_answer_accuracy": ("No answer", "share of the questions without an answer that get none"),
    "masked_accuracy": ("Masked accuracy", "share of masked tokens whose best guess is right"),
    "masked_accuracy_80_10_10": ("Masked accuracy, 80/10/10", "masked, replaced or kept as in pretraining"),
    "masked_loss": ("Masked loss", "mean cross-entropy of a masked token, nats"),
    "perplexity": ("Perplexity", "exponential of the masked loss"),
    "ece_before_temperature": ("Calibration error before temperature", "mean gap of score and truth"),
    "ece": ("Calibration error", "mean gap between a score and how often it is right"),
}


def greater_is_better(metric: str) -> bool:
    """Return False for errors and losses."""
    return metric not in LOWER_IS_BETTER


def metric_name(metric: str) -> tuple[str, str]:
    """Return what a metric is called and what it says."""
    return METRICS.get(metric) or (f"F1 of {metric[3:]}" if metric.startswith("f1_") else metric, "")


def number(value: str | float) -> str:
    """Return whole numbers and texts as they are, others with as many digits as are worth reading."""
    if not isinstance(value, float):
        return str(value)
    return f"{value:.4f}" if abs(value) < 10 else f"{value:.2f}"
