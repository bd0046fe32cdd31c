"""What the tests of `app` are made of: windows, lanes, tickets, manifests, small tokenizers and toy bundles."""

from __future__ import annotations

import json
import string
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from prometheus_client import CollectorRegistry
from pydantic_core import from_json, to_json
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from app.bundle import Graph, Manifest, Probe, new_version, write_manifest
from app.engine.cost import CostModel
from app.engine.work import Lane, Ticket
from app.metrics import Metrics
from app.tasks import task_of
from app.tasks.text import TextEncoder
from app.window import Window

# --- The engine's work ----------------------------------------------------------------------------------


def window(length, token=5, head_rows=1):
    """A window of one token repeated, answered on its first row or rows."""
    return Window(np.full(length, token, np.int64), np.arange(head_rows))


def echo(windows, **where):
    """A forward pass that answers each window with its own token ids, (tokens, 1)."""
    return [w.input_ids[:, None].astype(np.float32) for w in windows]


def make_lane(run=echo, *, budget=64, cost=None, name="toy", metrics=None, padded=False, engine=None):
    metrics = metrics or Metrics(CollectorRegistry())
    return Lane(
        engine=engine,
        name=name,
        run=run,
        computed_tokens=lambda windows, tokens, longest: windows * longest if padded else tokens,
        cost=cost or CostModel(),
        max_batch_tokens=budget,
        series=metrics.of_model("classify", name),
    )


def make_ticket(lane, *lengths, arrival=0.0, deadline=1000.0, priority=0):
    return Ticket(lane, [window(length) for length in lengths], arrival, deadline, priority)


# --- Tokenizers -----------------------------------------------------------------------------------------


def make_graph(**fields):
    return Graph(file="model.fp32.onnx", tolerance=1e-3, **fields)


def make_manifest(task="text-classification", labels=("a", "b", "c"), **fields):
    graphs = {"fp32": make_graph()}
    known = {"name": "toy", "version": 1, "layout": "packed", "max_length": 64, "position_offset": 2}
    return Manifest(**{**known, "task": task, "labels": list(labels), "graphs": graphs, **fields})


def make_encoder(tokenizer, folder, max_length=64):
    """Write a tokenizer and read it as the service does."""
    tokenizer.save(str(folder / "tokenizer.json"))
    return TextEncoder(folder / "tokenizer.json", max_length)


def wordpiece_tokenizer(words=("paris", "is", "good", "a", "play", "in")):
    """BERT's: lower case, no accents, [CLS] a [SEP] b [SEP] with token types, every letter a piece."""
    letters = string.ascii_lowercase + ".,!?"
    pieces = dict.fromkeys(
        ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words, *letters, *(f"##{letter}" for letter in letters)]
    )
    tokenizer = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return tokenizer


def sentencepiece_tokenizer(words=("Paris", "is", "good", "a")):
    """XLM-R's: a Unigram model whose pieces begin words with a low line."""
    letters = string.ascii_letters + ".,!?"
    pieces = [*(f"▁{word}" for word in words), "▁", *letters]
    scores = [(piece, -1.0 - (len(piece) == 1) * 9) for piece in dict.fromkeys(pieces)]
    specials = ["<s>", "<pad>", "</s>", "<unk>"]
    tokenizer = Tokenizer(models.Unigram([*((special, 0.0) for special in specials), *scores], unk_id=3))
    tokenizer.add_special_tokens([*specials, AddedToken("<mask>", lstrip=True, special=True)])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return tokenizer


def decoded(task, request, encoded, outputs):
    """Return the answer for (rows, width) of each window, as lists; of wide rows it sees what is kept."""
    kept = [o if w.ranking is None else w.ranking.keep(o) for o, w in zip(outputs, encoded.windows, strict=True)]
    return from_json(to_json(task.decode(request, encoded.state, kept)))


def serve_checkpoint(folder, secondary=None):
    """Return a function from a request's body to its answer: our tasks around PyTorch's own logits.

    `secondary` is asked of the checkpoint's model, where it is given, in place of the task that it was trained for.
    """
    from tests.support.reference import reference_logits
    from training.encoders.loading import load_checkpoint

    config = json.loads((folder / "config.json").read_text())
    kind = task_of(config)
    manifest = make_manifest(**{"task": kind.name, "labels": (), **kind.manifest_fields(config)})
    task = (secondary or kind)(manifest, TextEncoder(folder / "tokenizer.json", 64), make_graph())
    model = load_checkpoint(str(folder))

    def answer(body):
        request = task.request_type.model_validate(body)
        encoded = task.encode(request)
        outputs = [reference_logits(model, kind.name, w) for w in encoded.windows]
        return decoded(task, request, encoded, outputs)

    return answer


