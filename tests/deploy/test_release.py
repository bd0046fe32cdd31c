"""`make release` on a small clone: what stops it, what it changes, and that a dry run changes nothing."""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import tarfile
from datetime import date
from pathlib import Path

import pytest

from app import __version__
from deploy.release import building, pin
from deploy.release.__main__ import raise_version, release, steps
from deploy.release.version import (
    CHANGES,
    CHART,
    CODE,
    ReleaseError,
    Repository,
    notes_of,
    problem_of,
    raised,
    section,
)

ROOT = Path(__file__).parents[2]
DIGEST = f"sha256:{'0' * 63}1"


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """Make a clone that has the files of the version, as they are, and one release behind it."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "somebody")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "somebody@example.org")
    for path in (CODE, CHART):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_bytes((ROOT / path).read_bytes())
    (tmp_path / CHANGES).write_text(
        "# Changelog\n\n## 0.2.0 (unreleased)\n\n- More.\n\n## 0.1.0 (2026-01-01)\n\n- It.\n"
    )
    (tmp_path / CHART).with_name("rules.yml").symlink_to(ROOT / "deploy/prometheus/records.yml")
    (tmp_path / ".gitignore").write_text("dist/\n")
    subprocess.run(["git", "init", "--quiet", "--initial-branch=main", str(tmp_path)], check=True)
    made = Repository(tmp_path)
    made.git("add", "--all")
    made.git("commit", "--quiet", "--message", "It")
    made.git("tag", "v0.1.0")
    return made


def options(version: str, **more: object) -> argparse.Namespace:
    defaults = {"engine": "docker", "images": ["cpu"], "tagged": False, "dry_run": False}
    return argparse.Namespace(version=version, **(defaults | more))


def test_the_next_version_can_be_released(repository):
    assert problem_of(repository, "0.2.0") is None


@pytest.mark.parametrize(
    ("version", "sentence"),
    [
        ("0.2", "'0.2' is no version"),
        ("0.1.0", "v0.1.0 is there already"),
        ("0.0.9", "0.0.9 is not above 0.1.0"),
        ("0.3.0", "no section `## 0.3.0 (unreleased)`"),
    ],
)
def test_another_one_cannot_and_the_sentence_says_why(repository, version, sentence):
    assert sentence in problem_of(repository, version)


def test_changes_that_are_not_committed_stop_it(repository):
    (repository.root / CODE).write_text("")
    assert "not committed" in problem_of(repository, "0.2.0")


def test_the_version_is_raised_where_it_stands_and_committed(repository):
    raise_version(repository, "0.2.0")
    assert '__version__ = "0.2.0"' in repository.read(CODE)
    assert "\nversion: 0.2.0\n" in repository.read(CHART)
    assert "\nappVersion: 0.2.0\n" in repository.read(CHART)
    assert section(repository.read(CHANGES), "0.2.0") is None
    assert repository.git("status", "--porcelain") == ""
    assert repository.git("log", "-1", "--format=%s") == "Release 0.2.0"


def test_the_changelog_has_the_day(repository):
    changes = raised(repository, "0.2.0", date(2026, 12, 1))[CHANGES]
    assert "## 0.2.0 (2026-12-01)\n" in changes
    assert notes_of(changes, "0.2.0") == "- More."


def test_a_dry_run_changes_nothing_and_names_every_step(repository, capsys):
    before = {path: path.read_bytes() for path in repository.root.rglob("*") if path.is_file()}
    release(repository, options("0.2.0", dry_run=True))
    printed = capsys.readouterr().out
    assert all(f"would {sentence}\n" in printed for sentence, _ in steps(repository, options("0.2.0")))
    assert {path: path.read_bytes() for path in repository.root.rglob("*") if path.is_file()} == before


def test_a_dry_run_says_what_would_stop_it(repository):
    with pytest.raises(ReleaseError, match="no section"):
        release(repository, options("0.3.0", dry_run=True))


def test_from_a_tag_it_only_builds(repository):
    sentences = [sentence for sentence, _ in steps(repository, options("0.2.0", tagged=True))]
    assert not [each for each in sentences if "commit" in each]


def test_the_chart_is_packed_as_helm_does_and_sums_hold_every_file(repository, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    building.make_chart(repository, out, "0.2.0")
    with tarfile.open(out / "roberta-serve-0.2.0.tgz") as archive:
        assert archive.getnames() == ["roberta-serve/Chart.yaml", "roberta-serve/rules.yml"]
        assert all(member.isfile() for member in archive), "a link would lead nowhere"
    building.make_notes(repository, out, "0.2.0")
    building.make_sums(out)
    building.make_signing(out)
    lines = (out / building.SUMS).read_text().splitlines()
    assert [line.split("  ")[1] for line in lines] == ["NOTES.md", "roberta-serve-0.2.0.tgz"]
    assert lines[0].split("  ")[0] == hashlib.sha256((out / "NOTES.md").read_bytes()).hexdigest()


def test_what_signs_is_what_is_installed(tmp_path, monkeypatch):
    monkeypatch.setattr(building.shutil, "which", lambda name: f"/bin/{name}" if name == "cosign" else None)
    building.make_signing(tmp_path)
    assert "cosign sign-blob --bundle SHA256SUMS.sigstore.json SHA256SUMS" in (tmp_path / "sign.sh").read_text()
    monkeypatch.setattr(building.shutil, "which", lambda _: None)
    building.make_signing(tmp_path)
    assert "install cosign" in (tmp_path / "sign.sh").read_text()


def test_files_that_name_the_version_agree():
    """And the expressions that raise it find it in each."""
    repository = Repository(ROOT)
    texts = raised(repository, "9.8.7", date(2026, 12, 1))
    assert '__version__ = "9.8.7"' in texts[CODE]
    assert texts[CHART].count("9.8.7") == 2
    assert f"appVersion: {__version__}\n" in repository.read(CHART)


# --- Digests -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("FROM python:3.11-slim-bookworm AS base", f"FROM python:3.11-slim-bookworm@{DIGEST} AS base"),
        (f"FROM python:3.11@sha256:{'f' * 64} AS base", f"FROM python:3.11@{DIGEST} AS base"),
        ("FROM base AS environment", "FROM base AS environment"),
        ("    image: prom/prometheus:v3.13.3", f"    image: prom/prometheus:v3.13.3@{DIGEST}"),
        (f"    image: a/b:1@sha256:{'f' * 64}", f"    image: a/b:1@{DIGEST}"),
        ("    image: localhost:5000/a/b:1", f"    image: localhost:5000/a/b:1@{DIGEST}"),
        ("    image: roberta-serve:gpu", "    image: roberta-serve:gpu"),
        ("    image: roberta-serve:${ROBERTA_TARGET:-cpu}", "    image: roberta-serve:${ROBERTA_TARGET:-cpu}"),
    ],
)
def test_what_others_made_is_pinned(line, expected):
    assert pin.pinned(line, lambda image: DIGEST) == expected


def test_every_image_of_others_is_found():
    asked: list[str] = []
    for name in ("Dockerfile", "docker-compose.yml"):
        pin.pinned((ROOT / name).read_text("utf-8"), lambda image: asked.append(image) or DIGEST)
    assert [image.split(":")[0] for image in asked] == [
        "python",
        "prom/prometheus",
        "prom/alertmanager",
        "grafana/grafana",
        "jaegertracing/jaeger",
    ]


def test_skopeo_is_asked_and_what_is_no_digest_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    program = tmp_path / "skopeo"
    program.write_text(f'#!/bin/sh\necho "$*" > {tmp_path}/asked\necho {DIGEST}\n')
    program.chmod(0o755)
    assert pin.ask_registry("python:3.11") == DIGEST
    assert (tmp_path / "asked").read_text().endswith("docker://python:3.11\n")
    program.write_text("#!/bin/sh\necho no route >&2\nexit 1\n")
    with pytest.raises(pin.PinError, match=r"the digest of python:3\.11 is not known: no route"):
        pin.ask_registry("python:3.11")
