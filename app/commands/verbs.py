"""Which verbs there are, and where each is: a further one is a line here and a module."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Sequence
from typing import NamedTuple

DEFAULT_VERB = "serve"  # what a command without a verb does


class UnknownVerbError(Exception):
    """The message is one sentence for a person."""


class Verb(NamedTuple):
    """One verb. `place` is `module:function`; the function is given the arguments after the verb."""

    summary: str
    place: str

    def run(self, arguments: Sequence[str]) -> None:
        function: Callable[[list[str]], None] = pkgutil.resolve_name(self.place)
        function(list(arguments))


VERBS = {
    "serve": Verb("serve the models; also what is done where no verb is given", "app.commands.serve:run"),
    "predict": Verb("answer every row of files, without a server", "app.commands.predict:run"),
    "pull": Verb("put a model of the Hugging Face Hub into the models folder", "app.commands.pull:run"),
    "list": Verb("list what the models folder has", "app.commands.list:run"),
    "remove": Verb("remove a model, or a version, from the models folder", "app.commands.remove:run"),
    "tune": Verb("find the settings with which a model is fastest on this machine", "app.commands.tune:run"),
    "health": Verb("ask the service of this machine or container whether it is ready", "app.commands.health:run"),
    "new-key": Verb("make a random API key, and its entry for api_keys_file", "app.commands.keys:make_key"),
    "hash-key": Verb("make the entry of an API key that exists", "app.commands.keys:hash_key"),
}


def choose_verb(arguments: Sequence[str]) -> tuple[str, Sequence[str]]:
    """Return the verb of a command line, and the arguments after it.

    Raises `UnknownVerbError` where there is no such verb.
    """
    if not arguments or arguments[0].startswith("-"):
        return DEFAULT_VERB, arguments
    if arguments[0] not in VERBS:
        by_name = f", or serve a model by --model {arguments[0]}" if "/" in arguments[0] else ""
        raise UnknownVerbError(f"there is no verb {arguments[0]!r}; choose one of {', '.join(VERBS)}{by_name}")
    return arguments[0], arguments[1:]


def list_verbs() -> str:
    """Return a line for each verb, as `roberta-serve --help` shows them."""
    width = max(map(len, VERBS))
    return "\n".join(f"  {name:{width}}  {verb.summary}" for name, verb in VERBS.items())
