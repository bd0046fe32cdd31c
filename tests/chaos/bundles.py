"""Copies of bundles, their further versions, and what can be wrong with one."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any


def copied(models: Path, target: Path) -> Path:
    """Return a copy of a models folder. Files are shared: replace one, never write into it."""
    shutil.copytree(models, target, copy_function=os.link if is_same_disk(models, target) else shutil.copy2)
    return target


def is_same_disk(one: Path, other: Path) -> bool:
    return one.stat().st_dev == other.parent.stat().st_dev


def replace(file: Path, content: bytes) -> None:
    """Write a file in one step, whatever shares its content."""
    unfinished = file.with_name(f".{file.name}.new")
    unfinished.write_bytes(content)
    unfinished.replace(file)


def edit(bundle: Path, **fields: Any) -> None:
    """Change fields of the manifest."""
    file = bundle / "manifest.json"
    replace(file, json.dumps(json.loads(file.read_text()) | fields).encode())


def rehash(bundle: Path, *names: str) -> None:
    """Make the manifest agree with files that were changed."""
    files = json.loads((bundle / "manifest.json").read_text())["files"]
    edit(bundle, files=files | {name: hashlib.sha256((bundle / name).read_bytes()).hexdigest() for name in names})


def publish(source: Path, version: int, spoil: Callable[[Path], None] = lambda _: None) -> Path:
    """Publish a copy of a bundle as another version of it, changed by `spoil` before it can be seen."""
    unfinished = source.parent / f".chaos-{version}"
    copied(source, unfinished)
    edit(unfinished, version=version)
    spoil(unfinished)
    return unfinished.rename(source.parent / str(version))


def publish_as(source: Path, name: str, spoil: Callable[[Path], None] = lambda _: None) -> Path:
    """Publish a copy of a bundle under another name."""
    unfinished = source.parents[1] / f".chaos-{name}"
    unfinished.mkdir()
    copied(source, unfinished / "1")
    edit(unfinished / "1", name=name, version=1)
    spoil(unfinished / "1")
    return unfinished.rename(source.parents[1] / name) / "1"


def graph_of(bundle: Path) -> Path:
    return next(bundle.glob("model*.onnx"))


# --- What can be wrong ---------------------------------------------------------------------------------------


def truncate_graph(bundle: Path) -> None:
    content = graph_of(bundle).read_bytes()
    replace(graph_of(bundle), content[: len(content) // 2])


def flip_a_bit(bundle: Path) -> None:
    content = bytearray(graph_of(bundle).read_bytes())
    content[len(content) // 3] ^= 1
    replace(graph_of(bundle), bytes(content))


def flip_and_rehash(bundle: Path) -> None:
    """Alter the graph so that only its probes can tell."""
    content = bytearray(graph_of(bundle).read_bytes())
    for at in range(len(content) // 4, len(content) - 4096, 97):
        content[at] ^= 0x40
    replace(graph_of(bundle), bytes(content))
    rehash(bundle, graph_of(bundle).name)


def drop_a_label(bundle: Path) -> None:
    edit(bundle, labels=json.loads((bundle / "manifest.json").read_text())["labels"][:-1])


def empty_tokenizer(bundle: Path) -> None:
    replace(bundle / "tokenizer.json", b"{}")
    rehash(bundle, "tokenizer.json")


def cut_manifest(bundle: Path) -> None:
    content = (bundle / "manifest.json").read_bytes()
    replace(bundle / "manifest.json", content[: len(content) // 2])


def name_a_file_outside(bundle: Path) -> None:
    files = json.loads((bundle / "manifest.json").read_text())["files"]
    edit(bundle, files=files | {"../../../secret": "0" * 64})


def link_outside(bundle: Path) -> None:
    """Let a file of the bundle be a link to one that is not in it."""
    elsewhere = bundle.parents[2] / f"elsewhere-{bundle.parent.name}.json"
    shutil.copy(bundle / "config.json", elsewhere)
    (bundle / "config.json").unlink()
    (bundle / "config.json").symlink_to(elsewhere)


def nest_config(bundle: Path) -> None:
    replace(bundle / "config.json", b'{"a":' * 100_000 + b"1" + b"}" * 100_000)
    rehash(bundle, "config.json")


def move_weights_out(bundle: Path, **location: str) -> None:
    """Keep a graph's weights in a file that the manifest does not list."""
    import onnx  # only the scenario that asks for it needs the package

    model = onnx.load(str(graph_of(bundle)))
    graph = graph_of(bundle)
    graph.unlink()
    onnx.save(model, str(graph), save_as_external_data=True, location="weights.bin", size_threshold=0)
    rehash(bundle, graph.name)


WRONG: dict[str, Callable[[Path], None]] = {
    "cut-graph": truncate_graph,
    "flipped-bit": flip_a_bit,
    "altered-and-hashed": flip_and_rehash,
    "a-label-less": drop_a_label,
    "empty-tokenizer": empty_tokenizer,
    "cut-manifest": cut_manifest,
    "file-outside": name_a_file_outside,
    "link-outside": link_outside,
    "nested-config": nest_config,
    "weights-unlisted": move_weights_out,
}
