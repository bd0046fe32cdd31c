"""The process that fetches: specs are its arguments, what it says are lines of JSON on standard output.

It ends with the process that started it: the end of its standard input is that one's end.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading

import huggingface_hub.utils.logging  # noqa: F401  # so that its own handlers are there to be replaced

from app.hub.devices import device_for
from app.hub.errors import HubError
from app.hub.events import redirect_warnings, tell
from app.hub.naming import parse_specs
from app.hub.preparing import Preparation, row_of


def main(device: str, texts: list[str]) -> None:
    """Prepare each, and say its place, or why it has none."""
    threading.Thread(target=end_with_parent, name="parent", daemon=True).start()
    logging.captureWarnings(capture=True)
    for name in ("huggingface_hub", "py.warnings"):
        redirect_warnings(name)
    try:
        specs = parse_specs(texts)
    except HubError as error:
        tell("refused", model=None, reason=str(error))
        return
    preparation = Preparation(device_for(device), tell)  # type: ignore[arg-type]
    for spec in specs:
        try:
            tell("prepared", place=row_of(preparation.prepare(spec)))
        except HubError as error:
            tell("refused", model=spec.name, reason=str(error))
    tell("ended")


def end_with_parent() -> None:
    """Wait for the end of standard input, then end this process and the exporter that it may have started."""
    while os.read(0, 1024):
        pass
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
