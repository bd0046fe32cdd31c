"""A run's folder keeps to one training, on one set of data."""

import pytest

from training.config import Recipe, RecipeError
from training.fit.runs import claim

FIELDS = frozenset({"task", "data"})
DATA = {"train": "a", "validation": "b", "test": "c"}


@pytest.fixture
def recipe():
    return Recipe(name="x", task="classification")


@pytest.fixture
def trained(recipe, tmp_path):
    """Return the folder of a run that has something to go on from."""
    claim(tmp_path, recipe, FIELDS, DATA)
    (tmp_path / "checkpoint").mkdir()
    return tmp_path


def test_the_same_training_goes_on(trained, recipe):
    claim(trained, recipe, FIELDS, DATA)
    claim(trained, recipe.model_copy(update={"name": "y"}), FIELDS, DATA)
    claim(trained, recipe, FIELDS, DATA | {"test": "d"})  # the weights do not depend on it


@pytest.mark.parametrize("split", ["train", "validation"])
def test_other_data_under_the_same_name_is_refused(split, trained, recipe):
    with pytest.raises(RecipeError, match="holds a run on other data; name another folder with --run-dir"):
        claim(trained, recipe, FIELDS, DATA | {split: "z"})


def test_another_recipe_is_refused(trained, recipe):
    with pytest.raises(RecipeError, match="holds a run of another recipe"):
        claim(trained, recipe.model_copy(update={"task": "token-classification"}), FIELDS, DATA)


def test_a_folder_where_nothing_was_trained_is_free(recipe, tmp_path):
    claim(tmp_path, recipe, FIELDS, DATA)
    claim(tmp_path, recipe.model_copy(update={"task": "token-classification"}), FIELDS, DATA | {"train": "z"})
