"""`roberta-serve list`, `remove` and what `pull` puts into the models folder."""

import json
import sys

import pytest

import app.tasks
from app.__main__ import main
from app.bundle import MANIFEST
from app.bundle.defaults import set_default
from app.hub.errors import HubError
from app.hub.pulling import pull
from app.serving.places import Place
from app.tasks.base import SecondaryTask
from tests.app.builders import write_bundle, write_hub_folder
from tests.app.registries import load, states

SOURCE = {"repository": "acme/reviews", "revision": "main", "commit": "0123456789", "served": "model.onnx as it is"}


@pytest.fixture
def models(tmp_path):
    folder = tmp_path / "models"
    folder.mkdir()
    return folder


@pytest.fixture
def run(monkeypatch, capsys, models):
    """Run a verb on the models folder; return its exit code and what it printed."""

    def ran(verb, *arguments):
        monkeypatch.setattr(sys, "argv", ["roberta-serve", verb, "--models", str(models), *arguments])
        code = 0
        try:
            main()
        except SystemExit as ended:
            code = ended.code
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return ran


# --- list -----------------------------------------------------------------------------------------------


def test_every_version_is_listed_in_columns_and_as_json(models, byte_level, run):
    write_bundle(models, byte_level, name="toy")
    write_bundle(models, byte_level, name="toy")
    write_hub_folder(models / "Plain", byte_level)
    (models / "broken").mkdir()
    set_default(models, "classify", "toy")
    code, out, err = run("list")
    lines = [line.split() for line in out.splitlines()]
    assert (code, err) == (0, "")
    assert lines[0] == ["name", "version", "task", "precision", "size", "source", "default"]
    assert lines[1][:3] == ["broken", "1", "-"]
    assert "refused: config.json is missing" in out
    assert lines[2][:4] == ["plain", "1", "text-classification", "fp32"]
    assert [line[:2] for line in lines[3:]] == [["toy", "2"], ["toy", "1"]]
    assert lines[3][-2:] == ["/classify", "/explain"]
    assert "/classify" not in lines[4]
    rows = json.loads(run("list", "--json")[1])
    assert [(row["name"], row["version"], row.get("default")) for row in rows[1:]] == [
        ("plain", 1, None),
        ("toy", 2, "/classify /explain"),
        ("toy", 1, None),
    ]
    assert rows[2]["precision"] == ["fp32"]
    assert rows[2]["size"] > 1000


def test_without_a_default_the_first_by_name_answers(models, byte_level, run):
    write_bundle(models, byte_level, name="b")
    write_bundle(models, byte_level, name="a")
    assert [row.get("default") for row in json.loads(run("list", "--json")[1])] == ["/classify /explain", None]


def test_the_routes_of_other_tasks_are_those_of_the_first_that_can(models, byte_level, run, monkeypatch):
    class Agreeing(SecondaryTask):
        name, route, models_of = "agreeing", "agree", ("text-classification",)

        @classmethod
        def reason_against(cls, manifest):
            return None if "yes" in manifest.labels else "has no label yes"

    for name in list(app.tasks.SECONDARY_TASKS):
        monkeypatch.delitem(app.tasks.SECONDARY_TASKS, name)
    monkeypatch.setitem(app.tasks.SECONDARY_TASKS, Agreeing.name, Agreeing)
    monkeypatch.setitem(app.tasks.TASKS, Agreeing.name, Agreeing)
    for name, labels in (("a", ["b"]), ("b", ["no", "yes"]), ("c", ["no", "yes"])):
        write_bundle(models, byte_level, name=name, labels=labels)

    def defaults():
        rows = json.loads(run("list", "--json")[1])
        assert [row["routes"][-1] for row in rows] == ["/classify", "/agree", "/agree"]
        return [row.get("default") for row in rows]

    assert defaults() == ["/classify", "/agree", None]
    set_default(models, "classify", "c")
    assert defaults() == [None, None, "/classify /agree"]
    set_default(models, "classify", "a")
    assert defaults() == ["/classify", "/agree", None]
    set_default(models, "agree", "c")
    assert defaults() == ["/classify", None, "/agree"]
    set_default(models, "agree", "a")
    assert defaults() == ["/classify", None, None]


def test_of_the_models_of_several_tasks_those_of_the_first_answer(models, byte_level, run):
    write_hub_folder(models / "a-tagger", byte_level, {"architectures": ["RobertaForTokenClassification"]})
    write_bundle(models, byte_level, name="b")
    assert [row.get("default") for row in json.loads(run("list", "--json")[1])] == ["/ner", "/classify /explain"]


def test_a_folder_that_is_away_is_a_sentence(models, run):
    models.rmdir()
    for verb in (["list"], ["remove", "toy"]):
        code, _, _ = run(*verb)
        assert code == f"roberta-serve: {models}: the models folder is missing; name another with --models"


# --- remove ---------------------------------------------------------------------------------------------


