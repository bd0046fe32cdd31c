"""What a run is: a fine-tuning recipe, or one for pretraining."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, model_validator

from app.bundle import ProblemType
from app.bundle.manifest import BundleName
from training.config.base import Section
from training.config.data import DataConfig
from training.config.sections import (
    CardConfig,
    DistillationConfig,
    EvaluationConfig,
    ExportConfig,
    TaskName,
    TrainingConfig,
)


class Recipe(Section):
    """One fine-tuning run, from labeled data to bundle."""

    name: BundleName = Field(description="Folder of the bundle in models/.")
    task: TaskName = Field(
        description="What the model is trained to do; classification, ner, qa and embedding are understood too."
    )
    problem_type: ProblemType | None = Field(
        None, description="Kind of classification; none finds it out from the labels, and says so."
    )
    base: str = Field("roberta-base", description="Checkpoint to start from: a folder or a Hub id.")
    seed: int = Field(
        42, ge=0, le=10**9, description="Seed of initialization, shuffling, dropout, splitting and rendering."
    )
    task_settings: Mapping[str, Any] = Field(
        default_factory=dict,
        description="What the model keeps for its task alone, as `pooling` of an embedding; what is not said is as in "
        "the base.",
    )
    data: DataConfig = Field(default_factory=DataConfig, description="The splits and how to read them.")
    training: TrainingConfig = Field(default_factory=TrainingConfig, description="How the model is trained.")
    distillation: DistillationConfig | None = Field(None, description="A teacher, where there is one.")
    evaluation: EvaluationConfig = Field(default_factory=EvaluationConfig, description="What the report is made of.")
    export: ExportConfig = Field(default_factory=ExportConfig, description="Which graphs are exported.")
    card: CardConfig = Field(default_factory=CardConfig, description="Text of the model card.")


class EvaluationRecipe(Section):
    """What `evaluate` reads of a recipe: the data, how much of it, and what the report is made of."""

    seed: int = Field(42, ge=0, le=10**9, description="Seed of the resamples behind the intervals.")
    data: DataConfig = Field(default_factory=DataConfig, description="The split to score and how to read it.")
    training: TrainingConfig = Field(default_factory=TrainingConfig, description="Of it, `max_samples`.")
    evaluation: EvaluationConfig = Field(default_factory=EvaluationConfig, description="What the report is made of.")


class CorpusConfig(Section):
    """Unlabeled text, one document a line."""

    train: tuple[str, ...] = Field(description="Text files, .gz too, absolute or relative to --data.", min_length=1)
    validation: str = Field(description="Text file that masked accuracy and perplexity are measured on.")
    max_documents: tuple[int, ...] = Field(
        (), description="Documents read from the start of each training file, in their order; 0 or no entry: all."
    )


class ArchitectureConfig(Section):
    """Shape of a RoBERTa that is pretrained from nothing, and of its vocabulary."""

    layers: int = Field(6, ge=1, description="Transformer layers.")
    hidden_size: int = Field(384, ge=8, description="Width of the hidden states.")
    attention_heads: int = Field(12, ge=1, description="Attention heads; they divide the hidden size.")
    intermediate_size: int = Field(1536, ge=8, description="Width of the feed-forward blocks.")
    positions: int = Field(512, ge=16, description="Tokens that a window can have.")
    vocabulary_size: int = Field(
        32_000, ge=300, description="Tokens of the byte-level BPE that is trained on the corpus, specials included."
    )

    @model_validator(mode="after")
    def heads_divide_width(self) -> ArchitectureConfig:
        if self.hidden_size % self.attention_heads:
            raise ValueError(f"attention_heads {self.attention_heads} does not divide hidden_size {self.hidden_size}")
        return self


class TransplantConfig(Section):
    """A start from the transformer of one encoder and the vocabulary of another."""

    body: str = Field(description="Folder or Hub id of the encoder whose transformer is taken.")
    tokenizer: str = Field(description="Folder or Hub id whose byte-level BPE is taken.")


class PretrainingConfig(Section):
    """How the masked language model is trained.

    Source of AdamW's constants and the warm-up: Liu et al. 2019, arXiv:1907.11692, table 9; its rate of 6e-4 is for
    batches of 8,000 sequences, and no dropout is for text that is seen only once or a few times.
    """

    steps: int = Field(10_000, ge=1, description="Optimizer steps.")
    sequence_length: int = Field(128, ge=8, le=512, description="Tokens per sequence, <s> and </s> included.")
    batch_size: int = Field(32, ge=1, description="Sequences per forward pass on each device.")
    gradient_accumulation: int = Field(1, ge=1, description="Forward passes per optimizer step.")
    learning_rate: float = Field(
        1e-4, gt=0, description="Peak learning rate; models under 50 M parameters, and fresh ones, take 5e-4."
    )
    warmup_ratio: float = Field(0.06, ge=0, lt=1, description="Share of the steps over which the rate rises from 0.")
    weight_decay: float = Field(
        0.01, ge=0, description="Decoupled weight decay, not applied to biases and layer norms."
    )
    adam_beta1: float = Field(0.9, ge=0, lt=1, description="Decay of AdamW's first moment.")
    adam_beta2: float = Field(0.98, ge=0, lt=1, description="Decay of AdamW's second moment.")
    adam_epsilon: float = Field(1e-6, gt=0, description="Term added to AdamW's denominator.")
    max_grad_norm: float = Field(1.0, ge=0, description="Norm to which gradients are clipped; 0: never.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Probability of dropping a hidden value or attention weight.")
    masked_share: float = Field(0.15, gt=0, lt=1, description="Share of the tokens that the model must guess.")
    whole_words: bool = Field(False, description="Choose whole words, still 80 % masked, 10 % random, 10 % kept.")
    mixed_precision: Literal["auto", "no", "bf16", "fp16"] = Field(
        "auto",
        description="Number format of the matrix products; auto: bf16 where the hardware multiplies it.",
    )
    evaluate_every: int = Field(500, ge=1, description="Steps between scores on the validation file.")
    save_every: int = Field(200, ge=1, description="Steps between checkpoints that a cut-off run goes on from.")
    report_to: tuple[Literal["tensorboard", "mlflow"], ...] = Field(
        (), description="Experiment trackers that get the learning curves: tensorboard or mlflow, each to be installed."
    )


class PretrainRecipe(Section):
    """One pretraining run: from a checkpoint, from a transplant, or from nothing but text."""

    name: BundleName = Field(description="Name of the run, and of the fill-mask bundle that is published of it.")
    base: str | None = Field(None, description="Checkpoint to go on from: a folder or a Hub id.")
    transplant: TransplantConfig | None = Field(None, description="Or: two encoders to make a start of.")
    architecture: ArchitectureConfig | None = Field(None, description="Or: the shape of a model to start from nothing.")
    seed: int = Field(42, ge=0, le=10**9, description="Seed of initialization, shuffling and masking.")
    data: CorpusConfig = Field(description="Unlabeled text.")
    pretraining: PretrainingConfig = Field(
        default_factory=PretrainingConfig, description="How the masked language model is trained."
    )
    export: ExportConfig = Field(default_factory=ExportConfig, description="Which graphs are exported.")
    card: CardConfig = Field(default_factory=CardConfig, description="Text of the model card.")

    @model_validator(mode="after")
    def one_start(self) -> PretrainRecipe:
        starts = [name for name in ("base", "transplant", "architecture") if getattr(self, name) is not None]
        if len(starts) != 1:
            raise ValueError(f"give one of base, transplant and architecture, not {' and '.join(starts) or 'none'}")
        return self
