"""Recipes: what a TOML file and overrides become, and what is said about mistakes in them."""

from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

from training.commands.arguments import recipe_of
from training.commands.flags import check_parser
from training.config import DataConfig, PretrainRecipe, Recipe, RecipeError, known_keys, load_recipe, section_of
from training.config.reference import reference
from training.export.publication import ExportRecipe

ROOT = Path(__file__).parents[3]
RECIPES = sorted((ROOT / "training" / "recipes").glob("*.toml"))
PRETRAINED = ("base", "fill-mask")
EXPORTED = ("embedding",)


@pytest.fixture
def recipe_file(tmp_path):
    path = tmp_path / "recipe.toml"
    path.write_text('name = "tiny"\ntask = "fill-mask"\n[training]\nepochs = 2\n')
    return path


def test_recipe_is_read_with_defaults(recipe_file):
    recipe = load_recipe(Recipe, recipe_file)
    assert (recipe.name, recipe.task, recipe.base) == ("tiny", "fill-mask", "roberta-base")
    assert recipe.training.epochs == 2
    assert recipe.export.precisions == ("int8",)


def test_overrides_are_typed_and_create_sections(recipe_file):
    overrides = {
        "training.epochs": "0.5",
        "data.train": "a/b.csv",
        "export.precisions": '["fp32", "int8"]',
        "name": "7",
    }
    recipe = load_recipe(Recipe, recipe_file, overrides)
    assert recipe.training.epochs == 0.5
    assert recipe.data.train == "a/b.csv"
    assert recipe.export.precisions == ("fp32", "int8")
    assert recipe.name == "7"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"training.epoch": "3"}, "unknown key training.epoch; the nearest known key is training.epochs"),
        ({"trainig.epochs": "3"}, "unknown key trainig; the nearest known key is training"),
        ({"zzz": "3"}, "unknown key zzz; the nearest known key is "),
        ({"training.batch_size": "0"}, "training.batch_size: input should be greater than or equal to 1"),
        ({"task": "translation"}, "task: there is no task 'translation'; there are text-classification, "),
        ({"name.first": "x"}, "name.first: name is a value, not a section"),
        ({"name": "../up"}, "name: a name has up to 64 lower-case letters"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_mistakes_are_one_sentence(recipe_file, overrides, message):
    with pytest.raises(RecipeError) as caught:
        load_recipe(Recipe, recipe_file, overrides)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unreadable_recipes_are_named(tmp_path):
    with pytest.raises(RecipeError, match=r"missing\.toml: the recipe cannot be read"):
        load_recipe(Recipe, tmp_path / "missing.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("name = \n")
    with pytest.raises(RecipeError, match=r"broken\.toml: the recipe cannot be read"):
        load_recipe(Recipe, broken)


def test_recipe_is_frozen(recipe_file):
    with pytest.raises(ValidationError, match="frozen"):
        load_recipe(Recipe, recipe_file).name = "other"


def test_recipe_survives_json(recipe_file):
    recipe = load_recipe(Recipe, recipe_file)
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe


@pytest.mark.parametrize("kind", [Recipe, PretrainRecipe])
def test_every_field_has_a_sentence(kind):
    def fields(section: type[BaseModel]):
        for field in section.model_fields.values():
            yield field
            if inner := section_of(field.annotation):
                yield from fields(inner)

    descriptions = [field.description for field in fields(kind)]
    assert len(descriptions) == len(known_keys(kind))
    assert all(text and text[0].isupper() and text.endswith(".") for text in descriptions)


def test_the_reference_of_recipes_is_up_to_date():
    page = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")
    assert page == reference(), "run: python -m training.config.reference > docs/recipes.md"
    for kind in (Recipe, PretrainRecipe):
        leaves = [key for key in known_keys(kind) if not any(k.startswith(f"{key}.") for k in known_keys(kind))]
        assert all(f"`{key}`" in page for key in leaves)


def test_options_alone_are_a_recipe():
    recipe = load_recipe(Recipe, None, {"name": "x", "task": "ner", "data.train": "a.conll"})
    assert (recipe.task, recipe.data.train) == ("token-classification", "a.conll")
    with pytest.raises(RecipeError, match=r"^name: field required$"):
        load_recipe(Recipe, None, {"task": "classification"})


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.jsonl", "jsonl"),
        ("a.csv", "csv"),
        ("a.conll", "conll"),
        ("a.txt.gz", "text"),
        ("a.jsonl.gz", "jsonl"),
        ("a.tsv", "tsv"),
        ("a.parquet", "parquet"),
    ],
)
def test_format_follows_the_suffix(name, expected):
    assert DataConfig().format_of(Path(name)) == expected


def test_format_may_be_set_and_must_be_known():
    assert DataConfig(format="csv").format_of(Path("a.data")) == "csv"
    with pytest.raises(RecipeError, match=r"set data\.format"):
        DataConfig().format_of(Path("a.data"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_shipped_recipes_are_whole(path):
    kind = PretrainRecipe if path.stem in PRETRAINED else ExportRecipe if path.stem in EXPORTED else Recipe
    recipe = load_recipe(kind, path)
    assert recipe.name == path.stem
    assert recipe.data.train or path.stem in EXPORTED
    assert recipe.data.validation
    assert recipe.card.summary
    assert recipe.card.data_attribution
    assert recipe.card.licence
    assert recipe.card.limits
    assert recipe.card.examples


def test_every_shipped_bundle_has_its_recipe():
    bundles = {folder.name for folder in (ROOT / "models").iterdir() if folder.is_dir()}
    assert bundles <= {path.stem for path in RECIPES}


@pytest.mark.parametrize(
    ("file", "name"), [("My Data (1).csv", "my-data-1"), ("a/Tickets.csv.gz", "tickets"), ("データ.csv", "model")]
)
def test_a_bundle_without_a_name_is_called_as_its_data(file, name):
    assert recipe_of(check_parser().parse_args(["--task", "ner", "--train", file])).name == name


@pytest.mark.parametrize(
    ("file", "name"),
    [("My Data (1).csv", "my-data-1"), ("train.csv", "train"), ("Été.v2.tsv", "ete"), ("数据.csv", "model")],
)
def test_a_run_without_a_name_is_called_as_its_file(file, name):
    options = check_parser().parse_args(["--task", "classification", "--train", file])
    assert recipe_of(options).name == name
