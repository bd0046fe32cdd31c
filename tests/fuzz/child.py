"""The process of one harness: `python -m tests.fuzz.child NAME` and what libFuzzer takes."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import atheris

MEMORY = "/dev/shm"  # where files are written fastest

with atheris.instrument_imports(include=["app", "training"], enable_loader_override=False):
    from tests.fuzz.harness import all_harnesses

    HARNESSES = all_harnesses()


def main() -> None:
    kind = HARNESSES[sys.argv.pop(1)]
    folder = tempfile.TemporaryDirectory(prefix="fuzz-", dir=MEMORY if os.access(MEMORY, os.W_OK) else None)
    harness = kind(Path(folder.name))
    atheris.Setup([*sys.argv, f"-max_len={kind.longest}"], harness)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
