"""`python -m tests.fuzz [NAME ...] --seconds N`: each harness in turn, in a process with a memory and a time limit.

An input that fails is written to `found/`. With `--keep N`, the N smallest of the inputs that reach code which the
corpus does not are added to it.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from hashlib import sha256
from pathlib import Path

from tests.fuzz.harness import CORPUS, all_harnesses

REPOSITORY = Path(__file__).parents[2]
FOUND = CORPUS.with_name("found")
MEMORY_MB, INPUT_S = 3072, 10  # of one process, and for one input


def main() -> int:
    names = list(all_harnesses())
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(names)}; default: all")
    parser.add_argument("--seconds", type=int, default=60, help="of each")
    parser.add_argument("--keep", type=int, default=0, metavar="N", help="add at most N inputs to each corpus")
    asked = parser.parse_args()
    if unknown := set(asked.names) - set(names):
        parser.error(f"there is no harness {', '.join(sorted(unknown))}")
    failed = [name for name in asked.names or names if not fuzz(name, asked.seconds, asked.keep)]
    sys.stdout.write(f"failed: {', '.join(failed)}; see {FOUND}\n" if failed else "nothing found\n")
    return 1 if failed else 0


def fuzz(name: str, seconds: int, keep: int) -> bool:
    """Fuzz in a process of its own; say whether nothing failed."""
    FOUND.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        new, merged = Path(folder) / "new", Path(folder) / "merged"
        new.mkdir()
        merged.mkdir()
        is_sound = child(name, f"-max_total_time={seconds}", str(new), str(CORPUS / name))
        if keep:
            child(name, "-merge=1", str(merged), str(CORPUS / name), str(new))
            add_to_corpus(name, sorted(merged.iterdir(), key=lambda file: file.stat().st_size), keep)
    return is_sound


def child(name: str, *options: str) -> bool:
    limits = [f"-rss_limit_mb={MEMORY_MB}", f"-timeout={INPUT_S}", f"-artifact_prefix={FOUND}/{name}-"]
    line = [sys.executable, "-m", "tests.fuzz.child", name, *limits, *options]
    return subprocess.run(line, cwd=REPOSITORY, check=False).returncode == 0


def add_to_corpus(name: str, files: list[Path], most: int) -> None:
    known = {file.read_bytes() for file in (CORPUS / name).iterdir()}
    for file in [each for each in files if each.read_bytes() not in known][:most]:
        shutil.copyfile(file, CORPUS / name / sha256(file.read_bytes()).hexdigest()[:12])


if __name__ == "__main__":
    sys.exit(main())
