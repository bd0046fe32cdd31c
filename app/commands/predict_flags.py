"""The flags of `roberta-serve predict`: its own, some settings, and what the tasks' requests may say."""

from __future__ import annotations

import json
from argparse import BooleanOptionalAction, Namespace
from typing import Any, get_args, get_origin

from pydantic_settings import SettingsConfigDict

from app.bulk.asking import all_fields
from app.bulk.batching import BATCH_TOKENS
from app.bulk.formats import FORMATS
from app.command_line.parser import Parser
from app.commands.settings_flags import SettingsParser, choices_of, metavar_of
from app.http_settings import CLI
from app.settings import Settings

STANDARD = "-"  # standard input, standard output
DESCRIPTION = """Answer every row of files without a server: CSV, TSV, JSON lines, Parquet, or plain lines, each but
Parquet with gzip too. The output has the columns of the input as they stand, those of the answer, and `error`.

  roberta-serve predict sentiment reviews.csv -o answered.csv
  roberta-serve predict sentiment reviews/ -o answered/
  cat lines.txt | roberta-serve predict sentiment - > answered.jsonl

A command that was interrupted or killed goes on when it is given again, where the output is a file."""
EPILOG = """exit codes: 0 the output is whole, rows with an error included; 1 it is not, or no row could be answered;
2 wrong flags; 130 or 143 interrupted: the same command goes on; 141 the reader of standard output went away"""
# The settings that have a flag here; the others hold, too, from the environment.
SETTINGS = (
    *("models", "device", "gpus", "gpu_memory_limit_mb", "runners", "intra_op_threads", "max_batch_tokens"),
    *("max_characters", "log_level", "log_format"),
)
# What they mean for rows, where that is not what they mean for requests.
OF_ROWS = {
    "gpus": "GPUs to run on, by CUDA's numbers, e.g. [0, 1]",
    "runners": "batches that run at once; default: one per CPU core, or two per GPU",
    "max_batch_tokens": f"tokens in one batch; default: {BATCH_TOKENS['cpu']} on CPU, {BATCH_TOKENS['cuda']:,} on CUDA",
    "max_characters": f"most characters of one row's texts ({Settings.model_fields['max_characters'].default:,})",
}


class Predict(Settings):
    """The settings of this verb."""

    model_config = SettingsConfigDict(**CLI, cli_prog_name="roberta-serve predict")


def make_parser() -> Parser:
    parser = Parser("roberta-serve predict", DESCRIPTION, EPILOG)
    parser.add_argument(
        "model", metavar="MODEL", help="name or name:version of the models folder, a folder, or a Hub id"
    )
    parser.add_argument(
        "inputs",
        nargs="+",
        metavar="INPUT",
        help="file; several of the same columns; - is stdin; folder, with -o FOLDER/",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        default=STANDARD,
        help="file, replaced once whole, or FOLDER/ of an output for each input; default: standard output",
    )
    parser.add_argument("--input-format", choices=FORMATS, help="default: by the name; text for standard input")
    parser.add_argument(
        "--output-format", choices=[each for each in FORMATS if each != "text"], help="default: by the name"
    )
    parser.add_argument("--text-column", metavar="NAME", help="default: text, or the only column")
    parser.add_argument("--pair-column", metavar="NAME", help="second text, for a model of pairs")
    parser.add_argument(
        "--prefix", metavar="TEXT", help="of the names of answers; default: none, or predicted_ where one is taken"
    )
    parser.add_argument(
        "--separator", metavar="SIGN", default="", help="of CSV; default: , ; | or tab, as the first line has it"
    )
    parser.add_argument(
        "--encoding", metavar="NAME", default="utf-8", help="of text files that are read; utf-8 is written"
    )
    parser.add_argument("--strict", action="store_true", help="a text of more than one window is an error")
    parser.add_argument("--restart", action="store_true", help="drop what an earlier command has left of the output")
    parser.add_argument(
        "--ray", metavar="ADDRESS", help="have a Ray cluster answer the files: auto, HOST:PORT of its head, or local"
    )
    add_settings(parser)
    add_options(parser)
    return parser


def add_settings(parser: Parser) -> None:
    group = parser.add_argument_group("settings, as of the service")
    for name in SETTINGS:
        field = Settings.model_fields[name]
        described = OF_ROWS.get(name, field.description or "").replace("%", "%%")
        metavar, choices = metavar_of(name, field.annotation), choices_of(field.annotation)
        group.add_argument(flag_of(name), dest=f"settings.{name}", metavar=metavar, help=described, choices=choices)


def add_options(parser: Parser) -> None:
    """Add what may be asked of the tasks; a flag is for the tasks that are named in its help."""
    group = parser.add_argument_group("what is asked, as in the body of a request")
    for name, known in all_fields().items():
        tasks = ", ".join(task.name for task, _ in known)
        described = f"{known[0][1].description} ({tasks})".replace("%", "%%")
        kinds: dict[str, Any] = {"metavar": "VALUE"}
        if all(field.annotation is bool for _, field in known):
            kinds = {"action": BooleanOptionalAction, "default": None}
        elif any(is_list(field.annotation) for _, field in known):
            kinds = {"action": "append", "metavar": "VALUE"}
        group.add_argument(flag_of(name), dest=f"options.{name}", help=described, **kinds)


def is_list(kind: Any) -> bool:
    return get_origin(kind) is list or any(is_list(each) for each in get_args(kind))


def flag_of(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def given(flags: Namespace, group: str) -> dict[str, Any]:
    """Return the flags of a group that were given, by name."""
    start = f"{group}."
    return {
        name.removeprefix(start): value
        for name, value in vars(flags).items()
        if name.startswith(start) and value is not None
    }


def settings_of(flags: Namespace) -> Settings:
    """Return the settings; ends the command with a sentence for each that is wrong."""
    arguments = [f"{flag_of(name)}={value}" for name, value in given(flags, "settings").items()]
    return SettingsParser(Predict, "roberta-serve predict", "").read(arguments)


def options_of(flags: Namespace) -> dict[str, Any]:
    """Return what is asked, as the body of a request would say it."""
    return {name: value_of(text) for name, text in given(flags, "options").items()}


def value_of(text: Any) -> Any:
    """Return the value that a flag stands for: JSON, or a text. A flag that may be repeated has a list."""
    if isinstance(text, list):
        values = [value_of(each) for each in text]
        return values[0] if len(values) == 1 and not isinstance(values[0], str) else values
    try:
        return json.loads(text) if isinstance(text, str) else text
    except ValueError:
        return text
