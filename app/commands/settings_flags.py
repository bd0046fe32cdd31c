"""Flags of what are settings: in groups, each with a word for its value, read with the environment and the file."""

from __future__ import annotations

import re
from argparse import Action, ArgumentParser, _ArgumentGroup
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Generic, Literal, TypeVar, get_args, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, CliApp, CliSettingsSource, SettingsError

from app.command_line.near import did_you_mean
from app.command_line.parser import WRONG_FLAGS, Parser, complain

SettingsT = TypeVar("SettingsT", bound=BaseSettings)

GROUPS = {
    "models": ("models", "model", "default_models", "default_route", "precision", "reload_interval_s"),
    "where it listens": ("host", "port", "uds", "uds_mode", "admin_port", "admin_host"),
    "who may ask": ("api_keys", "api_keys_file", "access", "cors_origins"),
    "what it says": ("log_format", "log_level", "log_levels", "access_log"),
    "device and speed": (
        *("device", "gpus", "gpu_memory_limit_mb", "cuda_graphs", "http_workers", "runners", "intra_op_threads"),
        *("idle_threads", "max_batch_tokens", "max_queue_delay_ms"),
    ),
    "limits": (
        *("max_queue_tokens", "max_queue_s", "max_queue_age_ms", "max_body_bytes", "max_body_memory_mb", "max_inputs"),
        *("max_characters", "max_answer_memory_mb", "max_head_bytes", "max_connections"),
    ),
    "times": (
        *("request_timeout_s", "load_timeout_s", "stall_timeout_s", "shutdown_delay_s", "drain_timeout_s"),
        *("head_timeout_s", "keep_alive_s", "send_timeout_s"),
    ),
    "TLS": ("ssl_certfile", "ssl_keyfile", "ssl_keyfile_password", "ssl_ca_certs"),
    "behind a proxy or a platform": ("root_path", "predict_route", "health_route", "forwarded_allow_ips"),
}
OTHERS = "further settings"
ALIASES = {"access_log": ("--log-requests",)}
METAVARS = {
    "models": "FOLDER",
    "model": "MODEL",
    "host": "ADDRESS",
    "admin_host": "ADDRESS",
    "port": "PORT",
    "admin_port": "PORT",
    "default_models": "ROUTE=MODEL",
    "default_route": "ROUTE",
    "access": "PAGE=OPEN|KEY|OFF",
    "api_keys": "KEY",
    "log_levels": "MODULE=LEVEL",
    "gpus": "NUMBER",
    "cors_origins": "ORIGIN",
    "forwarded_allow_ips": "NETWORK",
    "uds_mode": "MODE",
    "ssl_keyfile_password": "PASSWORD",
}
UNITS = {"_ms": "MS", "_s": "SECONDS", "_mb": "MIB", "_bytes": "BYTES", "_tokens": "TOKENS", "_threads": "THREADS"}
KINDS: Mapping[object, str] = {Path: "FILE", int: "NUMBER", float: "NUMBER", str: "TEXT"}
NO_DEFAULT = re.compile(r" \(default( factory)?: (None|list|dict|\[\]|\{\}|)\)")
SAID = "Default: "  # in a description that says itself what holds where nothing is given


