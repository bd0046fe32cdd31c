"""`roberta-serve tune BUNDLE`: find the settings with which a model is fastest on this machine."""

from __future__ import annotations

from app.bundle import BundleError
from app.commands.parsing import parse
from app.runtime.session import SessionError
from app.serving.local_engine import choose_device
from app.tune import OutputError, Tune


def run(arguments: list[str]) -> None:
    settings = parse(Tune, arguments)
    try:
        settings.run_on(choose_device(settings))
    except (BundleError, SessionError, OutputError) as error:
        raise SystemExit(f"roberta-serve: {error}") from None
