"""Metrics on predictions whose score is known, and predictors against the model run by hand."""

import numpy as np
import pytest
import scipy.stats
import seqeval.metrics
import sklearn.metrics
from seqeval.scheme import IOB2

from training.data import ClassificationExample, Labeling, Sentence, legal_iob2, render
from training.evaluation.bootstrap import bootstrap_intervals, resamples, score_once
from training.evaluation.classification import evaluate_classification, label_scorer, ranking_scorer
from training.evaluation.metrics import greater_is_better
from training.evaluation.ner import entity_errors, entity_scorer, evaluate_ner, lenient_entities, word_tags
from training.evaluation.regression import regression_scorer
from training.tasks import TASKS

RNG = np.random.default_rng(0)
NER_LABELS = ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")
TEXTS = [
    "a good film",
    "the café in São Paulo isn't open ( yet ) .",
    "Ada",
    "a bad and awful film , cold and dull .",
]


def one_hot(index, width):
    return np.eye(width, dtype=np.float32)[index]


def answers(*rows):
    return lambda inputs: list(rows)


def labeled(*labels):
    return [ClassificationExample(f"text {index}", each) for index, each in enumerate(labels)]


def test_classification_scores():
    predict = answers(*(one_hot(index, 2) for index in (0, 0, 1, 0)))
    scores = evaluate_classification(labeled(("n",), ("n",), ("p",), ("p",)), ("n", "p"), predict)
    assert scores == {
        "accuracy": 0.75,
        "micro_f1": 0.75,
        "macro_f1": pytest.approx((0.8 + 2 / 3) / 2),
        "mcc": pytest.approx(2 / np.sqrt(4 * 3)),
    }


@pytest.mark.parametrize("problem_type", ["single_label_classification", "multi_label_classification"])
def test_label_scores_are_scikit_learns(problem_type):
    truth, guess = (RNG.integers(2, size=(50, 4)) for _ in range(2))
    if problem_type == "single_label_classification":
        truth, guess = (np.eye(4, dtype=int)[each.argmax(axis=1)] for each in (truth, guess))
    scores = score_once(label_scorer(truth, guess, problem_type), 50)
    for average in ("macro", "micro"):
        expected = sklearn.metrics.f1_score(truth, guess, average=average, zero_division=0)
        assert scores[f"{average}_f1"] == pytest.approx(expected)
    exact = scores.get("accuracy", scores.get("subset_accuracy"))
    assert exact == pytest.approx(sklearn.metrics.accuracy_score(truth, guess))
    if "mcc" in scores:
        expected = sklearn.metrics.matthews_corrcoef(truth.argmax(axis=1), guess.argmax(axis=1))
        assert scores["mcc"] == pytest.approx(expected)


def test_a_label_that_occurs_nowhere_is_left_out_of_macro_f1():
    predict = answers(one_hot(0, 3), one_hot(1, 3))
    assert evaluate_classification(labeled(("a",), ("b",)), ("a", "b", "c"), predict)["macro_f1"] == 1.0


def test_multi_label_scores_need_every_label_right():
    predict = answers(*np.array([[1, 1], [-1, -1], [1, 1]], dtype=np.float32))
    examples = labeled(("a", "b"), (), ("b",))
    scores = evaluate_classification(examples, ("a", "b"), predict, "multi_label_classification")
    assert scores == {
        "macro_f1": pytest.approx((2 / 3 + 1) / 2),
        "micro_f1": pytest.approx(6 / 7),
        "subset_accuracy": pytest.approx(2 / 3),
    }


def test_thresholds_and_temperature_decide_as_when_served():
    predict = answers(np.array([2.0, 2.0], dtype=np.float32))  # sigmoid(2 / 2) = 0.73

    def exact(thresholds, temperature):
        arguments = (("a", "b"), predict, "multi_label_classification", thresholds, temperature)
        return evaluate_classification(labeled(("a",)), *arguments)["subset_accuracy"]

    assert exact((0.7, 0.8), 2.0) == 1.0
    assert exact((0.7, 0.8), 1.0) == 0.0  # 0.88 reaches both
    assert exact((0.75, 0.8), 2.0) == 0.0


def test_regression_scores():
    truth, guess = RNG.normal(size=(2, 40)).round(1)  # with ties
    examples = [ClassificationExample("x", (), target=float(value)) for value in truth]
    predict = answers(*guess[:, None].astype(np.float32))
    scores = evaluate_classification(examples, ("score",), predict, "regression")
    assert scores == {
        "pearson": pytest.approx(scipy.stats.pearsonr(truth, guess).statistic, abs=1e-5),
        "spearman": pytest.approx(scipy.stats.spearmanr(truth, guess.astype(np.float32)).statistic, abs=1e-5),
        "rmse": pytest.approx(np.sqrt(((truth - guess) ** 2).mean()), abs=1e-5),
        "mae": pytest.approx(np.abs(truth - guess).mean(), abs=1e-5),
    }


