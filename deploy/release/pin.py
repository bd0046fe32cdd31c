"""Writes the digest of every image that a file names behind its tag: `make pin`.

A tag can come to mean another image; a digest cannot. The registry is asked through skopeo, or docker's buildx where
there is no skopeo. A digest that is there already is replaced by that of today.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

# In a Dockerfile and in a compose file: what comes before, the image with its tag, its digest if it has one, its stage.
NAMED = re.compile(
    r"^(FROM | +image: )((?:[\w.-]+:\d+/)?[\w./-]+:[\w.-]+)(?:@sha256:[0-9a-f]{64})?( AS \w+)?$", re.MULTILINE
)
OWN = "roberta-serve:"
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")

Ask = Callable[[str], str]


class PinError(Exception):
    """A registry cannot be asked; the sentence says what to do."""


def asker() -> list[str]:
    """Return the command that prints the digest of the image that is named after it. Raises `PinError`."""
    if shutil.which("skopeo"):
        return ["skopeo", "inspect", "--no-tags", "--format", "{{.Digest}}"]
    if shutil.which("docker"):
        return ["docker", "buildx", "imagetools", "inspect", "--format", "{{.Manifest.Digest}}"]
    raise PinError("install skopeo, or docker with buildx, to ask the registry for digests")


def ask_registry(image: str) -> str:
    """Return the digest of an image. Raises `PinError`."""
    command = asker()
    done = subprocess.run([*command, f"docker://{image}" if command[0] == "skopeo" else image], **PIPES)
    digest = done.stdout.strip()
    if done.returncode or not DIGEST.fullmatch(digest):
        raise PinError(f"the digest of {image} is not known: {done.stderr.strip()}; try again where its registry is")
    return digest


PIPES = {"capture_output": True, "text": True, "timeout": 120}


def pinned(text: str, ask: Ask) -> str:
    """Return a file's text with the digest of every image that is not the project's own. Raises `PinError`."""

    def with_digest(match: re.Match[str]) -> str:
        before, image, stage = match.groups(default="")
        return f"{before}{image}@{ask(image)}{stage}"

    return NAMED.sub(lambda match: match[0] if match[2].startswith(OWN) else with_digest(match), text)


def main() -> None:
    try:
        texts = {Path(name): pinned(Path(name).read_text("utf-8"), ask_registry) for name in sys.argv[1:]}
    except PinError as error:
        raise SystemExit(f"pin: {error}") from None
    for path, text in texts.items():
        path.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
