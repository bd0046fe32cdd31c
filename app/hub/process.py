"""Starting the process that fetches, and hearing what it says."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from app.serving.places import Place, place_from

Hear = Callable[[dict[str, Any]], None]


@dataclass
class Prepared:
    """The places of what was named, in that order, and why others have none, by their names; None: any of them."""

    places: list[Place] = field(default_factory=list)
    refused: dict[str | None, str] = field(default_factory=dict)


class Fetch:
    """One run of the process that fetches. Another thread may `stop` it."""

    def __init__(self, texts: Sequence[str], device: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "app.hub", device, *texts],
            stdin=subprocess.PIPE,  # it ends when this pipe does, however this process ends
            stdout=subprocess.PIPE,
            env=os.environ | ({} if sys.stderr.isatty() else {"HF_HUB_DISABLE_PROGRESS_BARS": "1"}),  # lines say it
            start_new_session=True,  # so that it can be killed together with the exporter
        )

    def run(self, hear: Hear) -> Prepared:
        """Hear it until it ends. `hear` is given what it says meanwhile."""
        prepared = Prepared()
        with self._process:
            try:
                has_ended = self._hear_all(prepared, hear)
            except BaseException:  # an interrupt, for one: `with` would wait for its end
                self.stop()
                raise
        if not has_ended and not prepared.refused:
            prepared.refused[None] = f"fetching ended with {self._process.returncode}; the lines before say why"
        return prepared

    def _hear_all(self, prepared: Prepared, hear: Hear) -> bool:
        """Hear every line, and return whether the last one says that all was said."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            said = json.loads(line)
            if said["event"] == "prepared":
                prepared.places.append(place_from(said["place"]))
            elif said["event"] == "refused":
                prepared.refused[said["model"]] = said["reason"]
            elif said["event"] == "ended":
                return True
            else:
                hear(said)
        return False

    def stop(self) -> None:
        """End it at once, with what it has started. What was fetched until then is kept, and resumed."""
        if self._process.returncode is not None:
            return  # its number may be another's by now
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