def test_a_constant_prediction_correlates_with_nothing():
    examples = [ClassificationExample("x", (), target=value) for value in (1.0, 2.0)]
    predict = answers(np.zeros(1, np.float32), np.zeros(1, np.float32))
    scores = evaluate_classification(examples, ("score",), predict, "regression")
    assert (scores["pearson"], scores["spearman"]) == (0, 0)
    with pytest.raises(ValueError, match="a number for every example"):
        evaluate_classification(labeled(("a",)), ("score",), answers(np.zeros(1)), "regression")


def test_ranking_scores_are_scikit_learns():
    positive, scores = RNG.integers(2, size=80), RNG.normal(size=80).round(1)  # with ties
    assert score_once(ranking_scorer(positive, scores), 80) == {
        "roc_auc": pytest.approx(sklearn.metrics.roc_auc_score(positive, scores)),
        "average_precision": pytest.approx(sklearn.metrics.average_precision_score(positive, scores)),
    }


@pytest.mark.parametrize("name", ["label", "regression", "ranking", "entity"])
def test_weights_are_copies_of_examples(name):
    """What a resample scores is what its examples, written out, score."""
    copies = np.array([0, 2, 1, 3, 0, 1, 1, 2, 1, 1])
    picked = np.repeat(np.arange(10), copies)
    one, other = RNG.integers(2, size=(2, 10))
    tags = [[("O", "B-PER", "I-PER")[index] for index in RNG.integers(3, size=6)] for _ in range(20)]
    makers = {
        "label": lambda rows: label_scorer(
            np.eye(2, dtype=int)[one[rows]], np.eye(2, dtype=int)[other[rows]], "single_label_classification"
        ),
        "regression": lambda rows: regression_scorer(np.arange(10.0)[rows] // 2, np.sin(np.arange(10.0))[rows]),
        "ranking": lambda rows: ranking_scorer(one[rows], np.sin(np.arange(10.0))[rows]),
        "entity": lambda rows: entity_scorer([tags[row] for row in rows], [tags[row + 10] for row in rows]),
    }
    weighted = makers[name](np.arange(10))(copies[None].astype(np.float32))
    written_out = score_once(makers[name](picked), len(picked))
    assert {key: float(value[0]) for key, value in weighted.items()} == pytest.approx(written_out, abs=1e-6)


def test_intervals_of_a_share_are_those_of_the_binomial():
    hits = np.arange(400) < 320
    scorer = label_scorer(
        np.stack([hits, ~hits], axis=1).astype(int), np.tile([1, 0], (400, 1)), "single_label_classification"
    )
    low, high = bootstrap_intervals(scorer, 400, 1000, seed=0)["accuracy"]
    assert low == pytest.approx(0.8 - 1.96 * 0.02, abs=0.006)
    assert high == pytest.approx(0.8 + 1.96 * 0.02, abs=0.006)
    assert (low, high) == bootstrap_intervals(scorer, 400, 1000, seed=0)["accuracy"]
    assert (low, high) != bootstrap_intervals(scorer, 400, 1000, seed=1)["accuracy"]
    assert bootstrap_intervals(scorer, 400, 0, seed=0) == {}


def test_resamples_have_the_size_of_the_split(monkeypatch):
    monkeypatch.setattr("training.evaluation.bootstrap.WEIGHTS_AT_ONCE", 35)
    parts = list(resamples(10, 8, seed=0))
    assert [len(part) for part in parts] == [3, 3, 2]
    assert (np.concatenate(parts).sum(axis=1) == 10).all()


@pytest.mark.parametrize(
    ("task", "problem_type", "metric"),
    [
        ("text-classification", None, "accuracy"),
        ("text-classification", "single_label_classification", "accuracy"),
        ("text-classification", "multi_label_classification", "macro_f1"),
        ("text-classification", "regression", "pearson"),
        ("token-classification", None, "f1"),
        ("fill-mask", None, "masked_accuracy"),
    ],
)
def test_main_metric(task, problem_type, metric):
    assert TASKS[task].main_metric(Labeling((), problem_type)) == metric
    assert greater_is_better(metric)


def test_errors_are_better_when_small():
    assert not any(map(greater_is_better, ("rmse", "mae", "masked_loss", "perplexity", "ece")))


def test_pairs_reach_the_predictor_as_pairs():
    seen = []

    def predict(inputs):
        seen.extend(inputs)
        return [one_hot(0, 2)] * len(inputs)

    evaluate_classification([ClassificationExample("a", ("n",), "b")], ("n", "p"), predict)
    assert seen == [("a", "b")]


@pytest.mark.parametrize(
    ("tokens", "tags", "expected"),
    [
        ([(0, 3), (4, 9)], ["B-PER", "I-PER"], ["B-PER", "I-PER"]),
        (
            [(0, 1), (1, 3), (4, 6), (6, 9)],
            ["B-PER", "O", "I-PER", "O"],
            ["B-PER", "I-PER"],
        ),  # first token counts
        ([(0, 3), (4, 9)], ["I-PER", "I-LOC"], ["I-PER", "I-LOC"]),  # as the model says
        ([(0, 3)], ["B-PER"], ["B-PER", "O"]),  # cut short
        ([(0, 9)], ["B-PER"], ["B-PER", "B-PER"]),  # one token over both words
        ([(0, 0), (0, 3), (3, 9)], ["B-LOC", "O", "B-PER"], ["O", "B-PER"]),  # empty token, space in a token
        ([], [], ["O", "O"]),
    ],
)
def test_words_take_the_tag_of_their_first_token(tokens, tags, expected):
    assert word_tags([(0, 3), (4, 9)], np.array(tokens).reshape(-1, 2), tags) == expected


def ner_answer(example, tags):
    return np.array(example.word_offsets), one_hot([NER_LABELS.index(tag) for tag in tags], len(NER_LABELS))


def test_ner_scores_whole_entities():
    example = render(Sentence(tuple("abcde"), ("B-PER", "I-PER", "O", "B-LOC", "O")), "spaced")
    perfect = evaluate_ner([example], NER_LABELS, answers(ner_answer(example, example.tags)))
    assert set(perfect) == {"f1", "precision", "recall", "strict_f1", "f1_PER", "f1_LOC"}
    assert set(perfect.values()) == {1.0}
    short = answers(ner_answer(example, ("B-PER", "O", "O", "B-LOC", "B-LOC")))  # cut PER; LOC twice
    scores = evaluate_ner([example], NER_LABELS, short)
    assert scores["precision"] == pytest.approx(1 / 3)
    assert scores["recall"] == pytest.approx(1 / 2)
    assert scores["f1"] == pytest.approx(0.4)
    assert scores["f1_PER"] == 0.0
    assert scores["f1_LOC"] == pytest.approx(2 / 3)


def test_ner_without_a_guess_scores_zero():
    example = render(Sentence(("Ada",), ("B-PER",)), "spaced")
    scores = evaluate_ner([example], NER_LABELS, answers(ner_answer(example, ("O",))))
    assert set(scores.values()) == {0.0}


def random_tags(count):
    return [NER_LABELS[index] for index in RNG.integers(len(NER_LABELS), size=count)]


def test_entity_scores_are_seqevals():
    truth = [list(legal_iob2(random_tags(9))) for _ in range(40)]
    guess = [random_tags(9) for _ in range(40)]
    scores = score_once(entity_scorer(truth, guess), 40)
    assert scores["f1"] == pytest.approx(seqeval.metrics.f1_score(truth, guess))
    assert scores["precision"] == pytest.approx(seqeval.metrics.precision_score(truth, guess))
    assert scores["recall"] == pytest.approx(seqeval.metrics.recall_score(truth, guess))
    assert scores["strict_f1"] == pytest.approx(seqeval.metrics.f1_score(truth, guess, mode="strict", scheme=IOB2))
    report = seqeval.metrics.classification_report(truth, guess, output_dict=True)
    assert scores["f1_PER"] == pytest.approx(report["PER"]["f1-score"])


@pytest.mark.parametrize(
    ("truth", "guess", "expected"),
    [
        ("B-PER I-PER O", "B-PER I-PER O", {"correct": 1}),
        ("B-PER I-PER O", "B-LOC I-LOC O", {"wrong type": 1}),
        ("B-PER I-PER O", "B-PER O O", {"wrong boundary": 1}),
        ("B-PER I-PER O", "O B-LOC I-LOC", {"wrong boundary and type": 1}),
        ("B-PER O O", "O O B-PER", {"missed": 1, "spurious": 1}),
        ("B-PER I-PER I-PER", "B-PER O I-PER", {"wrong boundary": 1, "spurious": 1}),  # I- is served as B-
        ("B-PER B-PER O", "B-PER I-PER O", {"wrong boundary": 1, "missed": 1}),
        ("B-PER O B-LOC", "B-PER O B-LOC", {"correct": 2}),
    ],
)
def test_entity_errors(truth, guess, expected):
    errors = entity_errors(lenient_entities(truth.split()), lenient_entities(guess.split()))
    assert {name: count for name, count in errors.items() if count} == expected
