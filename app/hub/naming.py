"""How a model is named on the command line: `[NAME=]ORG/NAME[@REVISION]`, or a folder in place of ORG/NAME."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from app.bundle import MANIFEST
from app.bundle.hub_cache import repository_of
from app.bundle.naming import NAME_RULE, slug
from app.hub.errors import HubError

MAIN = "main"
REPOSITORY = re.compile(r"[\w.-]{1,96}(/[\w.-]{1,96})?", re.ASCII)
URL = re.compile(r"(hf://|https?://[^/]+/)(models/)?")
PAGE = re.compile(r"/(tree|blob)/(?P<revision>.+)")


@dataclass(frozen=True)
class Spec:
    """A model that was named. It has a `folder`, or else a `repository` of the Hub and its `revision`."""

    text: str
    name: str
    repository: str = ""
    revision: str = MAIN
    folder: Path | None = None


def parse_spec(text: str) -> Spec:
    """Understand what was given. Raises `HubError`."""
    given, target = split_name(text.strip())
    folder = Path(target).expanduser()
    if target and folder.is_dir():
        return Spec(text, name_for(given or name_of_folder(folder.resolve()), target), folder=folder)
    if target.startswith((".", "/", "~")):
        raise HubError(f"there is no folder {target}; give one, or ORG/NAME of a model on the Hub")
    repository, revision = split_revision(URL.sub("", target, count=1) if URL.match(target) else target)
    if not REPOSITORY.fullmatch(repository) or "--" in repository or ".." in repository:
        raise HubError(f"{text!r} is neither a folder nor ORG/NAME of a model on the Hub, such as acme/reviews@v2")
    return Spec(text, name_for(given or repository.rpartition("/")[2], target), repository, revision)


def name_of_folder(folder: Path) -> str:
    """Return what a folder's model is called: of a version the folder above, in Hugging Face's cache its repository."""
    if (repository := repository_of(folder)) is not None:
        return repository.rpartition("/")[2]
    return folder.parent.name if folder.name.isdecimal() and (folder / MANIFEST).is_file() else folder.name


def split_name(text: str) -> tuple[str, str]:
    """Return what stands before `=`, and the rest."""
    name, equals, rest = text.partition("=")
    return (name, rest) if equals and not re.search(r"[/\\@]", name) else ("", text)


def split_revision(target: str) -> tuple[str, str]:
    """Return a repository and its revision, from `ORG/NAME@v2` or from the address of its page."""
    if page := PAGE.search(target):
        return target[: page.start()], page["revision"].rstrip("/")
    repository, _, revision = target.rstrip("/").partition("@")
    return repository, revision or MAIN


def name_for(wanted: str, target: str) -> str:
    """Return the name that a model is served by. Raises `HubError` where none can be made."""
    if name := slug(wanted):
        return name
    raise HubError(f"no name can be made of {wanted!r}; give one as NAME={target}: {NAME_RULE}")


def parse_specs(texts: Iterable[str]) -> list[Spec]:
    """Understand all that was given. Raises `HubError`, also where two models would have the same name."""
    specs: dict[str, Spec] = {}
    for spec in map(parse_spec, texts):
        if (other := specs.setdefault(spec.name, spec)) is not spec:
            raise HubError(
                f"{other.text} and {spec.text} would both be called {spec.name}; name one, as OTHER={spec.text}"
            )
    return list(specs.values())
