"""From a checkpoint to a bundle: every precision exported, verified, calibrated and scored, or nothing at all.

A chain of values: checkpoint -> draft -> graphs -> candidates -> verified -> scored -> manifest. Each graph is opened
once and predicts each split once; what it predicted is handed on.
"""

from __future__ import annotations

import itertools
import logging
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from transformers import PreTrainedModel

from app.bundle import Manifest, Precision, Probe, new_version, sha256, write_manifest
from app.bundle.contents import WEIGHTS
from training.encoders import family_of
from training.evaluation.costs import MOST_TEXTS, GraphCost, costs_of
from training.evaluation.record import Evaluation
from training.export.candidates import make_candidates
from training.export.card import model_card
from training.export.draft import LEAST_TOLERANCE, Candidate, Draft, describe, load_model
from training.export.publication import Publication
from training.export.scores import Scored, graph_of, score, scored_split, with_quantization
from training.export.verify import PROBE_MARGIN, answers_of, check_drift, length_mixes, make_reference, measure_drift
from training.progress import Phases
from training.provenance import commit_of_this_code, versions, without_folders
from training.trained import GENERIC_TEXTS, TrainedCheckpoint

PROBES = 8
PROBE_CHARACTERS = 300
VERIFIED_TEXTS = 200  # whose tokens the windows of verification are cut from

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Published:
    """A bundle that exists, and the evaluation of each graph that a CPU runs, with what it costs.

    The bundle's own graphs come first, in the order of `export.precisions`; fp32 follows where the bundle has none.
    """

    folder: Path
    manifest: Manifest
    evaluations: Sequence[Evaluation]
    costs: Sequence[GraphCost] = ()


def publish(
    publication: Publication, checkpoint: TrainedCheckpoint, models: Path, phases: Phases | None = None
) -> Published:
    """Export, verify and score a checkpoint, and publish it as the next version of its name in `models`.

    Raises `VerificationError` when a graph is not the checkpoint, or loses more of the task's metric on the
    validation split than the publication allows; `UnsupportedModelError` for a checkpoint that cannot be exported.
    Nothing is published then.
    """
    phases = phases or Phases()
    loaded = load_model(checkpoint.source, publication.task_settings)
    publication = possible(publication, loaded[0])
    with new_version(models, publication.name) as (folder, version):
        draft = describe(publication.name, version, checkpoint, loaded, publication.export, folder)
        manifest, evaluations, costs = fill(draft, publication, phases)
        write_manifest(folder, manifest)
    log.info("published %s:%d", publication.name, version)
    return Published(models / publication.name / str(version), manifest, evaluations, costs)


def possible(publication: Publication, model: PreTrainedModel) -> Publication:
    """Ask for those graphs only that the model's family of encoders has."""
    offered = family_of(model).offered(publication.export.precisions)
    return publication.model_copy(update={"export": publication.export.model_copy(update={"precisions": offered})})


def fill(draft: Draft, publication: Publication, phases: Phases) -> tuple[Manifest, list[Evaluation], list[GraphCost]]:
    """Make the graphs of a draft, verify, score and measure each, and return what the manifest says."""
    candidates, quantization = make_candidates(draft, publication, phases)
    with phases("verify"):
        probes = make_probes(draft, candidates["fp32"], publication)
        tolerances = verify(draft, candidates.values(), probes)
    with phases("score"):
        scored = {p: score(draft, candidate, publication, tolerances[p]) for p, candidate in candidates.items()}
        costs = measure(draft, publication.export.precisions)
    if "fp16" in draft.manifest.graphs:
        log.warning("fp16 needs CUDA to be verified: the service will hold it to its probes at load")
        scored["fp16"] = Scored(graph_of(draft, "fp16", candidates["fp32"].scoring))
    if quantization is not None:
        scored["int8"] = with_quantization(scored["int8"], quantization)
    manifest = draft.manifest.model_copy(
        update={
            "graphs": {p: scored[p].graph for p in publication.export.precisions},
            "probes": probes,
            "provenance": provenance(draft.checkpoint, publication),
        }
    )
    write_card(draft, candidates, publication, manifest, scored["fp32"].graph.metrics)
    for precision in set(draft.manifest.graphs) - set(manifest.graphs):
        (draft.folder / draft.manifest.graphs[precision].file).unlink()
    shown = [*manifest.graphs, *(p for p in scored if p not in manifest.graphs)]
    return manifest, [evaluation for p in shown if (evaluation := scored[p].evaluation) is not None], costs


