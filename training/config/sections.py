"""The sections of a recipe: frozen data, one sentence and a bound for each field."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from app.bundle import Precision
from app.tasks import TASKS

DataFormat = Literal["jsonl", "csv", "tsv", "parquet", "conll", "text"]
TagScheme = Literal["IO", "IOB1", "IOB2", "BIOES"]

FORMATS: dict[str, DataFormat] = {
    ".jsonl": "jsonl",
    ".json": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".conll": "conll",
    ".iob2": "conll",
    ".bio": "conll",
    ".txt": "text",
}


def full_task_name(name: str) -> str:
    """Return the pipeline name of a task, which may be called by a shorter one; see `app.tasks`."""
    known = {each: task.name for task in TASKS.values() for each in (task.name, *task.aliases)}
    if name not in known:
        raise ValueError(f"there is no task {name!r}; there are {', '.join(known)}")
    return known[name]


TaskName = Annotated[str, AfterValidator(full_task_name), Field(json_schema_extra={"enum": list(TASKS)})]


class RecipeError(ValueError):
    """A recipe or an override that cannot be used; the message is one sentence that says what to change."""


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True, allow_inf_nan=False)


class DataConfig(Section):
    """The three splits and how to read them."""

    train: str | None = Field(None, description="File of the training split, absolute or relative to --data.")
    validation: str | None = Field(
        None, description="File of the validation split, as `train`; none sets `validation_share` of train aside."
    )
    test: str | None = Field(
        None,
        description="File of the test split, as `train`; scored once, never tuned on; none sets `test_share` aside.",
    )
    dataset: str | None = Field(
        None, description="Hub id of a dataset; train, validation and test then name its splits, not files."
    )
    subset: str | None = Field(None, description="Configuration of the Hub dataset, where it has several.")
    validation_share: float = Field(
        0.1, gt=0, lt=1, description="Share of train set aside where there is no validation file, stratified, seeded."
    )
    test_share: float = Field(
        0.1, ge=0, lt=1, description="Share of train set aside where there is no test file; 0: no test score."
    )
    format: DataFormat | None = Field(
        None, description="Format of the files; none infers it from the suffix, .gz aside."
    )
    text_column: str = Field("text", description="Column or key of the text.")
    text_pair_column: str | None = Field(None, description="Column of the second text of a pair, where there is one.")
    label_column: str | None = Field(
        None, description="Column of the label, of a list of labels, or of a number; none: `label` or `labels`."
    )
    label_separator: str | None = Field(
        None, description="What separates several labels in one cell, such as |; none: a cell is one label."
    )
    tokens_column: str = Field(
        "tokens", description="Column of the words of a sentence, in JSONL, Parquet or Hub data."
    )
    tags_column: str = Field("ner_tags", description="Column of the tag of each word, as `tokens_column`.")
    tag_scheme: TagScheme | None = Field(
        None, description="Scheme of the tags; none finds it out from the training split."
    )

    def format_of(self, path: Path) -> DataFormat:
        """Return the format of `path`; raises `RecipeError` when the suffix says nothing."""
        if self.format is not None:
            return self.format
        suffix = Path(path.stem).suffix if path.suffix == ".gz" else path.suffix
        if suffix not in FORMATS:
            raise RecipeError(
                f"{path}: cannot infer the format from the suffix; set data.format to one of "
                f"{', '.join(get_args(DataFormat))}"
            )
        return FORMATS[suffix]


class TrainingConfig(Section):
    """How the model is trained. Source of the defaults: Liu et al. 2019, arXiv:1907.11692, table 10."""

    epochs: float = Field(10.0, gt=0, description="Passes over the training split, an upper bound.")
    learning_rate: float | None = Field(
        None,
        gt=0,
        description="Peak learning rate; none: by the parameters of the model, 2e-5 from 100 M, 1e-4 below 50 M.",
    )
    batch_size: int = Field(32, ge=1, description="Examples per forward pass on each device.")
    gradient_accumulation: int = Field(1, ge=1, description="Forward passes per optimizer step.")
    warmup_ratio: float = Field(
        0.06, ge=0, lt=1, description="Share of all steps over which the rate rises linearly from 0."
    )
    layer_decay: float = Field(
        1.0,
        gt=0,
        le=1,
        description="Factor on the learning rate from each layer to the one below; 1: the same for all.",
    )
    weight_decay: float = Field(0.1, ge=0, description="Decoupled weight decay, not applied to biases and layer norms.")
    adam_beta1: float = Field(0.9, ge=0, lt=1, description="Decay of AdamW's first moment.")
    adam_beta2: float = Field(0.98, ge=0, lt=1, description="Decay of AdamW's second moment.")
    adam_epsilon: float = Field(1e-6, gt=0, description="Term added to AdamW's denominator.")
    max_grad_norm: float = Field(1.0, ge=0, description="Norm to which gradients are clipped; 0: never.")
    dropout: float | None = Field(
        None, ge=0, lt=1, description="Probability of dropping a hidden value; none: as the base."
    )
    attention_dropout: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="Probability of dropping an attention weight; none: as the base; 0 is fastest on CPU.",
    )
    class_weights: Literal["none", "balanced"] | Mapping[str, float] = Field(
        "none", description="Weight of each label in the loss; balanced: inverse to its frequency; or a table."
    )
    label_smoothing: float = Field(
        0.0, ge=0, lt=1, description="Probability mass spread evenly over all labels of the target."
    )
    max_length: int = Field(
        256, ge=8, le=512, description="Tokens per training example, specials included; the rest is cut."
    )
    mixed_precision: Literal["auto", "no", "bf16", "fp16"] = Field(
        "auto", description="Number format of the matrix products; auto: bf16 where the hardware multiplies it."
    )
    metric: str | None = Field(
        None, description="Validation metric that chooses the best epoch; none: the task's main metric."
    )
    early_stopping_patience: int | None = Field(
        2,
        ge=1,
        description="Epochs without a better validation metric before training stops; none: never.",
    )
    checkpoint_minutes: float = Field(
        10.0, gt=0, description="Minutes after which a long epoch is checkpointed too, for a resume to start from."
    )
    max_samples: int | None = Field(
        None, ge=1, description="Examples read from the start of each split, for a quick trial; none: all."
    )
    report_to: tuple[Literal["tensorboard", "mlflow"], ...] = Field(
        (), description="Experiment trackers that get the learning curves, each to be installed."
    )


class DistillationConfig(Section):
    """A smaller model made from a trained one, which goes on teaching it."""

    teacher: str = Field(description="Checkpoint folder or Hub id of a model that was trained for the same labels.")
    layers: int | None = Field(None, ge=1, description="Layers of the student; none: as many as the teacher.")
    feed_forward: int | None = Field(
        None, ge=1, description="Width of the student's feed-forward blocks; none: the teacher's."
    )
    keep: Literal["spaced", "important"] = Field(
        "spaced", description="Layers taken over: every k-th, or those whose removal would cost the most."
    )
    temperature: float = Field(2.0, gt=0, description="Divides the logits of both before they are compared.")
    weight: float = Field(
        0.5, ge=0, le=1, description="Share of the teacher's answers in the loss; the rest is the labels'."
    )


class EvaluationConfig(Section):
    """What the report is made of."""

    bootstrap_samples: int = Field(
        1000, ge=0, description="Resamples of the test split behind each 95 % confidence interval; 0: no intervals."
    )
    mistakes: int = Field(50, ge=0, description="Worst mistakes that the report shows.")


class ExportConfig(Section):
    """Which graphs are made from the checkpoint and what they may lose."""

    precisions: tuple[Precision, ...] = Field(("int8",), min_length=1, description="Graphs to export.")
    max_metric_drop: float = Field(
        0.5, ge=0, description="Most that the validation metric may lose against fp32, in points of 100."
    )
    calibration_texts: int = Field(
        512, ge=1, description="Training texts from which int8 activation scales are calibrated."
    )
    max_length: int = Field(
        512, ge=8, le=512, description="Tokens per window that the service sends through the graph."
    )


class CardConfig(Section):
    """What the model card says beyond what the run measures."""

    title: str = Field("", description="Heading of the card; empty uses the name.")
    language: str = Field("", description="ISO 639-1 code of the texts' language, such as en.")
    summary: str = Field("", description="One paragraph that says what the model does.")
    data_attribution: tuple[str, ...] = Field((), description="One line per data source: name, authors, licence.")
    licence: str = Field("", description="SPDX identifier of the licence of the bundle.")
    limits: tuple[str, ...] = Field((), description="One sentence per known limit.")
    examples: tuple[str, ...] = Field((), description="Texts whose real answers the card shows.")
