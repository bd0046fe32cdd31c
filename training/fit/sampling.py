"""Which texts share a batch: texts of similar length, in an order that only the seed and the epoch decide."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from datasets import Dataset
from torch.utils.data import Dataset as TorchDataset
from torch.utils.data import Sampler

POOL = 50  # batches of shuffled texts that are sorted together: little padding, and other batches in every epoch
Row = Mapping[str, Any]
Collate = Callable[[list[Row]], Any]


class LengthGroupedSampler(Sampler[int]):
    """Yields the indices of an epoch so that each `batch_size` of them have similar lengths.

    `batch_size` counts the texts of one optimizer step, all devices and accumulated passes together: however
    these are divided, a step sees the same texts. Unlike the Trainer's own sampler it draws from no global
    generator, so that a run can be resumed in any epoch, and it does not go from long to short batches.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int) -> None:
        self.lengths, self.batch_size, self.seed = lengths, batch_size, seed
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        return iter(group_by_length(self.lengths, self.batch_size, generator(self.seed, self.epoch)))

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch


def group_by_length(lengths: Sequence[int], batch_size: int, rng: torch.Generator) -> list[int]:
    """Return all indices, shuffled into batches of similar length; a last, smaller batch holds any lengths."""
    order: list[int] = torch.randperm(len(lengths), generator=rng).tolist()
    whole = len(order) - len(order) % batch_size
    batches: list[list[int]] = []
    for start in range(0, whole, POOL * batch_size):
        pool = sorted(order[start : min(start + POOL * batch_size, whole)], key=lengths.__getitem__)
        batches += [pool[first : first + batch_size] for first in range(0, len(pool), batch_size)]
    shuffled = torch.randperm(len(batches), generator=rng).tolist()
    return [index for batch in shuffled for index in batches[batch]] + order[whole:]


def generator(*parts: int) -> torch.Generator:
    """Return a generator that nothing but these numbers decides."""
    return torch.Generator().manual_seed(seed_of(*parts))


def seed_of(*parts: int) -> int:
    return random.Random(" ".join(map(str, parts))).getrandbits(63)


class NumberedRows(TorchDataset[tuple[int, Row]]):
    """Rows with their numbers, so that a batch can be recognized when it is collated."""

    def __init__(self, rows: Dataset) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[int, Row]:
        return index, self.rows[index]

    def __getitems__(self, indices: Sequence[int]) -> list[tuple[int, Row]]:
        columns = self.rows[list(indices)]
        return [
            (index, {name: values[place] for name, values in columns.items()}) for place, index in enumerate(indices)
        ]


class SeededCollator:
    """Collates under a seed made of the run's, the epoch and the batch's first row.

    What a collator draws at random, such as masks, is then the same in a run that was cut off and resumed, and does
    not touch the generator that dropout draws from.
    """

    def __init__(self, collate: Collate, sampler: LengthGroupedSampler) -> None:
        self.collate, self.sampler = collate, sampler

    def __call__(self, numbered: Sequence[tuple[int, Row]]) -> Any:
        before = torch.get_rng_state()
        torch.default_generator.manual_seed(seed_of(self.sampler.seed, self.sampler.epoch, numbered[0][0]))
        try:
            return self.collate([row for _, row in numbered])
        finally:
            torch.set_rng_state(before)
