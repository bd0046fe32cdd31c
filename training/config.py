"""What a run is: a recipe in TOML, checked against frozen models before any work starts."""

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

Task = Literal["text-classification", "token-classification", "fill-mask"]
Precision = Literal["fp32", "int8", "fp16"]
DataFormat = Literal["jsonl", "csv", "conll", "text"]

_FORMATS: dict[str, DataFormat] = {".jsonl": "jsonl", ".csv": "csv", ".conll": "conll", ".txt": "text"}


class RecipeError(ValueError):
    """A recipe or an override that cannot be used; the message is one sentence that says what to change."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True)


class DataConfig(_Section):
    """The three splits and how to read them."""

    train: str | None = Field(None, description="File of the training split, absolute or relative to --data.")
    validation: str | None = Field(None, description="File of the validation split, as `train`.")
    test: str | None = Field(None, description="File of the test split, as `train`; scored once, never tuned on.")
    format: DataFormat | None = Field(
        None, description="Format of the files; none infers it from the suffix, .gz aside."
    )
    text_column: str = Field("text", description="Column or JSON key that holds the text.")
    text_pair_column: str | None = Field(
        None, description="Column that holds the second text of a pair, where there is one."
    )
    label_column: str = Field(
        "label", description="Column that holds the label, or in JSONL a list of labels for multi-label data."
    )

    def format_of(self, path: Path) -> DataFormat:
        """Return the format of ``path``; raises ``RecipeError`` when the suffix says nothing."""
        if self.format is not None:
            return self.format
        suffix = Path(path.stem).suffix if path.suffix == ".gz" else path.suffix
        if suffix not in _FORMATS:
            raise RecipeError(
                f"{path}: cannot infer the format from the suffix; set data.format to one of "
                f"{', '.join(get_args(DataFormat))}."
            )
        return _FORMATS[suffix]


class TrainingConfig(_Section):
    """How the model is trained. Source of the defaults: Liu et al. 2019, arXiv:1907.11692, table 10."""

    epochs: float = Field(10.0, gt=0, description="Passes over the training split, an upper bound.")
    learning_rate: float = Field(
        2e-5, gt=0, description="Peak learning rate; models under 50 M parameters like 5e-5 to 2e-4."
    )
    batch_size: int = Field(32, ge=1, description="Examples per forward pass on each device.")
    gradient_accumulation: int = Field(1, ge=1, description="Forward passes per optimiser step.")
    warmup_ratio: float = Field(
        0.06, ge=0, lt=1, description="Share of all steps over which the rate rises linearly from 0."
    )
    weight_decay: float = Field(0.1, ge=0, description="Decoupled weight decay, not applied to biases and layer norms.")
    adam_beta1: float = Field(0.9, ge=0, lt=1, description="Decay of AdamW's first moment.")
    adam_beta2: float = Field(0.98, ge=0, lt=1, description="Decay of AdamW's second moment.")
    adam_epsilon: float = Field(1e-6, gt=0, description="Term added to AdamW's denominator.")
    max_grad_norm: float = Field(1.0, ge=0, description="Norm to which gradients are clipped; 0: never.")
    attention_dropout: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="Probability of dropping an attention weight; none: as the base; 0 is fastest on CPU.",
    )
    label_smoothing: float = Field(
        0.0, ge=0, lt=1, description="Probability mass spread evenly over all labels of the target."
    )
    max_length: int = Field(
        256, ge=8, le=512, description="Tokens per training example, specials included; the rest is cut."
    )
    early_stopping_patience: int | None = Field(
        2,
        ge=1,
        description="Epochs without a better validation metric before training stops; none: never.",
    )
    max_samples: int | None = Field(
        None, ge=1, description="Examples read from the start of each split, for a quick trial; none: all."
    )


class ExportConfig(_Section):
    """Which graphs are made from the checkpoint and what they may lose."""

    precisions: tuple[Precision, ...] = Field(("int8",), min_length=1, description="Graphs to export.")
    max_metric_drop: float = Field(
        0.5, ge=0, description="Most that the validation metric may lose against PyTorch, in points of 100."
    )
    calibration_texts: int = Field(
        512, ge=1, description="Training texts from which int8 activation scales are calibrated."
    )
    max_length: int = Field(
        512, ge=8, le=512, description="Tokens per window that the service sends through the graph."
    )


class CardConfig(_Section):
    """What the model card says beyond what the run measures."""

    title: str = Field("", description="Heading of the card; empty uses the name.")
    language: str = Field("", description="ISO 639-1 code of the texts' language, such as en.")
    summary: str = Field("", description="One paragraph that says what the model does.")
    data_attribution: tuple[str, ...] = Field((), description="One line per data source: name, authors, licence.")
    licence: str = Field("", description="SPDX identifier of the licence of the bundle.")
    limits: tuple[str, ...] = Field((), description="One sentence per known limit.")
    examples: tuple[str, ...] = Field((), description="Texts whose real answers the card shows.")


class Recipe(_Section):
    """One run, from data to bundle."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", description="Folder of the bundle in models/.")]
    task: Task = Field(description="What the model is trained to do.")
    base: str = Field("roberta-base", description="Checkpoint to start from: a folder or a Hub id.")
    seed: int = Field(42, ge=0, description="Seed of initialisation, shuffling, dropout and rendering.")
    data: DataConfig = Field(default_factory=DataConfig, description="The splits and how to read them.")
    training: TrainingConfig = Field(default_factory=TrainingConfig, description="How the model is trained.")
    export: ExportConfig = Field(default_factory=ExportConfig, description="Which graphs are exported.")
    card: CardConfig = Field(default_factory=CardConfig, description="Text of the model card.")


def load_recipe(path: Path, overrides: Mapping[str, str] | None = None) -> Recipe:
    """Read a TOML recipe and apply dotted overrides such as ``{"training.epochs": "3"}``.

    An override's value is read as TOML, or as a plain string where it is not TOML.
    Raises ``RecipeError`` when the file cannot be read, a key is unknown or a value is out of bounds.
    """
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
        raise RecipeError(f"{path}: the recipe cannot be read: {exc}.") from exc
    for key, value in (overrides or {}).items():
        _set(tree, key, _toml_value(value))
    try:
        return Recipe.model_validate(tree)
    except ValidationError as exc:
        raise RecipeError(f"{path}: {_sentence(exc)}") from exc


def known_keys() -> list[str]:
    """Return every dotted key that a recipe may hold, sections before their fields."""
    return list(_keys(Recipe))


def _keys(section: type[BaseModel], prefix: str = "") -> Iterable[str]:
    for name, field in section.model_fields.items():
        yield prefix + name
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _keys(field.annotation, f"{prefix}{name}.")


def _set(tree: dict[str, object], dotted: str, value: object) -> None:
    *sections, leaf = dotted.split(".")
    for section in sections:
        child = tree.setdefault(section, {})
        if not isinstance(child, dict):
            raise RecipeError(f"{dotted}: {section} is a value, not a section.")
        tree = child
    tree[leaf] = value


def _toml_value(text: str) -> object:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _sentence(error: ValidationError) -> str:
    """Say the first problem in one sentence, unknown keys before bad values (a typo causes both)."""
    problems = sorted(error.errors(), key=lambda problem: problem["type"] != "extra_forbidden")
    key = ".".join(str(part) for part in problems[0]["loc"])
    if problems[0]["type"] != "extra_forbidden":
        message = problems[0]["msg"]
        return f"{key}: {message[0].lower()}{message[1:]}."
    nearest = difflib.get_close_matches(key, known_keys(), n=1, cutoff=0.0)
    return f"unknown key {key}; the nearest known key is {nearest[0]}."
