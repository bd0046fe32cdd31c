"""What a bundle says of where it comes from is true, and names no folder of the machine."""

import subprocess

from training import provenance


def test_paths_are_reduced_to_their_last_part(tmp_path):
    settings = {
        "data": {"train": str(tmp_path / "train.csv"), "test": "intents/test.csv", "dataset": "org/name"},
        "files": ("../up/a.txt", "b.txt"),
        "distillation": {"teacher": str(tmp_path)},
        "epochs": 3,
    }
    assert provenance.without_folders(settings) == {
        "data": {"train": "train.csv", "test": "intents/test.csv", "dataset": "org/name"},
        "files": ["a.txt", "b.txt"],
        "distillation": {"teacher": tmp_path.name},
        "epochs": 3,
    }


def test_the_commit_is_of_this_repository_or_none(monkeypatch, tmp_path):
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    monkeypatch.setattr(provenance, "ROOT", tmp_path / "inside")
    (tmp_path / "inside").mkdir()
    assert provenance.commit_of_this_code() is None
    monkeypatch.setattr(provenance, "ROOT", tmp_path / "nowhere")
    assert provenance.commit_of_this_code() is None


def test_a_machine_without_git_has_no_commit(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert provenance.commit_of_this_code() is None


def test_versions_are_of_what_is_imported():
    import onnxruntime

    assert provenance.versions()["onnxruntime"] == onnxruntime.__version__
