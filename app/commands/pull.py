"""`roberta-serve pull ORG/NAME`: put a model of the Hub, or a folder, into the models folder."""

from __future__ import annotations

import sys
from argparse import Namespace
from typing import Any

from app.commands.models_folder import in_words, models_of, size_of
from app.commands.parsing import complain
from app.hub.devices import device_for
from app.hub.errors import HubError
from app.hub.named import ended_by_signals
from app.hub.process import Fetch
from app.hub.pulling import pull
from app.serving.places import Place


def run(options: Namespace) -> None:
    models = models_of(options.models)
    try:
        bundle, is_new = pull(fetched(options.model, options.device), models, device_for(options.device))
    except HubError as error:
        raise SystemExit(f"roberta-serve: {error}") from None
    manifest = bundle.manifest
    what = f"{manifest.task}, {', '.join(manifest.graphs)}, {manifest.layout}, {in_words(size_of(bundle.path))}"
    sys.stdout.write(f"{bundle.path}: {what}{'' if is_new else '; it was there already'}\n")


def fetched(text: str, device: str) -> Place:
    """Return where a model was fetched to, saying how it goes. Raises `HubError`."""
    fetch = Fetch([text], device)
    with ended_by_signals(fetch):
        prepared = fetch.run(say)
    for reason in prepared.refused.values():
        raise HubError(reason)
    return prepared.places[0]


def say(said: dict[str, Any]) -> None:
    """Print what the process that fetches says, on standard error."""
    if said["event"] == "exporting" and "text" in said:  # a line of the exporter
        sys.stderr.write(f"  {said['text']}\n")
        return
    event = said.pop("event").replace("_", " ")
    complain(" ".join([event, *(f"{key}={value}" for key, value in said.items())]))
