"""The flags of `roberta-serve serve`, which are its settings."""

from __future__ import annotations

from pydantic_settings import SettingsConfigDict

from app.commands.settings_flags import SettingsParser
from app.commands.verbs import COMMAND
from app.http_settings import CLI
from app.settings import Settings

DESCRIPTION = """Serve fine-tuned RoBERTa models over HTTP with dynamic batching.

  roberta-serve                                        the bundles in models/, on port 8000
  roberta-serve --models FOLDER --port 9000            those of another folder
  roberta-serve --model ORG/NAME                       a model of the Hugging Face Hub, by its name
  roberta-serve --log-requests                         a line for each request"""
EPILOG = """Every flag is also an environment variable: --max-queue-tokens is ROBERTA_MAX_QUEUE_TOKENS. A list is given
by repeating its flag or as JSON, a table as KEY=VALUE or as JSON.
exit codes: 0 it has drained; 1 the settings cannot be served; 2 wrong flags; 130 after a second interrupt"""


class Command(Settings):
    """The settings, with flags."""

    model_config = SettingsConfigDict(**CLI, cli_prog_name="roberta-serve")


def make_parser() -> SettingsParser[Command]:
    description = f"{DESCRIPTION}\n\nverbs, each explained by `roberta-serve VERB --help`:\n{COMMAND.list_verbs()}"
    parser = SettingsParser(Command, "roberta-serve", description, EPILOG)
    parser.usage = "roberta-serve [VERB] [FLAG ...]"
    return parser
