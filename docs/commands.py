"""Writes docs/commands.md: every verb and flag of both commands, as their parsers have them.

python docs/commands.py
"""

from __future__ import annotations

import re
from argparse import SUPPRESS, Action
from collections.abc import Iterator
from pathlib import Path

from app.command_line.command import Command, Verb
from app.command_line.parser import Parser
from app.commands.settings_flags import SettingsParser
from app.commands.verbs import COMMAND as SERVE
from app.settings import Settings
from training.commands.verbs import COMMAND as TRAIN

FILE = Path(__file__).with_name("commands.md")
BEGINNING = """# Commands

`roberta-serve` serves models, `roberta-train` makes them; `python -m app` and `python -m training` are the same. This
page is written by [commands.py](commands.py) from the commands themselves.

`--help` explains a verb, `--version` says the version. A mistyped verb, flag, model or folder is answered with the one
that was probably meant. Ctrl-C ends any verb with one sentence.

| exit code | meaning |
|---|---|
| 0 | It is done, or the service has drained. |
| 1 | It cannot be done; one sentence on standard error says why. `check`: training would stop. |
| 2 | A verb, flag or setting is wrong. |
| 130 | It was interrupted. `roberta-serve serve`: a second interrupt. |

## Completion

```console
$ roberta-serve completion bash > ~/.local/share/bash-completion/completions/roberta-serve
$ roberta-train completion zsh > ~/.zfunc/_roberta-train
$ roberta-serve completion fish > ~/.config/fish/completions/roberta-serve.fish
```

## On a terminal

`roberta-serve` logs colored lines instead of JSON, and shows its address, its models with their scores, what was
refused, and a request to copy when it is ready. It ends when the terminal closes. `SIGHUP` that an operator sends
reloads the models, as it does of a service without a terminal; under `nohup` it outlives its terminal. `--log-requests`
writes a line for each request. A models folder that is not there, or is itself a model, and a model that
`--default-models` names and that is not there end the command at once, unless the folder is followed
(`--reload-interval-s`).

`roberta-train` has a row for each phase that is to come: dim until it begins, with a bar, its rate and the time that is
left while it runs, and with a tick and its seconds when it is over. What is logged stands above. Without a terminal
there is a line for each epoch and each phase. A training ends with what to type next. A finished run whose bundle is
there is not published again unless `--again` says so; a run folder of another recipe is refused with the fields that
differ.
"""


def page() -> str:
    """Return the page."""
    return "\n".join([BEGINNING, *section(SERVE), *section(TRAIN)])


def section(command: Command) -> Iterator[str]:
    for name, verb in command.verbs.items():
        yield f"## {command.name} {name}\n"
        yield f"{sentence(verb)}\n"
        yield from flags(verb.parser())


def sentence(verb: Verb) -> str:
    return f"{verb.summary[0].upper()}{verb.summary[1:]}."


def flags(parser: Parser) -> Iterator[str]:
    """Yield the table of a verb's flags; of one whose flags are settings, where those are."""
    actions = [action for action in parser._actions if action.dest not in ("help", "version")]
    if isinstance(parser, SettingsParser):
        yield "Its flags are the [settings](reference.md#settings): `max_inputs` is `--max-inputs`.\n"
        actions = [action for action in actions if action.dest not in Settings.model_fields]
    if actions:
        yield "| argument | meaning |\n|---|---|"
        yield from (f"| {names(action)} | {meaning(action)} |" for action in actions)
        yield ""


def names(action: Action) -> str:
    value = action.metavar or ("|".join(map(str, action.choices)) if action.choices else "")
    after = "" if action.nargs == 0 else f" {value}"
    forms = [f"{name}{after}" for name in action.option_strings] or [value or action.dest]
    return ", ".join(f"`{form}`" for form in forms).replace("|", "\\|")


def meaning(action: Action) -> str:
    """Return the help of a flag as a sentence; values that it begins with stand as they are typed."""
    text = "" if action.help in (None, SUPPRESS) else str(action.help)
    found = re.match(r"([\w-]+)(:?)", text)
    if found and (found[1] in (action.choices or ()) or (found[2] and found[1] != "default")):
        return text.replace("%%", "%").replace("|", "\\|")
    return f"{text[:1].upper()}{text[1:]}".replace("%%", "%").replace("|", "\\|")


if __name__ == "__main__":
    FILE.write_text(page(), encoding="utf-8")
