"""The manifest: what a bundle says of itself, and the probes that prove it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue

from app.bundle.naming import NAME_RULE, slug

MANIFEST = "manifest.json"
TEMPORARY_PREFIX = ".partial-"
ADDED_OUTPUT = "added.output"

ProblemType = Literal["single_label_classification", "multi_label_classification", "regression"]
Precision = Literal["fp32", "fp16", "int8", "int4"]
Layout = Literal["packed", "padded"]
Pooling = Literal["mean", "max", "first"]


NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


def check_name(name: str) -> str:
    """Return a name. Raises `ValueError` with the rule, and the nearest name that keeps to it."""
    if not NAME.fullmatch(name):
        raise ValueError(f"{NAME_RULE}{f', such as {nearest}' if (nearest := slug(name)) else ''}")
    return name


BundleName = Annotated[str, AfterValidator(check_name), Field(json_schema_extra={"pattern": f"^{NAME.pattern}$"})]


class BundleError(Exception):
    """A bundle cannot be read, is incomplete, or was altered. The message is one sentence for a person."""


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Graph(Frozen):
    """One served ONNX graph of a bundle."""

    file: str = Field(description="File name inside the bundle.")
    tolerance: float = Field(gt=0, description="Largest drift of a probe's logits from the checkpoint's.")
    depends_on_batch: bool = Field(
        False, description="Whether an answer depends on the texts in its batch: int8 with scales taken from each."
    )
    temperature: float = Field(1.0, gt=0, description="Logits are divided by this before the softmax.")
    thresholds: dict[str, float] | None = Field(
        None,
        description="What decides, fitted on validation: the least score of each label of a multi-label classifier, or "
        "what a task without labels calls its own.",
    )
    metrics: dict[str, float] = Field(default_factory=dict, description="Measured on the test split.")
    quantisation: dict[str, Any] | None = Field(
        None, description="int8: operators left in fp32, and the validation metric lost before and after."
    )


class Probe(Frozen):
    """A text and what the PyTorch checkpoint answered, to be compared with what the service's graph answers.

    `logits` has shape (rows, columns): a row per output position of the text, and the columns that `columns` names, or
    all where that is None. A vocabulary has too many to store.
    """

    text: str = Field(max_length=100_000)
    columns: list[Annotated[int, Field(ge=0)]] | None = None
    logits: list[list[float]]

    def drift(self, answered: NDArray[np.float32]) -> float:
        """Return the greatest difference of `answered` (rows, width) from the checkpoint's logits.

        Infinite where the shapes differ, or an answer is not a number.
        """
        expected = np.array(self.logits, np.float32)
        columns = answered if self.columns is None else answered[:, self.columns]
        if columns.shape != expected.shape or not np.isfinite(columns).all():
            return math.inf
        return float(np.abs(columns - expected).max())


class Manifest(Frozen):
    """What a bundle says of itself."""

    schema_version: Literal[1] = 1
    name: BundleName
    version: int = Field(ge=1)
    task: str = Field(description="Hugging Face's pipeline name, e.g. text-classification; the service checks it.")
    problem_type: ProblemType | None = None
    layout: Layout = Field(description="How windows become arrays: packed, one run of tokens, or padded.")
    labels: list[str] = Field(
        default_factory=list, max_length=100_000, description="Label of each output column, in order."
    )
    max_length: int = Field(ge=8, le=2**20, description="Tokens in a window, special tokens included.")
    position_offset: int = Field(
        0, ge=0, le=2**20, description="First position id; RoBERTa counts from pad_token_id + 1."
    )
    local_attention: int | None = Field(
        None,
        ge=1,
        description="Tokens on either side that a layer of local attention sees; null: every layer sees the whole "
        "window.",
    )
    pooling: Pooling = Field("mean", description="How the windows of a long text become one classification.")
    task_settings: dict[str, JsonValue] = Field(
        default_factory=dict,
        max_length=100,
        description="What this bundle keeps for its task alone; the task checks it.",
    )
    graphs: dict[Precision, Graph] = Field(min_length=1)
    probes: list[Probe] = Field(default_factory=list, max_length=1000)
    files: dict[str, str] = Field(
        default_factory=dict, max_length=1000, description="sha256 of each file but the manifest."
    )
    provenance: dict[str, Any] = Field(default_factory=dict)


@dataclass(frozen=True)
class Bundle:
    """A readable bundle on disk. `verified` is False for a Hub folder, which carries no hashes or probes.

    `kept_tokenizer` is a copy of its tokenizer that is read instead, where there is one.
    `fingerprint` tells its content from another content of the same name and version.
    `additions` are models in ONNX's format whose nodes are added to a graph when it is opened; they make the output
    `ADDED_OUTPUT`, which is read instead of the graph's own.
    `card` is its model card in Markdown, empty where there is none.
    """

    path: Path
    manifest: Manifest
    config: dict[str, Any]
    verified: bool = True
    kept_tokenizer: Path | None = None
    fingerprint: str = ""
    additions: Mapping[Precision, bytes] = field(default_factory=dict)
    card: str = ""

    @property
    def tokenizer_file(self) -> Path:
        return self.kept_tokenizer or self.path / "tokenizer.json"

    def graph_file(self, precision: Precision) -> Path:
        return self.path / self.manifest.graphs[precision].file
