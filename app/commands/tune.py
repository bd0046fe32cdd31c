"""`roberta-serve tune BUNDLE`: find the settings with which a model is fastest on this machine."""

from __future__ import annotations

from app.bundle import BundleError
from app.commands.settings_flags import SettingsParser
from app.runtime.session import SessionError
from app.serving.local_engine import choose_device
from app.tune import OutputError, Tune

DESCRIPTION = """Time the ways to share out this machine for one model, and write the best to a file that
`roberta-serve` reads when it starts in the same folder. Flags and environment variables go before what the file says.

  roberta-serve tune sentiment --models models"""


def make_parser() -> SettingsParser[Tune]:
    return SettingsParser(Tune, "roberta-serve tune", DESCRIPTION)


def run(settings: Tune) -> None:
    try:
        settings.run_on(choose_device(settings))
    except (BundleError, SessionError, OutputError) as error:
        raise SystemExit(f"roberta-serve: {error}") from None
