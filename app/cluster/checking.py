"""What is wrong with the settings of a replica, said in a sentence before any model is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from app.api.key_file import KeyFileError, read_key_file
from app.commands.models_check import ModelsError, check_models
from app.commands.settings_flags import sentence_of
from app.logs.levels import UnknownLoggerError, check_loggers
from app.settings import Settings


def settings_of(given: Mapping[str, Any]) -> Settings:
    """Return the settings that the `args` of a configuration file are. Raises `ValueError`.

    Files are not looked at: they are those of the machine that a replica comes to.
    """
    try:
        settings = Settings(**given)
    except ValidationError as error:
        raise ValueError("; ".join(sentence_of(each, Settings) for each in error.errors(include_url=False))) from None
    try:
        check_loggers(settings.log_levels)
    except UnknownLoggerError as error:
        raise ValueError(f"log_levels: {error.name}: {error}") from None
    return settings


def check_files(settings: Settings) -> None:
    """Raise `ValueError` where the models or the keys that the settings name are not on this machine."""
    try:
        check_models(settings)
        if settings.api_keys_file is not None:
            read_key_file(settings.api_keys_file)
    except ModelsError as error:
        raise ValueError(str(error)) from None
    except KeyFileError as error:
        raise ValueError(f"api_keys_file {error}") from None
