"""What a harness is: bytes go in, and only declared errors come out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

from app.discovery import classes_in

CORPUS = Path(__file__).with_name("corpus")


class Harness(ABC):
    """Reads bytes as one reader of the project does. `declared`: the errors that it may raise."""

    name: ClassVar[str]  # of its folder in `corpus/`
    declared: ClassVar[tuple[type[BaseException], ...]]
    longest: ClassVar[int] = 4096  # bytes of one input

    def __init__(self, folder: Path) -> None:
        self.folder = folder  # for the files of one input

    @abstractmethod
    def read(self, data: bytes) -> None:
        """Read one input."""

    def __call__(self, data: bytes) -> None:
        with suppress(*self.declared):
            self.read(data)

    def close(self) -> None:  # noqa: B027 most have nothing to close
        """Free what the harness holds."""

    @classmethod
    def corpus(cls) -> list[Path]:
        return sorted((CORPUS / cls.name).glob("*"))


def all_harnesses() -> dict[str, type[Harness]]:
    found = classes_in("tests.fuzz.harnesses", Harness)
    return {kind.name: kind for kind in found if hasattr(kind, "name")}  # the others are what several share
