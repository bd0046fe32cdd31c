"""Where a bundle comes from: data, recipe, versions and commit, without a folder of the machine that made it."""

from __future__ import annotations

import importlib
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
# onnxruntime and onnxruntime-gpu are the same module: modules are asked, not distributions.
MODULES = ("torch", "transformers", "tokenizers", "onnx", "onnxruntime", "onnxscript", "numpy")


def versions() -> dict[str, str]:
    """Return the versions of what training and export depend on."""
    found = {name: str(importlib.import_module(name).__version__) for name in MODULES}
    return found | {"python": platform.python_version()}


def commit_of_this_code() -> str | None:
    """Return the commit of the code that runs, marked where it was changed since; None outside its repository."""
    if git("rev-parse", "--show-toplevel") != str(ROOT):
        return None
    changed = git("status", "--porcelain", "--untracked-files=no", "--", "app", "training")
    return f"{git('rev-parse', 'HEAD')}{'-dirty' if changed else ''}"


def is_this_code(commit: str | None) -> bool:
    """Whether the code that runs is that of a commit, as `commit_of_this_code` said it, whatever else has changed."""
    now = commit_of_this_code()
    if commit == now:
        return True
    are_whole = commit is not None and now is not None and "-dirty" not in commit + now
    return are_whole and git("diff", "--quiet", str(commit), str(now), "--", "app", "training") is not None


def git(*arguments: str) -> str | None:
    """Return what git answers about this code; None where it fails or is not installed."""
    try:
        answer = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return answer.stdout.strip()


def without_folders(value: Any) -> Any:
    """Return settings in which a path of this machine is only its last part, at any depth."""
    if isinstance(value, Mapping):
        return {key: without_folders(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [without_folders(each) for each in value]
    return Path(value).name if isinstance(value, str) and is_local(value) else value


def is_local(text: str) -> bool:
    """Whether a text is a path outside the data folder, rather than a Hub id, a word or a relative file name."""
    path = Path(text)
    return "/" in text and (path.is_absolute() or text.startswith("..") or path.is_dir())
