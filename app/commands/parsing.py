"""What verbs say on standard error, and the settings that hold where flags say nothing."""

from __future__ import annotations

from functools import partial

from app.command_line.parser import complain as complain_of
from app.commands.settings_flags import SettingsParser
from app.settings import Settings

COMMAND = "roberta-serve"
complain = partial(complain_of, COMMAND)


def settings_without_flags() -> Settings:
    """Read the environment and the file of settings. For each that is wrong, print a sentence, and end the command."""
    return SettingsParser(Settings, COMMAND, "").read([])