def measure(draft: Draft, shipped: Sequence[Precision]) -> list[GraphCost]:
    """Return what each graph costs, those of the bundle first; nothing where there are no examples to measure with."""
    task, split = draft.task, scored_split(draft.checkpoint)
    examples = getattr(draft.checkpoint, split)[:MOST_TEXTS] if split else ()
    found = costs_of(draft.bundle, [task.text_of(example) for example in examples], task.calibration_window)
    named = [
        each if each.precision in shipped else replace(each, precision=f"checkpoint {each.precision}") for each in found
    ]
    return sorted(named, key=lambda each: each.precision not in shipped)


# --- Verification ----------------------------------------------------------------------------------------------


def make_probes(draft: Draft, fp32: Candidate, publication: Publication) -> list[Probe]:
    """Record what the checkpoint, not a graph, answers to the card's examples and to short texts of the data."""
    task, generator = draft.task, random.Random(publication.seed)
    short = [text[:PROBE_CHARACTERS].strip() for text in [*draft.checkpoint.texts, *GENERIC_TEXTS]]
    made = (task.probe_text(text, generator) for text in short if text)
    examples = itertools.chain(publication.card.examples, (text for text in made if text))
    texts = list(itertools.islice(unique(examples), PROBES))
    windows = [fp32.served.task.probe(text) for text in texts]
    probes = []
    for text, outputs in zip(texts, answers_of(draft.model, windows, task.outputs_of), strict=True):
        columns = task.probe_columns(outputs)
        kept = outputs if columns is None else outputs[:, columns]  # (rows, columns)
        probes.append(Probe(text=text, columns=columns, logits=np.round(kept, 5).tolist()))
    return probes


def unique(texts: Iterable[str]) -> Iterator[str]:
    """Yield each text once."""
    seen: set[str] = set()
    for text in texts:
        if text not in seen:
            seen.add(text)
            yield text


def verify(draft: Draft, candidates: Iterable[Candidate], probes: Sequence[Probe]) -> dict[Precision, float]:
    """Hold each graph against the checkpoint, and return how far the service may see its probes drift.

    Raises `VerificationError` when a graph is not the checkpoint.
    """
    encoder, task = draft.encoder, draft.task
    tokens = [token for text in encoder.encode(list(draft.checkpoint.texts[:VERIFIED_TEXTS])) for token in text.ids]
    mixes = length_mixes(tokens, encoder, task.rows_to_verify)
    reference = make_reference(draft.model, mixes, task.outputs_of)
    tolerances = {}
    for candidate in candidates:
        precision, served = candidate.precision, candidate.served
        drift = measure_drift(served.session, reference)
        check_drift(drift, precision)
        log.info("%s: outputs off by %.2g at most, %.2g on average", precision, drift.greatest, drift.mean)
        probed = max(probe.drift(served.session.run([served.task.probe(probe.text)])[0]) for probe in probes)
        tolerances[precision] = max(LEAST_TOLERANCE[precision], PROBE_MARGIN * probed)
    return tolerances


# --- What is written beside the graphs ------------------------------------------------------------------


def provenance(checkpoint: TrainedCheckpoint, publication: Publication) -> dict[str, Any]:
    """Say where the bundle comes from."""
    return {
        "base": without_folders(checkpoint.base),
        "data": list(publication.card.data_attribution),
        "licence": publication.card.licence,
        "scored_on": scored_split(checkpoint),
        "training": without_folders(checkpoint.training),
        "training_seconds": checkpoint.training_seconds,
        "export": publication.export.model_dump(mode="json"),
        "data_sha256": checkpoint.data_sha256,
        "checkpoint_sha256": checkpoint_sha256(checkpoint),
        "versions": versions(),
        "commit": commit_of_this_code(),
    }


def checkpoint_sha256(checkpoint: TrainedCheckpoint) -> str | None:
    """Return what the weights are; None where they are not in one file of a folder."""
    weights = next((file for name in WEIGHTS if (file := Path(checkpoint.source) / name).is_file()), None)
    return None if weights is None else sha256(weights)


def write_card(
    draft: Draft,
    candidates: Mapping[Precision, Candidate],
    publication: Publication,
    manifest: Manifest,
    baseline: Mapping[str, float],
) -> None:
    """Answer the card's examples with the first graph that is shipped and that a CPU can run, and write README.md."""
    served = candidates[next((p for p in publication.export.precisions if p in candidates), "fp32")].served
    examples = {text: served.answer({"inputs": draft.task.input_of(text)}) for text in publication.card.examples}
    card = model_card(publication.card, manifest, draft.task, draft.bundle.config["model_type"], examples, baseline)
    (draft.folder / "README.md").write_text(card, encoding="utf-8")
