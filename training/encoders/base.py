"""What a family of encoders declares: how its checkpoints are recognized, packed, pruned and read.

A family is one module of this folder. Everything else asks it, so that a further family changes no other module.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, cast

from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedModel

from app.bundle import Precision
from training.errors import ExpectedError

log = logging.getLogger(__name__)

Inputs = Mapping[str, Tensor]  # a packed graph's inputs by name, as `app.runtime.packing` builds them
Layout = Literal["packed", "padded"]
Reads = Literal["rows", "window"]


class UnsupportedModelError(ExpectedError, ValueError):
    """The checkpoint cannot be used here. The message is one sentence for a person."""


class Head(NamedTuple):
    """What turns hidden states into a task's answer.

    Where `reads` is "rows", `module` takes the hidden states of chosen tokens: (N, hidden) -> (N, width). Where it is
    "window", it takes those of all tokens and which window each belongs to, a `training.encoders.pooling.Membership`:
    (T, hidden) -> (B, width).
    """

    module: nn.Module
    reads: Reads = "rows"


class Attention(Protocol):
    """Attention among the tokens of each window: qkv (T, 3 * hidden) -> context (T, hidden)."""

    def __call__(self, qkv: Tensor, inputs: Inputs, heads: int, *, is_local: bool = False) -> Tensor:
        """`is_local` is for a layer whose tokens see only their neighbors, as `Encoder.local_attention` says."""
        ...


class Encoder(ABC):
    """A family of encoders. One instance of each subclass serves all its checkpoints; it holds no state."""

    model_types: ClassVar[tuple[str, ...]] = ()  # as `config.json` names them
    layout: ClassVar[Layout] = "packed"
    can_be_pretrained: ClassVar[bool] = True  # whether its language head can be run on the masked tokens only
    can_be_transplanted: ClassVar[bool] = False  # whether pretraining can take its layers over into RoBERTa
    layer_list: ClassVar[str]  # where the list of layers is, inside the base model
    feed_forward_in: ClassVar[str]  # of a layer: its linear from hidden to the width of the feed-forward block
    feed_forward_out: ClassVar[str]  # of a layer: its linear back
    width_field: ClassVar[str] = "intermediate_size"  # the config's name for that width
    precisions: ClassVar[tuple[Precision, ...]] = ("int8", "fp32", "fp16")  # that a graph can have
    can_be_pruned: ClassVar[bool] = True  # whether a student may have fewer layers or neurons
    keeps_first_layer: ClassVar[bool] = False  # whether a student must have it
    dropout_fields: ClassVar[tuple[str, ...]] = ("hidden_dropout_prob", "classifier_dropout")
    attention_dropout_field: ClassVar[str] = "attention_probs_dropout_prob"

    # --- What its config says -------------------------------------------------------------------------

    def check(self, config: PretrainedConfig) -> None:
        """Raise `UnsupportedModelError` for a checkpoint of this family that is no plain encoder."""
        if getattr(config, "is_decoder", False):
            raise UnsupportedModelError("a decoder (is_decoder=true in config.json) cannot be served")
        if getattr(config, "position_embedding_type", "absolute") != "absolute":
            raise UnsupportedModelError("only absolute position embeddings can be packed")

    def position_offset(self, config: PretrainedConfig) -> int:
        """Return the position id of a window's first token."""
        return 0

    def positions(self, config: PretrainedConfig) -> int:
        """Return how many tokens a window can have."""
        return int(config.max_position_embeddings) - self.position_offset(config)

    def local_attention(self, config: PretrainedConfig) -> int | None:
        """Return how far a token sees to either side in layers with local attention; None where there are none."""
        return None

    def token_types(self, config: PretrainedConfig) -> int:
        """Return how many kinds of token the embeddings tell apart; a graph has `token_type_ids` from two on."""
        return int(getattr(config, "type_vocab_size", 0) or 1)

    def offered(self, wanted: Sequence[Precision]) -> tuple[Precision, ...]:
        """Return those of `wanted` that there can be, or fp32 where there is none of them; log what is left out."""
        if missing := [precision for precision in wanted if precision not in self.precisions]:
            log.warning("this encoder has no packed form, and no %s graph: fp32 is published", " or ".join(missing))
        return tuple(precision for precision in wanted if precision in self.precisions) or ("fp32",)

    # --- Its packed modules ---------------------------------------------------------------------------

    @abstractmethod
    def packed_embeddings(self, model: PreTrainedModel) -> nn.Module:
        """Return a module that makes the first hidden states, (T, hidden), of `Inputs`."""

    @abstractmethod
    def packed_layers(self, model: PreTrainedModel, attention: Attention) -> Sequence[nn.Module]:
        """Return the layers as modules `(hidden (T, hidden), inputs, rows=None) -> (T, hidden)`.

        With `rows` (N,) a layer returns (N, hidden): what follows attention is computed for those tokens only.
        Linear layers are called `qkv`, `attention_output`, `intermediate` and `output`: a manifest lists by these names
        which of them int8 left in fp32.
        """

    def merged_linears(self, layer: nn.Module) -> tuple[nn.Linear, ...]:
        """Return the query, key and value of a checkpoint's layer, where packing makes one matrix of them."""
        return ()

    def final_norm(self, model: PreTrainedModel) -> nn.Module | None:
        """Return what follows the last layer, if anything does."""
        return None

    # --- Its heads --------------------------------------------------------------------------------------

    def sequence_head(self, model: PreTrainedModel) -> Head:
        """Return the head of a `ForSequenceClassification`: one row of logits per window."""
        raise self.lacks(model, "classification head")

    def token_head(self, model: PreTrainedModel) -> Head:
        """Return the head of a `ForTokenClassification`: one row of logits per token that is read."""
        classifier = getattr(model, "classifier", None)
        if not isinstance(classifier, nn.Module):
            raise self.lacks(model, "classifier")
        return Head(classifier)

    def span_head(self, model: PreTrainedModel) -> Head:
        """Return the head of a `ForQuestionAnswering`: a logit per token for "begins here" and one for "ends here"."""
        outputs = getattr(model, "qa_outputs", None)
        if not isinstance(outputs, nn.Linear) or outputs.out_features != 2:
            raise self.lacks(model, "layer qa_outputs with two logits per token")
        return Head(outputs)

    def language_head(self, model: PreTrainedModel) -> Head:
        """Return the head of a `ForMaskedLM`: a logit per token of the vocabulary."""
        raise self.lacks(model, "language-model head")

    def language_head_entry(self, model: PreTrainedModel) -> nn.Module:
        """Return the module of a `ForMaskedLM` that its forward pass hands the hidden states to first."""
        head = self.language_head(model).module
        return head[0] if isinstance(head, nn.Sequential) else head

    @staticmethod
    def lacks(model: PreTrainedModel, part: str) -> UnsupportedModelError:
        return UnsupportedModelError(f"{type(model).__name__} has no {part} that is known here")

    # --- Its layers, for pruning, distillation and learning rates -----------------------------------------

    def layers(self, model: PreTrainedModel) -> nn.ModuleList:
        """Return the transformer layers, from the embeddings up."""
        return cast(nn.ModuleList, self.base(model).get_submodule(self.layer_list_of(model)))

    def layer_list_of(self, model: PreTrainedModel) -> str:
        """Return where the list of layers is, inside the base model."""
        return self.layer_list

    def replace_layers(self, model: PreTrainedModel, layers: nn.ModuleList) -> None:
        """Make `model` run these layers instead of its own; its config stays as it is."""
        parent, _, name = self.layer_list_of(model).rpartition(".")
        setattr(self.base(model).get_submodule(parent), name, layers)

    def layer_of(self, model: PreTrainedModel, name: str) -> tuple[int, str] | None:
        """Split a weight's name into the number of its layer, from 0, and the rest; None where it is in no layer."""
        prefix = f"{self.layer_list_of(model)}."
        start = name.find(prefix)
        if start < 0 or name[:start].strip(".") not in ("", model.base_model_prefix):
            return None
        number, _, part = name[start + len(prefix) :].partition(".")
        return int(number), part

    def smaller_config(self, config: PretrainedConfig, layers: Sequence[int]) -> dict[str, Any]:
        """Return what changes in a config when only `layers` are kept; raises `UnsupportedModelError`."""
        return {"num_hidden_layers": len(layers)}

    def cut(self, part: str, weight: Tensor, neurons: Tensor) -> Tensor:
        """Take of a layer's weight the rows or columns that belong to some neurons of its feed-forward block."""
        if part in (f"{self.feed_forward_in}.weight", f"{self.feed_forward_in}.bias"):
            return weight[neurons]  # of (width, hidden) and (width,)
        return weight[:, neurons] if part == f"{self.feed_forward_out}.weight" else weight  # of (hidden, width)

    def width(self, config: PretrainedConfig) -> int:
        """Return how many neurons a feed-forward block has."""
        return int(getattr(config, self.width_field))

    @staticmethod
    def base(model: PreTrainedModel) -> nn.Module:
        """Return the encoder without its head."""
        return cast(nn.Module, model.base_model)
