"""Runs an image and asks what is inside: `make image-check TARGET=cpu`. Ends with 1 where something is not so."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable

from tests.images import inside, serving
from tests.images.engine import Engine

Check = Callable[[Engine, str], None]
EVERY: tuple[Check, ...] = (
    inside.says_how_it_is_run,
    inside.has_its_commands,
    inside.holds_what_its_bill_of_materials_says,
)
SERVING: tuple[Check, ...] = (
    serving.answers_every_route,
    serving.serves_in_several_processes,
    serving.ends_with_0_at_once_after_sigterm,
    serving.is_healthy_wherever_it_listens,
    serving.asks_for_a_key_where_it_has_some,
    serving.keeps_what_a_name_fetched,
    serving.tunes_without_a_folder_to_write_to,
    serving.says_what_it_lacks_without_a_folder_to_write_to,
)


def checks_of(image: str) -> tuple[Check, ...]:
    if not image.endswith(":train"):
        return EVERY + SERVING
    from tests.images import training  # which needs PyTorch, to make a checkpoint

    return (*EVERY, training.trains_and_serves_what_it_made, training.exports_what_a_name_has_only_weights_of)


def passes(check: Check, engine: Engine, image: str) -> bool:
    """Print whether the image passes, and why not."""
    began = time.monotonic()
    try:
        check(engine, image)
        problem = ""
    except AssertionError as error:
        problem = str(error)
    result = "FAILED" if problem else "ok"
    say(f"{result:6} {check.__name__.replace('_', ' '):60} {time.monotonic() - began:6.1f} s")
    if problem:
        say(problem)
    return not problem


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.images", description=__doc__)
    parser.add_argument("image", help="such as roberta-serve:cpu")
    parser.add_argument("--engine", default="docker", help="docker or podman")
    parser.add_argument("--flags", default="", help="of its `run`, where this machine needs some: --network=host")
    parser.add_argument("--only", default="", help="checks whose names have this in them")
    options = parser.parse_args()
    if options.engine.endswith("buildah"):
        parser.error("buildah builds, and runs no services: name docker or podman with --engine")
    engine = Engine(options.engine, options.flags.split())
    chosen = [check for check in checks_of(options.image) if options.only in check.__name__]
    failed = [check for check in chosen if not passes(check, engine, options.image)]
    return 1 if failed else 0


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
