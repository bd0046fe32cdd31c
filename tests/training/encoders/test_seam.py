"""Families are named in their own folder alone, and every family says what the others ask it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import torch
from transformers import (
    BertConfig,
    BertForMaskedLM,
    DistilBertConfig,
    DistilBertForMaskedLM,
    ElectraConfig,
    ElectraForMaskedLM,
    GPT2Config,
    GPT2ForSequenceClassification,
    ModernBertConfig,
    ModernBertForMaskedLM,
    MPNetConfig,
    RobertaConfig,
    RobertaForMaskedLM,
    T5Config,
)
from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

from tests.support.encoders import VOCABULARY, random_model
from training.encoders import UnsupportedModelError, family_of, family_of_config
from training.encoders.registry import families

ROOT = Path(__file__).parents[3]
OUTSIDE = [file for file in sorted((ROOT / "training").rglob("*.py")) if "encoders" not in file.parts]
ARCHITECTURE = re.compile(r"\b[A-Z]\w*(?:Model|For(?:MaskedLM|SequenceClassification|TokenClassification))\b")
INSIDES = {"embeddings", "encoder", "layer", "layers", "transformer", "lm_head", "cls", "pooler", "classifier", "head"}


def offences(source: str) -> list[str]:
    """List what a module says of architectures: their names, their types, and looking for what is inside one."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            is_type = node.value in CONFIG_MAPPING_NAMES and node.value != "git"  # git is also a program
            if is_type or ARCHITECTURE.fullmatch(node.value):
                found.append(node.value)
        elif isinstance(node, ast.Attribute) and node.attr in ("model_type", "layer"):
            found.append(f".{node.attr}")
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("hasattr", "getattr"):
            name = node.args[1]
            if isinstance(name, ast.Constant) and name.value in INSIDES:
                found.append(ast.unparse(node))
    return found


@pytest.mark.parametrize("file", OUTSIDE, ids=lambda file: str(file.relative_to(ROOT)))
def test_no_other_module_names_an_architecture(file):
    assert offences(file.read_text(encoding="utf-8")) == []


def test_what_is_looked_for_is_found():
    source = 'config.model_type == "bert"\nhasattr(model, "lm_head")\n"RobertaForMaskedLM"\nmodel.encoder.layer[0]\n'
    assert sorted(offences(source)) == sorted(
        [".model_type", "bert", "hasattr(model, 'lm_head')", "RobertaForMaskedLM", ".layer"]
    )


def test_every_module_of_the_folder_that_has_a_family_is_found():
    assert {"bert", "roberta", "xlm-roberta", "camembert", "distilbert", "electra", "modernbert"} <= families().keys()
    assert all(family.model_types for family in families().values())


def test_other_encoders_are_of_the_general_family():
    assert family_of_config(MPNetConfig()).layout == "padded"
    assert family_of_config(BertConfig()).layout == "packed"


@pytest.mark.parametrize("config", [GPT2Config(), T5Config()], ids=lambda config: config.model_type)
def test_what_is_no_encoder_is_refused_by_name(config):
    with pytest.raises(UnsupportedModelError, match=f"{config.model_type} is not an encoder that can be used here"):
        family_of_config(config)


def test_a_model_is_refused_by_the_name_of_its_class():
    model = GPT2ForSequenceClassification(GPT2Config(vocab_size=50, n_embd=16, n_layer=1, n_head=2))
    with pytest.raises(UnsupportedModelError, match="GPT2ForSequenceClassification is not an encoder"):
        family_of(model)


def test_a_decoder_is_refused():
    with pytest.raises(UnsupportedModelError, match="is_decoder=true"):
        family_of(random_model(BertForMaskedLM, BertConfig(**SHAPE, is_decoder=True)))


SHAPE = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 48,
}
DISTIL = DistilBertConfig(vocab_size=VOCABULARY, dim=32, n_layers=3, n_heads=4, hidden_dim=48)
LANGUAGE_MODELS = [
    (BertForMaskedLM, BertConfig(**SHAPE)),
    (RobertaForMaskedLM, RobertaConfig(**SHAPE, max_position_embeddings=66)),
    (DistilBertForMaskedLM, DISTIL),
    (ElectraForMaskedLM, ElectraConfig(**SHAPE, embedding_size=16)),
    (ModernBertForMaskedLM, ModernBertConfig(**SHAPE, pad_token_id=0)),
]


@pytest.fixture(params=LANGUAGE_MODELS, ids=lambda each: each[0].__name__)
def model(request):
    return random_model(*request.param)


def test_every_layer_and_nothing_else_is_named_as_a_layer(model):
    family = family_of(model)
    assert len(family.layers(model)) == 3
    numbered = {name: found for name in model.state_dict() if (found := family.layer_of(model, name)) is not None}
    for name, (number, part) in numbered.items():
        weights = family.layers(model)[number].state_dict()
        assert torch.equal(weights.pop(part), model.state_dict()[name])
    assert len(numbered) == sum(len(layer.state_dict()) for layer in family.layers(model))


def test_a_layer_that_is_left_out_is_not_run(model):
    family, ids = family_of(model), torch.arange(5, 15)[None]
    whole, every = model(ids).logits, family.layers(model)
    family.replace_layers(model, torch.nn.ModuleList([every[0], every[2]]))
    assert not torch.allclose(model(ids).logits, whole)
    family.replace_layers(model, every)
    torch.testing.assert_close(model(ids).logits, whole)


def test_the_language_head_can_be_run_on_some_tokens_alone(model):
    ids, masked = torch.arange(5, 25).reshape(2, 10), torch.zeros(2, 10, dtype=torch.bool)
    masked[0, 3] = masked[1, 7] = True
    expected = model(ids).logits[masked]
    entry = family_of(model).language_head_entry(model)
    with entry.register_forward_pre_hook(lambda module, inputs: (inputs[0][masked],)):
        torch.testing.assert_close(model(ids).logits, expected)
