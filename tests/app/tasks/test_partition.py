"""Owen values over a tree of words: what `shap` computes, adding up at every budget."""

import warnings

import numpy as np
import pytest

from app.tasks.partition import Plan, best_plan, bits_of, cost_of, depths, range_of


def game(words, targets=2, seed=0):
    """A function from sets of words, (sets, words), to scores, in which words count together as well as alone."""
    generator = np.random.default_rng(seed)
    alone, together = generator.normal(size=(words, targets)), generator.normal(size=(words, words, targets))

    def score(sets):
        sets = np.asarray(sets, np.float64)
        return np.tanh(sets @ alone + np.einsum("bi,ijk,bj->bk", sets, together, sets))

    return score


def values_of(plan, score):
    return plan.values(score([bits_of(words, plan.words) for words in plan.sets]))


def tree(words):
    """The tree as scipy writes one: a row for each pair of parts, with the number of words below."""
    rows = []

    def build(start, end):
        if end - start == 1:
            return start
        middle = (start + end) // 2
        parts = build(start, middle), build(middle, end)
        rows.append([*parts, 1.0, end - start])
        return words + len(rows) - 1

    build(0, words)
    return np.array(rows, np.float64)


@pytest.fixture(scope="module")
def shap_values():
    """Return a function to the values of shap's partition explainer over the same tree."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from shap.explainers import Partition

    class Masker:
        def __init__(self, words):
            self.shape, self.clustering = (1, words), tree(words)

        def __call__(self, mask, text):
            return (mask[None].astype(np.float64),)

    def explain(words, score, fixed_context):
        explainer = Partition(score, Masker(words))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = explainer(np.zeros((1, words)), max_evals=10**5, fixed_context=fixed_context, silent=True)
        return found.values[0]

    return explain


@pytest.mark.parametrize("words", [2, 3, 5, 8, 13])
def test_values_are_those_of_shap(words, shap_values):
    score = game(words)
    every, one = (Plan(words, [range_of(0, words)], 10**6, depth) for depth in (next(depths(words)), 0))
    np.testing.assert_allclose(values_of(every, score), shap_values(words, score, None), atol=1e-4)
    np.testing.assert_allclose(values_of(one, score), shap_values(words, score, 1), atol=1e-4)


@pytest.mark.parametrize("words", [1, 2, 3, 7, 20, 33])
@pytest.mark.parametrize("budget", [2, 3, 9, 40, 128, 700])
def test_values_add_up_at_every_budget(words, budget):
    score = game(words, seed=words)
    plan = best_plan(words, [range_of(0, words)], budget)
    whole, nothing = score(np.ones((1, words))), score(np.zeros((1, words)))
    np.testing.assert_allclose(values_of(plan, score).sum(axis=0), (whole - nothing)[0], atol=1e-9)
    assert len(plan.sets) == plan.passes <= budget
    assert plan.is_by_word == (cost_of(words, 0) <= budget)


def test_a_greater_budget_tries_groups_beside_more_others():
    found = [best_plan(20, [range_of(0, 20)], budget) for budget in (10, 40, 80, 150, 400)]
    assert [plan.depth for plan in found] == [0, 0, 1, 2, 4]
    assert [plan.groups for plan in found] == [5, 20, 20, 20, 20]
    assert [plan.passes for plan in found[1:]] == [cost_of(20, plan.depth) for plan in found[1:]]


def test_words_of_a_group_that_is_not_split_share_what_it_gets():
    plan = best_plan(8, [range_of(0, 8)], 4)
    values = values_of(plan, game(8))
    assert plan.groups == 2
    assert (values[:4] == values[0]).all()
    assert (values[4:] == values[4]).all()


def test_what_is_alike_in_a_window_runs_once():
    windows = [range_of(0, 12), range_of(8, 20)]
    plan = best_plan(20, windows, 400)
    assert plan.passes == len({(i, words & window) for words in plan.sets for i, window in enumerate(windows)})
    assert plan.passes < 2 * len(plan.sets)
    assert plan.is_by_word


def test_a_text_without_words_has_no_values():
    plan = best_plan(0, [0], 8)
    assert plan.values(np.zeros((1, 3))).shape == (0, 3)
    assert (plan.everything, plan.passes) == (0, 1)


@pytest.mark.parametrize("count", [0, 1, 8, 9, 64])
def test_bits_are_read_back(count):
    words = range_of(0, count) & 0x1_23_45_67_89_AB_CD_EF
    assert bits_of(words, count).tolist() == [bool(words >> number & 1) for number in range(count)]
