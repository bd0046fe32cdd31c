"""One command for a version: `make release VERSION=0.2.0`.

It raises the version where it stands, dates its section of the changelog and commits that; builds packages, images,
chart and bills of materials into dist/; serves from the wheel; and tags the commit. Nothing is pushed or published.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from deploy.release import building, proving
from deploy.release.version import ReleaseError, Repository, problem_of, raised, tag_of

ROOT = Path(__file__).parents[2]
Step = tuple[str, Callable[[], object]]


def steps(repository: Repository, options: argparse.Namespace) -> list[Step]:
    """Return what is done, in order, each with a sentence."""
    version, out = options.version, repository.root / "dist" / options.version
    tag = tag_of(version)
    raising: list[Step] = [
        (f"raise the version to {version}, and commit", lambda: raise_version(repository, version)),
    ]
    tagging: list[Step] = [
        (f"tag the commit as {tag}", lambda: repository.git("tag", "--annotate", "--message", tag, tag)),
    ]
    made: list[Step] = [
        (f"begin with an empty {out.relative_to(repository.root)}/", lambda: begin(out)),
        ("build the sdist and the wheel", lambda: building.make_packages(repository, out)),
        ("serve from the wheel, in a new environment", lambda: proving.prove(repository, wheel_in(out), version)),
        ("pack the chart", lambda: building.make_chart(repository, out, version)),
        ("write the bills of materials", lambda: building.make_bills(repository, out)),
        (
            f"build the images {', '.join(options.images)}",
            lambda: building.make_images(repository, options.images, options.engine),
        ),
        ("write the notes", lambda: building.make_notes(repository, out, version)),
        (
            "write the sums, and the script that signs them",
            lambda: (building.make_sums(out), building.make_signing(out)),
        ),
    ]
    return made if options.tagged else [*raising, *made, *tagging]


def raise_version(repository: Repository, version: str) -> None:
    texts = raised(repository, version, datetime.now(UTC).date())
    repository.write(texts)
    repository.git("commit", "--quiet", "--message", f"Release {version}", "--", *map(str, texts))


def begin(out: Path) -> None:
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)


def wheel_in(out: Path) -> Path:
    [wheel] = out.glob("*.whl")
    return wheel


def release(repository: Repository, options: argparse.Namespace) -> None:
    """Check what must be so, and do every step; only name them where that is asked for. Raises `ReleaseError`."""
    problem = None if options.tagged else problem_of(repository, options.version)
    if problem is not None and not options.dry_run:
        raise ReleaseError(problem)
    for sentence, act in steps(repository, options):
        say(f"{'would ' if options.dry_run else ''}{sentence}")
        if not options.dry_run:
            act()
    if problem is not None:
        raise ReleaseError(problem)
    say(f"next: git push --follow-tags; dist/{options.version}/sign.sh; push the images by their version")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m deploy.release", description=__doc__)
    parser.add_argument("version", help="such as 0.2.0")
    parser.add_argument("--engine", default="docker", help="builds the images: docker, podman or buildah")
    parser.add_argument("--images", nargs="*", default=["cpu", "gpu", "train"], help="targets to build; none: no image")
    parser.add_argument("--tagged", action="store_true", help="only build, from a commit that has the version already")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and change nothing")
    try:
        release(Repository(ROOT), parser.parse_args(arguments))
    except ReleaseError as error:
        raise SystemExit(f"release: {error}") from None


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
