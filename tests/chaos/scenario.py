"""What a scenario is, and how one is played against a service of its own."""

from __future__ import annotations

import json
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

import uvloop

from app.discovery import classes_in
from tests.chaos.stage import Stage
from tests.chaos.staging import staged
from tests.chaos.table import Row
from tests.chaos.tally import Tally, Truth
from tests.support.server import SHAPES


class Scenario(ABC):
    """One fault. `seconds` is the least that its load takes; `settings` are variables of the command."""

    fault: str  # what the table calls it
    seconds: float = 5.0
    shapes: ClassVar[Sequence[str]] = SHAPES
    settings: Mapping[str, str] = MappingProxyType({})
    prefix: Sequence[str] = ()  # of the command: what bounds or surrounds it
    is_smoke: bool = False  # whether the test suite plays it

    @property
    def name(self) -> str:
        """The module and the class, by which `--only` chooses it."""
        kind = type(self)
        return f"{kind.__module__.rpartition('.')[2]}.{kind.__name__}"

    @classmethod
    def variants(cls) -> Sequence[Scenario]:
        """Return the scenarios of this class; one that has parameters returns several."""
        return [cls()]

    def prepare(self, models: Path, folder: Path) -> Path:
        """Return the models folder to serve, `models` itself unless the scenario changes it."""
        return models

    @abstractmethod
    async def play(self, stage: Stage) -> None:
        """Inject the fault under load, and claim what must hold."""


def variables(**settings: Any) -> Mapping[str, str]:
    """Return settings of the service as variables of its environment."""
    values = {name: value if isinstance(value, str) else json.dumps(value) for name, value in settings.items()}
    return {f"ROBERTA_{name.upper()}": value for name, value in values.items()}


def all_scenarios() -> list[Scenario]:
    kinds = classes_in("tests.chaos.scenarios", Scenario)
    return [scenario for kind in kinds for scenario in kind.variants()]


def chosen(patterns: Sequence[str], shapes: Sequence[str]) -> Iterator[tuple[Scenario, str]]:
    """Yield the scenarios that one of the patterns is part of the name of, in each shape that they have."""
    for scenario in all_scenarios():
        if not patterns or any(pattern.lower() in scenario.name.lower() for pattern in patterns):
            yield from ((scenario, shape) for shape in scenario.shapes if shape in shapes)


async def play_each(scenarios: Sequence[Scenario], stage: Stage) -> list[Row]:
    """Play scenarios one after the other against one service, which none of them may end."""
    rows = []
    for scenario in scenarios:
        stage.tally = Tally(stage.tally.truth)
        await perform(scenario, stage)
        rows.append(Row(scenario.name, scenario.fault, stage.shape, stage.tally))
    return rows


async def perform(scenario: Scenario, stage: Stage) -> None:
    try:
        await scenario.play(stage)
    finally:
        await stage.close()


def play(scenario: Scenario, shape: str, models: Path, truth: Truth, seconds: float, pause_s: float = 0.0) -> Row:
    """Play a scenario against a service that is started for it; what fails of the playing itself is told, too."""
    tally = Tally(truth)
    with tempfile.TemporaryDirectory(prefix="chaos-") as root:
        folder = Path(root)
        served = scenario.prepare(models, folder)
        try:
            length_s = max(seconds, scenario.seconds)
            with staged(shape, served, folder, tally, length_s, scenario.settings, scenario.prefix) as stage:
                stage.pause_s = pause_s
                uvloop.run(perform(scenario, stage))
        except Exception as error:
            tally.claim(False, f"the scenario ended with {type(error).__name__}: {str(error)[:200]}")
        if "Traceback" in (log := (folder / "log").read_text(errors="replace")):
            tally.claim(False, f"a traceback in the log: {log.partition('Traceback')[2][-300:]!r}")
    return Row(scenario.name, scenario.fault, shape, tally)
