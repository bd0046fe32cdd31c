"""Where a split lies: in a file, or in a dataset of the Hub."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from training.config import DataConfig


@dataclass(frozen=True)
class HubSplit:
    """One split of a dataset of the Hugging Face Hub, or of a local folder that `datasets` reads."""

    dataset: str
    subset: str | None
    split: str

    def __str__(self) -> str:
        """Name it in messages."""
        return "/".join(filter(None, (self.dataset, self.subset, self.split)))


Source = Path | HubSplit


def source_of(data: DataConfig, data_dir: Path, split: str) -> Source | None:
    """Return where a split lies, None where the recipe names none.

    A Hub dataset's training split is called train unless the recipe says otherwise.
    """
    name: str | None = getattr(data, split)
    if data.dataset is not None:
        name = name or ("train" if split == "train" else None)
        return HubSplit(data.dataset, data.subset, name) if name else None
    return None if name is None else data_dir / name