# --- Toy bundles: logits are a row of a table, chosen by token id -----------------------------------------

KINDS = {"fp16": "fp16", "quantized": "dynamic", "int8": "int8"}  # of a toy's graph, by what its name has
VOCABULARY, LABELS = 1000, ("a", "b", "c")
TABLE = np.random.default_rng(0).normal(size=(VOCABULARY, len(LABELS))).astype(np.float32)


def toy_graph(table=TABLE, *, padded=False, kind="fp32"):
    """Packed: table[input_ids][head_rows]. Padded: the row of each text's first token.

    `kind`: fp32, fp16, int8 (weights only) or dynamic (int8 with a scale of the whole batch).
    """
    tensor = helper.make_tensor_value_info
    rows = tensor("head_rows", TensorProto.INT64, ["N"])
    mask = tensor("attention_mask", TensorProto.INT64, ["B", "S"])
    ids = tensor("input_ids", TensorProto.INT64, ["B", "S"] if padded else ["T"])
    nodes = [helper.make_node("Gather", ["table", "input_ids"], ["tokens"])]
    if padded:
        nodes.append(helper.make_node("Gather", ["tokens", "zero"], ["rows"], axis=1))
    else:
        nodes.append(helper.make_node("Gather", ["tokens", "head_rows"], ["rows"]))
    weights = [numpy_helper.from_array(table, "table"), numpy_helper.from_array(np.array(0), "zero")]
    if kind == "fp16":
        weights[0] = numpy_helper.from_array(table.astype(np.float16), "table")
        nodes.append(helper.make_node("Cast", ["rows"], ["logits"], to=TensorProto.FLOAT))
    elif kind == "int8":
        weights[0] = numpy_helper.from_array(np.clip(np.round(table * 32), -128, 127).astype(np.int8), "table")
        weights.append(numpy_helper.from_array(np.float32(1 / 32), "scale"))
        nodes.append(helper.make_node("DequantizeLinear", ["rows", "scale"], ["logits"]))
    elif kind == "dynamic":
        nodes.append(helper.make_node("DynamicQuantizeLinear", ["rows"], ["whole", "scale", "middle"]))
        nodes.append(helper.make_node("DequantizeLinear", ["whole", "scale", "middle"], ["logits"]))
    else:
        nodes.append(helper.make_node("Identity", ["rows"], ["logits"]))
    graph = helper.make_graph(
        nodes,
        "toy",
        [ids, mask] if padded else [ids, rows],
        [tensor("logits", TensorProto.FLOAT, [None, None])],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def write_bundle(models_folder, tokenizer, name="toy", *, graph=None, probes=(), **fields):
    """Publish the next version of a toy classifier, by the code that publishes every bundle."""
    with new_version(models_folder, name) as (folder, version):
        tokenizer.save(str(folder / "tokenizer.json"))
        (folder / "config.json").write_text('{"model_type": "roberta", "pad_token_id": 1}')
        onnx.save(graph or toy_graph(), folder / "model.fp32.onnx")
        write_manifest(folder, make_manifest(name=name, version=version, probes=list(probes), **fields))
    return models_folder / name / str(version)


def toy_probe(encoder, text, shift=0.0):
    """What the toy answers for a text, moved by `shift`."""
    row = TABLE[[encoder.special.prefix[0]]] + shift
    return Probe(text=text, logits=row.tolist())


def write_hub_folder(folder: Path, tokenizer, config=(), graphs=("model.onnx",), graph=None):
    """Write what Optimum writes for a classifier: no manifest, a padded graph, or each a given `graph`."""
    known = {
        "architectures": ["RobertaForSequenceClassification"],
        "model_type": "roberta",
        "pad_token_id": 1,
        "max_position_embeddings": 66,
        "id2label": dict(enumerate(LABELS)),
    }
    folder.mkdir(parents=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "config.json").write_text(json.dumps({**known, **dict(config)}))
    for file in graphs:
        (folder / file).parent.mkdir(exist_ok=True)
        kind = next((kind for word, kind in KINDS.items() if word in file), "fp32")
        onnx.save(graph or toy_graph(padded=True, kind=kind), folder / file)
    return folder
