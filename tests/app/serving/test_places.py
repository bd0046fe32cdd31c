"""Where models lie: names that are made of folders' names, Hugging Face's cache, and models that were named."""

import os
from pathlib import Path

import pytest

from app.bundle.hub_cache import is_own_blob
from app.bundle.naming import slug
from app.serving.places import NamedModels, Place, Places
from tests.app.builders import write_bundle, write_hub_folder
from tests.app.registries import make_registry

COMMIT, OTHER = "a" * 40, "b" * 40


def cached(cache, byte_level, repository="Org/Toy.Model", commit=COMMIT, **fields):
    """Write a repository as huggingface_hub has it in its cache, and return its folder."""
    folder = cache / f"models--{repository.replace('/', '--')}"
    snapshot = folder / "snapshots" / commit
    write_hub_folder(snapshot, byte_level, **fields)
    (folder / "blobs").mkdir(exist_ok=True)
    (folder / "refs").mkdir(exist_ok=True)
    (folder / "refs" / "main").write_text(commit)
    for number, file in enumerate(sorted(path for path in snapshot.rglob("*") if path.is_file())):
        blob = folder / "blobs" / f"{commit[:8]}{number}"
        file.rename(blob)
        file.symlink_to(os.path.relpath(blob, file.parent))
    return folder


def states(registry):
    return {entry.name: entry.model.id if entry.model else entry.refused[1] for entry in registry.entries}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("sentiment", "sentiment"),
        ("Twitter-RoBERTa", "twitter-roberta"),
        ("xlm.v2_Base", "xlm.v2_base"),
        ("My Data (1)", "my-data-1"),
        ("Café Modèle", "cafe-modele"),
        ("_hidden", "hidden"),
        ("模型", ""),
        ("x" * 80, "x" * 64),
    ],
)
def test_a_name_is_made_of_what_a_person_has_called_it(text, name):
    assert slug(text) == name


def test_a_folder_with_capitals_is_served_by_its_slug(tmp_path, byte_level):
    write_hub_folder(tmp_path / "Twitter-RoBERTa", byte_level)
    write_hub_folder(tmp_path / "模型", byte_level)
    registry = make_registry(tmp_path)
    registry.load()
    shown = states(registry)
    assert shown.pop("twitter-roberta") == "twitter-roberta:1"
    assert "'模型' is no name of a model; rename it: a name has up to 64 lower-case letters" in shown["模型"]


def test_of_two_folders_with_one_name_the_exact_one_is_served_and_the_other_is_said(tmp_path, byte_level):
    write_hub_folder(tmp_path / "Toy", byte_level)
    write_hub_folder(tmp_path / "toy", byte_level)
    registry = make_registry(tmp_path)
    registry.load()
    assert states(registry) == {"toy": "toy:1"}
    assert registry.table.problems == ("Toy is not served: it would be called toy, as toy is",)


# --- Hugging Face's cache -------------------------------------------------------------------------------


def test_the_cache_itself_can_be_the_models_folder(tmp_path, byte_level):
    cached(tmp_path, byte_level)
    for other in ("datasets--org--data", "spaces--org--app", ".locks", "blobs"):
        (tmp_path / other).mkdir()
    (tmp_path / "blobs" / ".huggingface-shared-blobs").write_text("1\n")
    (tmp_path / "version.txt").write_text("1")
    registry = make_registry(tmp_path)
    registry.load()
    assert states(registry) == {"toy.model": "toy.model:1"}
    source = registry.entries[0].model.bundle.manifest.provenance["source"]
    assert source == {"repository": "Org/Toy.Model", "commit": COMMIT}


def test_a_cached_repository_is_served_under_the_name_that_it_is_mounted_as(tmp_path, byte_level):
    folder = cached(tmp_path / "cache", byte_level)
    models = tmp_path / "models"
    models.mkdir()
    (models / "toy").symlink_to(folder)
    (models / "snapshot").symlink_to(folder / "snapshots" / COMMIT)
    registry = make_registry(models)
    registry.load()
    assert states(registry) == {"toy": "toy:1", "snapshot": "snapshot:1"}


def test_the_snapshot_of_main_is_served_and_the_next_one_after_a_reload(tmp_path, byte_level):
    folder = cached(tmp_path, byte_level, "o/toy")
    registry = make_registry(tmp_path)
    registry.load()
    cached(tmp_path, byte_level, "o/toy", OTHER)
    registry.load()
    assert registry.entries[0].model.bundle.path == folder / "snapshots" / OTHER


@pytest.mark.parametrize("commits", [(), (COMMIT, OTHER)])
def test_a_repository_without_the_snapshot_of_main_is_a_sentence(commits, tmp_path, byte_level):
    folder = cached(tmp_path, byte_level, "o/toy")
    for commit in (COMMIT, OTHER):
        if commit not in commits:
            (folder / "snapshots" / commit).rename(tmp_path / ".gone") if commit == COMMIT else None
        else:
            (folder / "snapshots" / commit).mkdir(exist_ok=True)
    (folder / "refs" / "main").write_text("c" * 40)
    registry = make_registry(tmp_path)
    registry.load()
    assert f"has {len(commits)} snapshots and refs/main names {'c' * 40}" in states(registry)["toy"]


