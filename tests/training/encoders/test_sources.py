"""What a checkpoint's folder must hold: each lack is one sentence with what to do, for every verb alike."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file

from tests.support.sentences import tiny_encoder, write_sentences
from training.__main__ import main
from training.encoders import UnsupportedModelError, load_checkpoint, load_tokenizer
from training.encoders.sources import find_source

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"


@pytest.fixture
def checkpoint(tiny_checkpoints, tmp_path):
    return shutil.copytree(tiny_checkpoints["classify"], tmp_path / "checkpoint")


def pickled(folder):
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def sharded(folder):
    model = load_checkpoint(str(folder))
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="40KB")
    assert len(list(folder.glob("model-*.safetensors"))) > 1


def point(file):
    return lambda folder: (folder / file).write_text(POINTER)


def only(*files):
    def empty(folder):
        for entry in folder.iterdir():
            entry.unlink()
        for file in files:
            (folder / file).write_text("{}")

    return empty


def lose_a_shard(folder):
    sharded(folder)
    sorted(folder.glob("model-*.safetensors"))[0].unlink()


BROKEN = {
    "pickled": (pickled, "pickled weights only.*type: roberta-train convert"),
    "pointer": (point("model.safetensors"), r"model\.safetensors is a pointer of Git LFS.*git lfs pull"),
    "pointer of a config": (point("config.json"), r"config\.json is a pointer of Git LFS"),
    "bundle": (only("manifest.json", "model.int8.onnx", "config.json"), r"is a bundle.*runs/NAME/checkpoint"),
    "graph": (only("config.json", "model.onnx"), "has an ONNX graph and no weights"),
    "nothing": (only("notes.txt"), r"has no config\.json"),
    "TensorFlow": (only("config.json", "tf_model.h5"), "weights of TensorFlow only"),
    "lost shard": (lose_a_shard, r"model-00001-of-\d+\.safetensors is missing"),
}


@pytest.mark.parametrize(("change", "reason"), BROKEN.values(), ids=BROKEN.keys())
def test_a_folder_without_weights_says_what_to_do(change, reason, checkpoint):
    change(checkpoint)
    with pytest.raises(UnsupportedModelError, match=reason):
        load_checkpoint(str(checkpoint))


@pytest.mark.parametrize("verb", ["export", "finetune"])
def test_both_commands_say_the_same(verb, checkpoint, tmp_path):
    pickled(checkpoint)
    (tmp_path / "train.csv").write_text(
        "text,label\n" + "".join(f"a {n} good film,pos\na {n} bad film,neg\n" for n in range(100))
    )
    more = {"export": ["export", str(checkpoint), "--name", "x"]}
    more["finetune"] = ["finetune", "--task", "classification", "--base", str(checkpoint), "--data", str(tmp_path)]
    flags = [] if verb == "export" else ["--train", "train.csv", "--run-dir", str(tmp_path / "run")]
    with pytest.raises(SystemExit, match=r"pickled weights only.*roberta-train convert"):
        main([*more[verb], *flags, "--models", str(tmp_path / "models")])


def test_pickled_weights_are_converted(checkpoint, capsys):
    before = load_file(checkpoint / "model.safetensors")
    pickled(checkpoint)
    main(["convert", str(checkpoint)])
    after = load_file(checkpoint / "model.safetensors")
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    with pytest.raises(SystemExit, match="has safetensors already"):
        main(["convert", str(checkpoint)])


def test_the_weights_of_a_dense_layer_are_converted_with_the_others(tmp_path):
    folder = tmp_path / "sentences"
    model = write_sentences(folder, tiny_encoder(), dense=("Tanh",))
    layer = folder / "2_Dense"
    expected = load_file(layer / "model.safetensors")
    torch.save(expected, layer / "pytorch_model.bin")
    (layer / "model.safetensors").unlink()
    model.encoder.save_pretrained(folder)
    main(["convert", str(folder)])
    written = load_file(layer / "model.safetensors")
    assert written.keys() == expected.keys()
    assert all(torch.equal(written[name], expected[name]) for name in expected)


def test_sharded_weights_are_loaded(checkpoint):
    whole = load_checkpoint(str(checkpoint)).state_dict()
    sharded(checkpoint)
    parts = load_checkpoint(str(checkpoint)).state_dict()
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


@pytest.mark.parametrize("source", ["./absent", "/absent", "a/b/c", "tests/absent"])
def test_a_folder_that_is_not_there_is_said_to_be_missing(source):
    with pytest.raises(UnsupportedModelError, match=f"^there is no folder {source}$"):
        find_source(source)


def test_a_hub_id_is_left_as_it_is():
    assert find_source("roberta-base") == "roberta-base"
    assert find_source("some-organization/some-model") == "some-organization/some-model"


def test_a_vocabulary_alone_is_a_tokenizer(checkpoint):
    model = json.loads((checkpoint / "tokenizer.json").read_text())["model"]
    expected = load_tokenizer(str(checkpoint))("a good film")["input_ids"]
    (checkpoint / "tokenizer.json").unlink()
    with pytest.raises(UnsupportedModelError, match=r"no tokenizer that can be loaded; put its tokenizer\.json"):
        load_tokenizer(str(checkpoint))
    (checkpoint / "tokenizer_config.json").unlink()
    (checkpoint / "vocab.json").write_text(json.dumps(model["vocab"]))
    (checkpoint / "merges.txt").write_text("".join(f"{a} {b}\n" for a, b in model["merges"]))
    assert load_tokenizer(str(checkpoint))("a good film")["input_ids"] == expected
