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


def test_code_is_the_same_where_other_files_have_changed(tmp_path, monkeypatch):
    def git(*arguments):
        who = ("-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false")
        subprocess.run(["git", *who, *arguments], cwd=tmp_path, check=True, capture_output=True)

    def write(name, text):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)

    monkeypatch.setattr(provenance, "ROOT", tmp_path)
    for name in ("app/a.py", "training/b.py", "data.csv"):
        write(name, "1")
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "one")
    first = provenance.commit_of_this_code()
    assert provenance.is_this_code(first)
    write("data.csv", "2")
    git("commit", "-qam", "data")
    assert provenance.commit_of_this_code() != first
    assert provenance.is_this_code(first)
    assert not provenance.is_this_code("0" * 40)  # which is not there
    assert not provenance.is_this_code(None)
    write("app/a.py", "2")
    assert not provenance.is_this_code(first)
    git("commit", "-qam", "code")
    assert not provenance.is_this_code(first)
