"""Which files of a repository are fetched, and what is served of it."""

import pytest

from app.hub.choosing import choose
from app.hub.errors import HubError

TOKENIZER = ["config.json", "tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt"]
OTHERS = [
    *(".gitattributes", "README.md", "pytorch_model.bin", "pytorch_model.bin.index.json", "tf_model.h5"),
    *("flax_model.msgpack", "training_args.bin", "trainer_state.json", "openvino/openvino_model.xml"),
    *("checkpoint-500/model.safetensors", "checkpoint-500/config.json", "runs/events.out", "model.fp16.safetensors"),
]
SHARDS = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]


def chosen(names, *, prefers_export=True, device="cpu"):
    return choose([*names, *OTHERS], prefers_export=prefers_export, device=device, what="acme/m")


@pytest.mark.parametrize(
    ("files", "kind", "needed"),
    [
        (["model.safetensors"], "safetensors", ["model.safetensors"]),
        ([*SHARDS, "model.safetensors.index.json"], "safetensors", ["model.safetensors.index.json", *SHARDS]),
        (["model.onnx"], "onnx", ["model.onnx"]),
        (["onnx/model.onnx", "onnx/model.onnx_data"], "onnx", ["onnx/model.onnx", "onnx/model.onnx_data"]),
        (["model.onnx", "model.onnx.data"], "onnx", ["model.onnx", "model.onnx.data"]),
        (["onnx/model.onnx", "onnx/model_quantized.onnx", "onnx/model_fp16.onnx"], "onnx", ["onnx/model.onnx"]),
        (["onnx/model_quantized.onnx", "onnx/model_q4.onnx"], "onnx", ["onnx/model_quantized.onnx"]),
        (["onnx/model_O2.onnx", "onnx/model_qint8_avx512_vnni.onnx"], "onnx", ["onnx/model_O2.onnx"]),
        (["classifier.onnx"], "onnx", ["classifier.onnx"]),
        (["modules.json", "1_Pooling/config.json", "2_Dense/config.json", "2_Dense/model.safetensors", "model.onnx"],
         "onnx",
         ["modules.json", "1_Pooling/config.json", "2_Dense/config.json", "2_Dense/model.safetensors", "model.onnx"]),
        (["sentencepiece.bpe.model", "1_Pooling/config.json", "model.safetensors"], "safetensors",
         ["sentencepiece.bpe.model", "1_Pooling/config.json", "model.safetensors"]),
    ],
    ids=str,
)  # fmt: skip
def test_only_what_is_needed_is_fetched(files, kind, needed):
    choice = chosen([*TOKENIZER, *files])
    assert choice.kind == kind
    assert set(choice.files) == {*TOKENIZER, *needed}


def test_of_both_the_export_goes_first_where_it_can_be_made():
    both = [*TOKENIZER, "model.safetensors", "onnx/model.onnx"]
    assert chosen(both).kind == "safetensors"
    assert chosen(both, prefers_export=False).main == "onnx/model.onnx"


def test_a_gpu_takes_half_precision():
    graphs = ["onnx/model.onnx", "onnx/model_fp16.onnx", "onnx/model_int8.onnx"]
    assert chosen([*TOKENIZER, *graphs], device="cuda").main == "onnx/model_fp16.onnx"
    assert chosen([*TOKENIZER, "onnx/model.onnx"], device="cuda").main == "onnx/model.onnx"


def test_a_bundle_goes_before_everything():
    choice = chosen([*TOKENIZER, "manifest.json", "model.fp32.onnx", "model.safetensors"])
    assert choice.kind == "bundle"
    assert {"manifest.json", "model.fp32.onnx", "README.md"} <= set(choice.files)
    assert not {"model.safetensors", "pytorch_model.bin"} & set(choice.files)


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["config.json", "pytorch_model.bin"], "acme/m has its weights as pytorch_model.bin only, which may run code"),
        (["config.json", "tf_model.h5"], "has its weights as tf_model.h5 only"),
        (["config.json", "model.safetensors", "modules.json", "1_Pooling/config.json", "2_Dense/pytorch_model.bin"],
         "acme/m has the weights of a module as 2_Dense/pytorch_model.bin only, which may run code when it is opened"),
        (["config.json", "model-Q4.gguf"], "has its weights as model-Q4.gguf only"),
        (["config.json", SHARDS[0]], "acme/m has neither ONNX graphs nor safetensors; save it with save_pretrained"),
        (["config.json"], "has neither ONNX graphs nor safetensors"),
        (["config.json", "adapter_model.safetensors"], "acme/m is an adapter, not a model; merge it into its base"),
        (["adapter_config.json", "adapter_model.safetensors"], "acme/m is an adapter, not a model"),
        (["model.safetensors"], "acme/m has no config.json, so it is no model of transformers"),
    ],
    ids=str,
)  # fmt: skip
def test_what_cannot_be_served_says_what_it_is_and_what_to_do(names, sentence):
    with pytest.raises(HubError) as raised:
        choose(names, prefers_export=True, device="cpu", what="acme/m")
    assert sentence in str(raised.value)
