"""What of a models folder is read as text: manifest, config, tokenizer, defaults. Unusable is a `BundleError`."""

from __future__ import annotations

from pathlib import Path

from app.bundle import BundleError
from app.bundle.defaults import DefaultsError, read_defaults
from app.serving.sources import read_folder
from app.tasks import open_task
from tests.app.builders import wordpiece_tokenizer, write_bundle, write_hub_folder
from tests.fuzz.harness import Harness


class ManifestFile(Harness):
    """The manifest of a bundle that is sound otherwise."""

    name = "bundle-manifest"
    declared = (BundleError,)

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.bundle = write_bundle(folder, wordpiece_tokenizer())

    def read(self, data: bytes) -> None:
        (self.bundle / "manifest.json").write_bytes(data)
        read_folder(self.bundle, name="toy", version=1)


class ConfigFiles(Harness):
    """`config.json` and, after two zero bytes, `tokenizer_config.json` of a folder as Optimum writes it."""

    name = "bundle-config"
    declared = (BundleError,)

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.bundle = write_hub_folder(folder / "toy", wordpiece_tokenizer())

    def read(self, data: bytes) -> None:
        config, _, tokenizer_config = data.partition(b"\0\0")
        (self.bundle / "config.json").write_bytes(config)
        second = self.bundle / "tokenizer_config.json"
        second.write_bytes(tokenizer_config) if tokenizer_config else second.unlink(missing_ok=True)
        read_folder(self.bundle, name="toy", version=1)


class TokenizerFile(Harness):
    """`tokenizer.json`: opened by a task, and used. Its library raises bare exceptions; a panic of it is none."""

    name = "bundle-tokenizer"
    declared = (Exception,)
    longest = 2**13

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.bundle = write_hub_folder(folder / "toy", wordpiece_tokenizer())

    def read(self, data: bytes) -> None:
        (self.bundle / "tokenizer.json").write_bytes(data)
        task = open_task(read_folder(self.bundle, name="toy", version=1), "fp32")
        request = task.request_type.model_validate({"inputs": "Paris is good. Is it?"})
        task.encode(request)


class Defaults(Harness):
    name = "bundle-defaults"
    declared = (DefaultsError,)

    def read(self, data: bytes) -> None:
        (self.folder / "defaults.json").write_bytes(data)
        for route, name in read_defaults(self.folder).items():
            assert isinstance(route, str)
            assert isinstance(name, str)
