"""The checkpoint in a bundle: the weights of its packed graph under transformers' names again, to train them further.

int8 weights come back as the values that they stand for, so the checkpoint is the model that is served, not the one
from before it was rounded. A bundle so is a base like any other, and needs no network.
"""

from __future__ import annotations

import itertools
import logging
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import onnx
import torch
import transformers
from huggingface_hub import cached_assets_path, constants
from onnx import ModelProto
from torch import Tensor, nn
from transformers import AutoConfig, PreTrainedModel

from app.bundle import MANIFEST, Bundle, BundleError, Precision, read_bundle
from app.bundle.reading import versions
from app.tasks import open_task
from training.encoders import Encoder, UnsupportedModelError, family_of
from training.export.attention import GridAttention
from training.export.packed import PackedModel
from training.export.quantize import EMBEDDINGS, name_of, weights_of
from training.export.verify import answers_of
from training.tasks import training_task

DENSE = "head.pooling.inner"  # what begins the names of the weights of dense layers
ACTIVATIONS = {"Tanh": nn.Tanh, "Relu": nn.ReLU, "Gelu": nn.GELU, "Sigmoid": nn.Sigmoid}  # by operators of ONNX
RESTORED: tuple[Precision, ...] = ("fp32", "int8")  # the graph that is read, the better one first

log = logging.getLogger(__name__)


def base_folder(source: str) -> str:
    """Return the checkpoint in a bundle, or in the newest version of a folder of bundles; any other source as it is.

    Raises `UnsupportedModelError` where no checkpoint can be made of the bundle.
    """
    folder = bundle_folder(source)
    if folder is None:
        return source
    try:
        bundle = read_bundle(folder, name=folder.resolve().parent.name, version=int(folder.name))
        return str(checkpoint_of(bundle))
    except (BundleError, ValueError) as error:
        raise UnsupportedModelError(f"{source} cannot be a base: {error}") from error


def bundle_folder(source: str) -> Path | None:
    """Return the folder of a bundle, or of the newest version in a folder of bundles; None for any other source."""
    folder = Path(source)
    newest = [folder / str(version) for version in versions(folder.parent, folder.name)[:1]]
    return next((each for each in (folder, *newest) if (each / MANIFEST).is_file()), None)


def checkpoint_of(bundle: Bundle) -> Path:
    """Return the folder of a bundle's checkpoint in the cache of huggingface_hub; it is made where it is not there."""
    folder = cached_assets_path("roberta-train", "bases", bundle.fingerprint, assets_dir=constants.HF_ASSETS_CACHE)
    if (folder / "config.json").is_file():
        return folder
    model = restore(bundle)
    log.info("the weights of %s are taken from its graph", bundle.path)
    with tempfile.TemporaryDirectory(dir=folder.parent) as place:
        whole = Path(place) / "checkpoint"
        model.save_pretrained(whole)
        training_task(bundle.manifest.task).save_beside(model, whole)
        shutil.copyfile(bundle.path / "tokenizer.json", whole / "tokenizer.json")
        with suppress(OSError):  # another process has put its own there
            whole.rename(folder)  # in place of an empty folder
    return folder


def restore(bundle: Bundle) -> PreTrainedModel:
    """Make the checkpoint that a bundle's graph was exported from, and hold it to the bundle's probes.

    Raises `UnsupportedModelError`.
    """
    manifest = bundle.manifest
    precision = next((each for each in RESTORED if each in manifest.graphs), None)
    if manifest.layout != "packed" or precision is None or not manifest.probes:
        raise UnsupportedModelError(
            "it has no packed graph in fp32 or int8 with probes; give the checkpoint that it was made of"
        )
    config = AutoConfig.from_pretrained(bundle.path)
    model_class: Any = getattr(transformers, (config.architectures or ["none"])[0], None)
    task = training_task(manifest.task)
    if model_class is None:
        raise UnsupportedModelError("its config names no architecture of transformers; give the checkpoint")
    model: PreTrainedModel = model_class(config)
    model.tie_weights()
    graph = onnx.load(bundle.path / manifest.graphs[precision].file)
    task.rebuild(model, manifest, dense_behind(graph))
    model.eval()
    family = family_of(model)
    head, reads = task.head(family, model)
    packed = PackedModel(family, model, GridAttention(), head, reads)
    take_over(packed, model, {name: torch.from_numpy(values) for name, values in weights_of(graph).items()})
    split_attention(family, model, packed)
    prove(model, bundle, precision)
    return model


def dense_behind(graph: ModelProto) -> list[nn.Sequential]:
    """Return the dense layers that a graph has behind its pooling, each with its activation and without its weights."""
    shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.graph.initializer}
    layers: list[nn.Sequential] = []
    for number in itertools.count():
        name = f"{DENSE}.{number}.0"
        if f"{name}.weight" not in shapes:
            break
        width, inner = shapes[f"{name}.weight"]
        linear = nn.Linear(inner, width, f"{name}.bias" in shapes)
        node = next(node for node in graph.graph.node if f"{name}.weight" in node.input)
        behind = next((each.op_type for each in graph.graph.node if node.output[0] in each.input), "")
        layers.append(nn.Sequential(linear, ACTIVATIONS.get(behind, nn.Identity)()))
    return layers


def take_over(packed: PackedModel, model: PreTrainedModel, weights: dict[str, Tensor]) -> None:
    """Load a graph's weights into the packed module, which shares all but its attention with `model`.

    The exporter leaves out biases of zeros and norms of ones, which a fresh model has; probes tell of anything else.
    """
    decoder = model.get_output_embeddings()
    if decoder is not None and (bias := weights.pop(f"{name_of(EMBEDDINGS)}.bias", None)) is not None:
        cast(Any, decoder).bias.data.copy_(bias)
    unknown = packed.load_state_dict(weights, strict=False).unexpected_keys
    kinds = "embeddings.token_type.weight"
    if kinds in packed.state_dict() and kinds not in weights:  # one kind, whose vector the exporter gave another name
        (vector,) = [weights[name] for name in unknown if weights[name].shape == (model.config.hidden_size,)]
        packed.get_parameter(kinds).data.copy_(vector[None])


def split_attention(family: Encoder, model: PreTrainedModel, packed: PackedModel) -> None:
    """Copy query, key and value, which are one matrix in a packed layer, back to the layers of the checkpoint."""
    for layer, packed_layer in zip(family.layers(model), packed.layers, strict=True):
        linears = family.merged_linears(layer)
        if not linears:
            continue
        qkv = cast(nn.Linear, packed_layer.qkv)
        sizes = [linear.out_features for linear in linears]
        parts = zip(torch.split(qkv.weight, sizes), torch.split(qkv.bias, sizes), strict=True)
        for linear, (weight, bias) in zip(linears, parts, strict=True):
            linear.weight.data.copy_(weight)
            linear.bias.data.copy_(bias)


def prove(model: PreTrainedModel, bundle: Bundle, precision: Precision) -> None:
    """Raise `UnsupportedModelError` where the checkpoint does not answer the bundle's probes."""
    task, tolerance = open_task(bundle, precision), bundle.manifest.graphs[precision].tolerance
    probes = bundle.manifest.probes
    windows = [task.probe(probe.text) for probe in probes]
    answers = answers_of(model, windows, training_task(bundle.manifest.task).outputs_of)
    for number, (probe, answer) in enumerate(zip(probes, answers, strict=True)):
        if (drift := probe.drift(answer)) > tolerance:
            raise UnsupportedModelError(f"what its graph holds answers probe {number} otherwise, by {drift:.3g}")