def test_a_version_is_removed_and_then_the_name(models, byte_level, run):
    for _ in range(2):
        write_bundle(models, byte_level, name="toy")
    set_default(models, "classify", "toy")
    code, out, err = run("remove", "toy:1")
    assert (code, err) == (0, "")
    assert out.startswith(f"removed {models / 'toy' / '1'}, ")
    assert [path.name for path in (models / "toy").iterdir()] == ["2"]
    code, out, err = run("remove", "toy")
    assert out.startswith(f"removed {models / 'toy'}, ")
    assert "defaults.json still names toy as the default of /classify" in err
    assert [path.name for path in models.iterdir()] == ["defaults.json"]


def test_the_last_version_takes_its_name_with_it(models, byte_level, run):
    write_bundle(models, byte_level, name="toy")
    run("remove", "toy:1")
    assert list(models.iterdir()) == []


def test_a_folder_without_versions_is_its_version_1(models, byte_level, run):
    write_hub_folder(models / "Plain", byte_level)
    assert run("remove", "plain:1")[0] == 0
    assert list(models.iterdir()) == []


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        ("other", "there is no model 'other' in {}; there are: toy"),
        ("toy:9", "toy has no version '9'; there are: 1"),
        ("../outside", "there is no model '../outside'"),
        ("toy:../../outside", "toy has no version '../../outside'"),
        (".", "there is no model '.'"),
        ("", "there is no model ''"),
    ],
)
def test_what_is_not_there_is_not_removed(model, sentence, models, byte_level, run, tmp_path):
    write_bundle(models, byte_level, name="toy")
    outside = write_bundle(tmp_path, byte_level, name="outside")
    code, out, _ = run("remove", model)
    assert sentence.format(models) in code
    assert out == ""
    assert (outside / MANIFEST).is_file()
    assert (models / "toy" / "1" / MANIFEST).is_file()


@pytest.mark.parametrize("model", ["linked", "linked:1", "toy:7"])
def test_of_a_link_only_the_link_is_removed(model, models, byte_level, run, tmp_path):
    outside = write_hub_folder(tmp_path / "outside", byte_level)
    (models / "linked").symlink_to(outside)
    (models / "toy").mkdir()
    (models / "toy" / "7").symlink_to(outside)
    assert run("remove", model)[0] == 0
    assert (outside / "config.json").is_file()
    assert not (models / "linked" if "linked" in model else models / "toy" / "7").is_symlink()


# --- pull -----------------------------------------------------------------------------------------------


def test_a_folder_becomes_the_next_version_once(models, byte_level, tmp_path, run):
    folder = write_hub_folder(tmp_path / "plain", byte_level)
    (folder / "pytorch_model.bin").write_bytes(b"pickle")
    place = Place("reviews", {1: folder}, source=SOURCE)
    bundle, is_new = pull(place, models, "cpu")
    assert (bundle.path, is_new) == (models / "reviews" / "1", True)
    assert sorted(path.name for path in bundle.path.iterdir()) == [
        *("config.json", "model.onnx", "source.json", "tokenizer.json"),
    ]
    assert pull(place, models, "cpu")[1] is False
    later = Place("reviews", {1: folder}, source={**SOURCE, "commit": "9876543210"})
    assert pull(later, models, "cpu")[0].path == models / "reviews" / "2"
    registry = load(models)
    assert states(registry) == {"reviews": "reviews:2"}
    assert registry.find(None, "reviews").bundle.manifest.provenance["source"]["commit"] == "9876543210"
    assert "acme/reviews@9876543" in run("list")[1]


def test_a_bundle_is_taken_under_another_name_and_version_and_still_proves_itself(models, byte_level, tmp_path):
    inner = write_bundle(tmp_path, byte_level, name="inner")
    write_bundle(models, byte_level, name="reviews")
    bundle, _ = pull(Place("reviews", {1: inner}, own_name="inner", source=SOURCE), models, "cpu")
    assert (bundle.manifest.name, bundle.manifest.version, bundle.verified) == ("reviews", 2, True)
    assert states(load(models)) == {"reviews": "reviews:2"}
    assert bundle.manifest.provenance["source"]["repository"] == "acme/reviews"


@pytest.mark.parametrize("name", ["reviews", "Reviews"])
def test_a_name_that_is_taken_by_a_folder_without_versions_is_a_sentence(name, models, byte_level, tmp_path):
    write_hub_folder(models / name, byte_level)
    with pytest.raises(HubError, match="is there and has no versions; remove it, or pull under another name: NAME="):
        pull(Place("reviews", {1: write_hub_folder(tmp_path / "plain", byte_level)}), models, "cpu")


def test_what_cannot_be_served_leaves_nothing(models, byte_level, tmp_path):
    folder = write_hub_folder(tmp_path / "plain", byte_level)
    (folder / "model.onnx").write_bytes(b"no graph")
    with pytest.raises(HubError, match=r"reviews cannot be served: model\.onnx is not an ONNX graph"):
        pull(Place("reviews", {1: folder}), models, "cpu")
    assert list(models.iterdir()) == []


def test_a_full_disk_leaves_nothing_and_is_a_sentence(models, byte_level, tmp_path, monkeypatch):
    folder = write_hub_folder(tmp_path / "plain", byte_level)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("app.hub.pulling.shutil.copyfile", full)
    with pytest.raises(HubError, match="cannot be written to: No space left on device; make room"):
        pull(Place("reviews", {1: folder}), models, "cpu")
    assert list(models.iterdir()) == []
