"""From a checkpoint to a bundle: every precision exported, verified, calibrated and scored, or nothing at all."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
from onnx import ModelProto
from tokenizers import Tokenizer
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from app.bundle import (
    Bundle,
    Graph,
    Manifest,
    Precision,
    labels_of,
    new_version,
    problem_type_of,
    read_json,
    sha256,
    task_of,
    write_manifest,
)
from app.runtime.packing import PackedLayout
from app.tasks.fill_mask import mask_token_of
from app.tasks.text import TextEncoder
from training.config import Recipe
from training.encoders import check_vocabulary, family_of, load_checkpoint, load_tokenizer
from training.encoders.heads import head_of
from training.evaluation import main_metric
from training.evaluation.score import Calibration, Examples, calibrate, score
from training.evaluation.served import ServedGraph, batches
from training.export.card import model_card
from training.export.gate import gate_int8
from training.export.graph import export_fp16, export_fp32
from training.export.material import GENERIC_TEXTS, calibration_windows, make_probes, probe_texts
from training.export.quantize import quantize_int8
from training.export.verify import PROBE_MARGIN, check_drift, length_mixes, measure_drift
from training.provenance import commit_of_this_code, versions, without_folders

log = logging.getLogger(__name__)

# The least drift of logits that the service must accept from another machine: CPUs add in another order, which
# int8 rounding enlarges; fp16 runs on CUDA alone, so that its drift cannot be measured on a CPU.
LEAST_TOLERANCE: dict[Precision, float] = {"fp32": 1e-3, "int8": 0.05, "fp16": 0.1}


@dataclass(frozen=True)
class Material:
    """What an export works from: a checkpoint folder or Hub id, texts to calibrate on, examples to score on.

    `training` is the recipe that made the checkpoint, as JSON, and what it left open as it was chosen; None for a
    checkpoint that was trained elsewhere. `data_sha256` names the splits by what is in them.
    """

    checkpoint: str
    texts: Sequence[str] = GENERIC_TEXTS
    validation: Examples = ()
    test: Examples = ()
    training: Mapping[str, Any] | None = None
    training_seconds: float | None = None
    data_sha256: Mapping[str, str] | None = None


def publish(recipe: Recipe, material: Material, models: Path) -> Path:
    """Export, verify and score a checkpoint, and publish it as the next version of `recipe.name` in `models`.

    Raises `VerificationError` when a graph is not the checkpoint, or loses more of the task's metric on the
    validation split than the recipe allows; `UnsupportedModelError` for a checkpoint that is no encoder of ours.
    Nothing is published then.
    """
    model = load_checkpoint(material.checkpoint)
    family_of(model)
    tokenizer = load_tokenizer(material.checkpoint)
    check_vocabulary(tokenizer, model)
    with new_version(models, recipe.name) as (folder, version):
        Publication(recipe, material, model, tokenizer, folder, version).make()
    log.info("published %s:%d", recipe.name, version)
    return models / recipe.name / str(version)


class Publication:
    """One bundle in the making, in a temporary folder."""

    def __init__(
        self,
        recipe: Recipe,
        material: Material,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        folder: Path,
        version: int,
    ) -> None:
        self.material = material
        self.quantisation: dict[str, Any] | None = None  # what the gate of int8 decided
        self.calibration = Calibration()  # of fp32, and for fp16, which cannot be scored on a CPU
        self.model, self.tokenizer = model, tokenizer
        self.folder = folder
        write_tokenizer(tokenizer, folder)
        write_config(model, folder)
        family = family_of(model)
        config = read_json(folder / "config.json")
        export = recipe.export.model_copy(update={"precisions": family.offered(recipe.export.precisions)})
        # an export takes what the checkpoint is
        self.recipe = recipe.model_copy(update={"task": task_of(config), "export": export})
        self.manifest = Manifest(
            name=recipe.name,
            version=version,
            task=task_of(config),
            problem_type=problem_type_of(config) if task_of(config) == "text-classification" else None,
            layout=family.layout,
            labels=[] if task_of(config) == "fill-mask" else labels_of(config),
            max_length=min(recipe.export.max_length, family.positions(model.config)),
            position_offset=family.position_offset(model.config),
            local_attention=family.local_attention(model.config),
            graphs={p: Graph(file=f"model.{p}.onnx", tolerance=1.0) for p in self.precisions},
        )
        self.encoder = TextEncoder(folder / "tokenizer.json", self.manifest.max_length)

    @property
    def precisions(self) -> list[Precision]:
        """What is made: fp32 always, being what the others are held against, and what the recipe asks for."""
        return ["fp32", *(p for p in self.recipe.export.precisions if p != "fp32")]

    def make(self) -> None:
        self.write_graphs()
        texts = probe_texts(self.manifest, self.recipe.card.examples, self.material.texts, self.recipe.seed)
        probes = make_probes(ServedGraph(self.bundle, "fp32"), self.model, texts)
        self.manifest = self.manifest.model_copy(update={"probes": probes})
        graphs = {p: self.prove(p) for p in self.precisions}
        self.manifest = self.manifest.model_copy(update={"graphs": graphs})
        examples = self.answer_examples()
        for precision in set(self.precisions) - set(self.recipe.export.precisions):
            (self.folder / graphs[precision].file).unlink()
        kept = {p: graphs[p] for p in self.recipe.export.precisions}
        provenance = self.provenance()
        self.manifest = self.manifest.model_copy(update={"graphs": kept, "provenance": provenance})
        self.write_card(examples, graphs["fp32"].metrics)
        write_manifest(self.folder, self.manifest)

    @property
    def bundle(self) -> Bundle:
        return Bundle(self.folder, self.manifest, read_json(self.folder / "config.json"))

    def write_graphs(self) -> None:
        log.info("exporting fp32")
        fp32 = export_fp32(self.model, *head_of(self.model)[1])
        self.save(fp32, "fp32")
        if "int8" in self.precisions:
            log.info("calibrating int8 on %d texts", len(self.calibration_texts))
            self.save(self.gated_int8(fp32), "int8")
        if "fp16" in self.precisions:
            log.info("exporting fp16")
            self.save(export_fp16(self.model, *head_of(self.model)[1]), "fp16")

    def gated_int8(self, fp32: ModelProto) -> ModelProto:
        """Quantize as many operators as the recipe's bound on the validation metric allows; keep what was decided."""
        feeds, allowed = self.calibration_feeds(fp32), self.recipe.export.max_metric_drop
        if not self.material.validation:
            return quantize_int8(fp32, feeds)
        best = self.validation_score("fp32")

        def drop_of(int8: ModelProto) -> float:
            self.save(int8, "int8")
            return 100 * (best - self.validation_score("int8"))

        model, decision = gate_int8(fp32, feeds, drop_of, allowed)
        log.info("int8 loses %.2f points of validation %s", decision.drop_after, self.metric)
        self.quantisation = {"metric": self.metric, "split": "validation", **decision.as_json()}
        return model

    @property
    def metric(self) -> str:
        return main_metric(self.manifest.task, self.manifest.problem_type)

    def validation_score(self, precision: Precision) -> float:
        """Return the main metric of one graph on the validation split, calibrated on it as it will be served."""
        served, labels = ServedGraph(self.bundle, precision), self.manifest.labels
        calibration = calibrate(served.classify, self.material.validation, labels, self.manifest.problem_type)
        return score(served, self.material.validation, labels, self.tokenizer, calibration)[self.metric]

    def save(self, graph: ModelProto, precision: Precision) -> None:
        onnx.save(graph, self.folder / self.manifest.graphs[precision].file)

    @property
    def calibration_texts(self) -> Sequence[str]:
        return self.material.texts[: self.recipe.export.calibration_texts]

    def calibration_feeds(self, graph: ModelProto) -> list[dict[str, Any]]:
        mask_id = mask_token_of(self.encoder)[1] if self.manifest.task == "fill-mask" else None
        windows = calibration_windows(self.calibration_texts, self.encoder, mask_id, self.recipe.seed)
        names = [value.name for value in graph.graph.input]
        layout = PackedLayout(names, self.manifest.position_offset, self.manifest.local_attention)
        lengths = [len(window) for window in windows]
        order = sorted(range(len(windows)), key=lengths.__getitem__)
        return [layout.feed([windows[i] for i in batch]) for batch in batches(order, lengths)]

    def prove(self, precision: Precision) -> Graph:
        """Verify one graph against the checkpoint, fit its temperature, and score it on the test split."""
        if precision == "fp16":
            log.warning("fp16 needs CUDA to be verified: the service will hold it to its probes at load")
            return Graph(
                file=self.manifest.graphs[precision].file,
                tolerance=LEAST_TOLERANCE[precision],
                temperature=self.calibration.temperature,
                thresholds=self.calibration.thresholds,
            )
        served = ServedGraph(self.bundle, precision)
        tokens = [token for text in self.encoder.encode(list(self.material.texts[:200])) for token in text.ids]
        mixes = length_mixes(tokens, self.encoder, self.manifest.task)
        drift = measure_drift(served.session, self.model, self.manifest.task, mixes)
        check_drift(drift, precision)
        log.info("%s: logits off by %.2g at most, %.2g on average", precision, drift.greatest, drift.mean)
        labels, problem_type = self.manifest.labels, self.manifest.problem_type
        calibration = calibrate(served.classify, self.material.validation, labels, problem_type)
        if precision == "fp32":
            self.calibration = calibration
        metrics = score(served, self.material.test or self.material.validation, labels, self.tokenizer, calibration)
        log.info("%s: %s", precision, {name: round(value, 4) for name, value in metrics.items()})
        return Graph(
            file=self.manifest.graphs[precision].file,
            tolerance=self.tolerance(precision, served),
            temperature=calibration.temperature,
            thresholds=calibration.thresholds,
            metrics=metrics,
            quantisation=self.quantisation if precision == "int8" else None,
        )

    def tolerance(self, precision: Precision, served: ServedGraph) -> float:
        """Return the drift of the probes that the service shall accept: what it is here, with a margin."""
        drift = max(p.drift(served.session.run([served.task.probe(p.text)])[0]) for p in self.manifest.probes)
        return max(LEAST_TOLERANCE[precision], PROBE_MARGIN * drift)

    def provenance(self) -> dict[str, Any]:
        """Say where the bundle comes from."""
        material = self.material
        weights = Path(material.checkpoint) / "model.safetensors"
        return {
            "base": without_folders(self.recipe.base),
            "data": list(self.recipe.card.data_attribution),
            "licence": self.recipe.card.licence,
            "scored_on": "test" if material.test else "validation" if material.validation else None,
            "training": without_folders(material.training),
            "training_seconds": material.training_seconds,
            "export": self.recipe.export.model_dump(mode="json"),
            "data_sha256": material.data_sha256,
            "checkpoint_sha256": sha256(weights) if weights.is_file() else None,
            "versions": versions(),
            "commit": commit_of_this_code(),
        }

    def answer_examples(self) -> dict[str, Any]:
        """Answer the card's examples with the first graph that is shipped and that a CPU can run, else with fp32."""
        shown: Precision = next((p for p in self.recipe.export.precisions if p != "fp16"), "fp32")
        served = ServedGraph(self.bundle, shown)
        return {text: served.answer(text) for text in self.recipe.card.examples}

    def write_card(self, examples: dict[str, Any], baseline: dict[str, float]) -> None:
        card = model_card(self.recipe, self.manifest, examples, baseline)
        (self.folder / "README.md").write_text(card, encoding="utf-8")


def write_tokenizer(tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Write the fast tokenizer without truncation or padding, which are the service's to decide."""
    fast: Tokenizer = tokenizer.backend_tokenizer
    fast.no_truncation()
    fast.no_padding()
    fast.save(str(folder / "tokenizer.json"))


def write_config(model: PreTrainedModel, folder: Path) -> None:
    config = model.config.to_dict() | {"architectures": [type(model).__name__]}
    config.pop("_name_or_path", None)
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