class SettingsParser(Parser, Generic[SettingsT]):
    """A parser whose flags are the fields of `kind`, and which returns its settings."""

    def __init__(self, kind: type[SettingsT], prog: str, description: str, epilog: str | None = None) -> None:
        super().__init__(prog, description, epilog)
        places = "".join(f" {name.upper()}" for name, field in kind.model_fields.items() if is_by_place(field))
        self.usage = f"{prog}{places} [FLAG ...]"
        self._kind, self._own = kind, frozenset(kind.model_fields)
        self._titled: dict[str, _ArgumentGroup] = {}
        for title, names in GROUPS.items():
            if self._own.intersection(names):
                self._titled[title] = self.add_argument_group(title)
        self._source: Any = CliSettingsSource(
            kind, root_parser=self, parse_args_method=read_flags, add_argument_method=self._add
        )

    def _add(self, parser: ArgumentParser, *flags: str, **described: Any) -> Action:
        """Add the flag of one field to its group."""
        name = described.get("dest", flags[0])
        help_text = described["help"] or ""
        described["help"] = NO_DEFAULT.sub("", help_text)
        if SAID in help_text:
            described["help"] = re.sub(r" \(default(?: factory)?: [^)]*\)$", "", help_text)
        if "metavar" in described and (field := self._kind.model_fields.get(name)):
            described["metavar"] = metavar_of(name, field.annotation)
            described["choices"] = choices_of(field.annotation) if described.get("action") != "append" else None
        if not flags[0].startswith("-"):  # an argument by its place
            return parser.add_argument(*flags, **described)
        return self._group_of(name).add_argument(*flags, *ALIASES.get(name, ()), **described)

    def _group_of(self, name: str) -> _ArgumentGroup:
        titles = (title for title, names in GROUPS.items() if name in names)
        title = next(titles, OTHERS)
        if title not in self._titled:
            self._titled[title] = self.add_argument_group(title)
        return self._titled[title]

    def read_flags(self, args: Sequence[str] | None, namespace: Any) -> Any:
        """Return the flags alone; an unknown one ends the command."""
        return self.parse_args(args, namespace)

    def load(self, args: Sequence[str]) -> SettingsT:
        """Return the settings. Raises `ValidationError` and `SettingsError`."""
        return CliApp.run(self._kind, list(args), cli_settings_source=self._source)

    def read(self, arguments: Sequence[str]) -> SettingsT:
        """Return the settings. For each that is wrong, print a sentence; then end the command."""
        try:
            return self.load(arguments)
        except ValidationError as error:
            for problem in error.errors(include_url=False):
                complain(self.command, sentence_of(problem, self._kind))
        except SettingsError as error:
            complain(self.command, f'{error}; lists and tables are written as JSON, such as ["a", "b"]')
        raise SystemExit(WRONG_FLAGS)


def read_flags(parser: SettingsParser[Any], args: Sequence[str] | None = None, namespace: Any = None) -> Any:
    return parser.read_flags(args, namespace)


def sentence_of(problem: Any, kind: type[BaseSettings]) -> str:
    """Return what is wrong with one setting, and the setting that an unknown one may have meant."""
    place = ".".join(map(str, problem["loc"]))
    if problem["type"] == "extra_forbidden":
        return f"{place}: there is no such setting{did_you_mean(place.removeprefix('roberta_'), kind.model_fields)}"
    message = problem["msg"].removeprefix("Value error, ")
    return f"{place}: {message}" if place else message


def metavar_of(name: str, annotation: object) -> str:
    """Return the word for a value: its unit, its kind, or the values that it may have."""
    if name in METAVARS:
        return METAVARS[name]
    if choices := choices_of(annotation):
        return f"{{{','.join(choices)}}}"
    for ending, unit in UNITS.items():
        if name.endswith(ending):
            return unit
    return next((word for kind, word in KINDS.items() if kind in kinds_of(annotation)), "VALUE")


def is_by_place(field: FieldInfo) -> bool:
    """Whether a field is an argument without a flag, and is required."""
    return field.is_required()


def choices_of(annotation: object) -> list[str] | None:
    """Return the values of a setting that has a few; None of another."""
    return [str(each) for kind in literals_of(annotation) for each in get_args(kind)] or None


def literals_of(annotation: object) -> list[object]:
    if get_origin(annotation) is Literal:
        return [annotation]
    return [kind for each in get_args(annotation) if each is not NoneType for kind in literals_of(each)]


def kinds_of(annotation: object) -> set[object]:
    """Return the plain types of an annotation, those within optional and annotated ones."""
    if get_origin(annotation) is Annotated:
        return kinds_of(get_args(annotation)[0])
    inner = get_args(annotation)
    return {kind for each in inner for kind in kinds_of(each)} if inner else {annotation}
