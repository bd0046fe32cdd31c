"""The padded layout of graphs that others have exported: (B, S) token ids with an attention mask."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.runtime.packing import Feed
from app.window import Floats, Window

# onnxruntime's names of the types of inputs that whole numbers can be turned into.
TYPES = {
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(bool)": np.bool_,
}


class Input(NamedTuple):
    """An input of a graph: onnxruntime's name of its type, and its shape, of which a number is fixed."""

    type: str = "tensor(int64)"
    shape: tuple[int | str | None, ...] = ("batch", "sequence")


class PaddedLayout:
    """Graphs exported by Optimum and the like.

    Position ids start at `position_offset`. A graph without an attention mask would attend to padding: all windows of
    its batches have one length.
    """

    KNOWN = frozenset({"input_ids", "attention_mask", "token_type_ids", "position_ids"})

    def __init__(self, inputs: Mapping[str, Input], pad_id: int, position_offset: int = 0) -> None:
        """Raises `ValueError` for inputs that no padded batch provides."""
        check_inputs(inputs, self.KNOWN)
        self.inputs, self.pad_id, self.position_offset = inputs, pad_id, position_offset
        self.of_one_length = "attention_mask" not in inputs

    def feed(self, windows: Sequence[Window]) -> Feed:
        shape = len(windows), max(map(len, windows))
        arrays: dict[str, NDArray[np.int64]] = {
            "input_ids": np.full(shape, self.pad_id, np.int64),
            "attention_mask": np.zeros(shape, np.int64),
            "token_type_ids": np.zeros(shape, np.int64),
        }
        for row, window in enumerate(windows):
            arrays["input_ids"][row, : len(window)] = window.input_ids
            arrays["attention_mask"][row, : len(window)] = 1
            if window.token_type_ids is not None:
                arrays["token_type_ids"][row, : len(window)] = window.token_type_ids
        if "position_ids" in self.inputs:
            positions = np.arange(shape[1]) + self.position_offset
            padding = max(0, self.position_offset - 1)  # where RoBERTa has the position of its padding
            arrays["position_ids"] = np.where(arrays["attention_mask"], positions, padding)
        return {name: arrays[name].astype(TYPES[each.type], copy=False) for name, each in self.inputs.items()}

    def split(self, output: Floats, windows: Sequence[Window]) -> list[Floats]:
        """`output` has shape (B, width), one row per window, or (B, S, width), one per token."""
        if len(output) != len(windows):
            raise ValueError(f"the graph answered {len(output)} windows where {len(windows)} were asked")
        output = output.astype(np.float32, copy=False)
        if output.ndim == 2:
            return [row[None] for row in output]
        return [tokens[window.head_rows] for tokens, window in zip(output, windows, strict=True)]

    def rows_of(self, window: Window) -> int:
        return len(window)

    def computed_tokens(self, windows: int, tokens: int, longest: int) -> int:
        return tokens if self.of_one_length else windows * longest


def check_inputs(inputs: Mapping[str, Input], known: frozenset[str]) -> None:
    """Raise `ValueError`, by name, for inputs that are not known, of another type, or of a fixed shape."""
    if unknown := set(inputs) - known:
        raise ValueError(f"the graph has inputs that no padded batch provides: {', '.join(sorted(unknown))}")
    if "input_ids" not in inputs:
        raise ValueError("the graph has no input input_ids")
    for name, each in inputs.items():
        if each.type not in TYPES:
            raise ValueError(f"the graph's input {name} is a {each.type}, which no padded batch provides")
        if fixed := [size for size in each.shape if isinstance(size, int)]:
            raise ValueError(
                f"the graph's input {name} has a fixed size of {' x '.join(map(str, fixed))}; "
                "export it with dynamic axes for batches and lengths"
            )


def run_by_length(run: Callable[[Sequence[Window]], list[Floats]], windows: Sequence[Window]) -> list[Floats]:
    """Run the windows of each length by themselves; the outputs are in the order of the windows."""
    by_length: dict[int, list[int]] = {}
    for place, window in enumerate(windows):
        by_length.setdefault(len(window), []).append(place)
    outputs: dict[int, Floats] = {}
    for places in by_length.values():
        outputs |= zip(places, run([windows[place] for place in places]), strict=True)
    return [outputs[place] for place in range(len(windows))]