@pytest.mark.parametrize(
    ("target", "is_own"),
    [
        ("../../blobs/one", True),
        ("../../../other/blobs/one", False),
        ("../../../../secret", False),
        ("../../blobs/../../secret", False),
        ("../../blobs/shared", True),
        ("../../blobs/stray", False),
        ("config.json", False),
    ],
)
def test_a_link_of_a_snapshot_may_lead_to_the_blobs_of_its_own_repository_only(target, is_own, tmp_path):
    snapshot, shared = tmp_path / "models--o--m" / "snapshots" / COMMIT, "ab" + "0" * 62
    for folder in (snapshot, tmp_path / "models--o--m" / "blobs", tmp_path / "other" / "blobs", tmp_path / "blobs/ab"):
        folder.mkdir(parents=True)
    for file in ("secret", "models--o--m/blobs/one", "other/blobs/one", f"blobs/ab/{shared}"):
        (tmp_path / file).write_text("{}")
    (tmp_path / "models--o--m/blobs/shared").symlink_to(f"../../blobs/ab/{shared}")
    (tmp_path / "models--o--m/blobs/stray").symlink_to("../../secret")
    (snapshot / "config.json").symlink_to(target)
    assert is_own_blob(snapshot, "config.json") is is_own


def test_a_link_to_what_is_not_there_says_what_to_mount(tmp_path, byte_level):
    folder = cached(tmp_path / "cache", byte_level)
    models = tmp_path / "models"
    models.mkdir()
    (folder / "snapshots" / COMMIT).rename(models / "toy")
    registry = make_registry(models)
    registry.load()
    assert "a link" in states(registry)["toy"]
    assert "models--ORG--NAME" in states(registry)["toy"]


# --- Models that were named -----------------------------------------------------------------------------


def named(folder, *places, **fields):
    table = folder / "named.json"
    NamedModels(places, **fields).write(table)
    return table


def test_named_models_are_served_beside_the_folder_and_before_it(tmp_path, byte_level):
    models = tmp_path / "models"
    write_bundle(models, byte_level, name="aaa")
    other = write_bundle(tmp_path / "other", byte_level, name="inner")
    source = {"repository": "o/m", "commit": COMMIT}
    place = Place("zzz", {1: other}, own_name="inner", source=source)
    registry = make_registry(models, table=named(tmp_path, place))
    registry.load()
    assert states(registry) == {"zzz": "zzz:1", "aaa": "aaa:1"}
    assert registry.answering()["classify"] == "zzz"
    assert registry.find("classify", "zzz").bundle.manifest.provenance["source"] == source


def test_without_the_folder_only_what_was_named_is_served(tmp_path, byte_level):
    write_bundle(tmp_path, byte_level, name="aaa")
    other = write_bundle(tmp_path / "other", byte_level, name="zzz")
    table = named(tmp_path, Place("zzz", {1: other}), has_folder=False, problems=("o/m could not be fetched again",))
    registry = make_registry(tmp_path, table=table)
    registry.load()
    assert states(registry) == {"zzz": "zzz:1"}
    assert registry.table.problems == ("o/m could not be fetched again",)


def test_a_named_model_goes_before_one_of_the_folder_with_its_name(tmp_path, byte_level):
    write_bundle(tmp_path, byte_level, name="toy")
    other = write_hub_folder(tmp_path / ".other", byte_level)
    registry = make_registry(tmp_path, table=named(tmp_path, Place("toy", {1: other})))
    registry.load()
    assert registry.find(None, "toy").bundle.path == other
    assert registry.table.problems == ("toy in the models folder is not served: a model of that name was given",)


def test_what_was_named_is_served_while_the_folder_is_away(tmp_path, byte_level):
    models = tmp_path / "models"
    write_bundle(models, byte_level, name="aaa")
    other = write_bundle(tmp_path / "other", byte_level, name="zzz")
    registry = make_registry(models, table=named(tmp_path, Place("zzz", {1: other})))
    registry.load()
    models.rename(tmp_path / "away")
    registry.load()
    assert states(registry) == {"zzz": "zzz:1", "aaa": "aaa:1"}
    assert registry.table.problems == ("the models folder is missing",)


def test_the_table_is_read_as_it_was_written(tmp_path):
    place = Place("a", {2: Path("/x"), 1: Path("/y")}, "b", {"commit": COMMIT}, "no")
    written = NamedModels((place,), has_folder=False, problems=("p",))
    written.write(tmp_path / "table")
    assert NamedModels.read(tmp_path / "table") == written
    assert Places(tmp_path, tmp_path / "table").read().by_name == {"a": place}
