"""The sections of a recipe: frozen data, one sentence and a bound for each field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from app.command_line.near import did_you_mean
from app.tasks import MODEL_TASKS
from training.config.base import Section


def full_task_name(name: str) -> str:
    """Return the pipeline name of a task, which may be called by a shorter one; see `app.tasks`."""
    known = {each: task.name for task in MODEL_TASKS.values() for each in (task.name, *task.aliases)}
    if name not in known:
        near = did_you_mean(name, known, f"there are {', '.join(known)}")
        raise ValueError(f"there is no task {name!r}{near}")
    return known[name]


TaskName = Annotated[str, AfterValidator(full_task_name), Field(json_schema_extra={"enum": list(MODEL_TASKS)})]


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
        None,
        ge=1,
        description="Most examples of each split, a seeded sample of every label, for a quick trial; none: all.",
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

    precisions: tuple[Literal["fp32", "fp16", "int8"], ...] = Field(
        ("int8",), min_length=1, description="Graphs to export."
    )
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
    data_attribution: tuple[str, ...] = Field((), description="One line per data source: name, authors, license.")
    licence: str = Field("", description="SPDX identifier of the license of the bundle.")
    limits: tuple[str, ...] = Field((), description="One sentence per known limit.")
    examples: tuple[str, ...] = Field((), description="Texts whose real answers the card shows.")
