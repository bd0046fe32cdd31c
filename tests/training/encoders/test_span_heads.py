"""The heads of question answering of every family: two logits for each token, as the checkpoint has them."""

import numpy as np
import onnxruntime as ort
import pytest
import torch
from transformers import (
    BertConfig,
    BertForQuestionAnswering,
    DebertaV2Config,
    DebertaV2ForQuestionAnswering,
    DistilBertConfig,
    DistilBertForQuestionAnswering,
    ElectraConfig,
    ElectraForQuestionAnswering,
    ModernBertConfig,
    ModernBertForQuestionAnswering,
    RobertaConfig,
    RobertaForQuestionAnswering,
)

from app.runtime.padding import Input, PaddedLayout
from tests.support.encoders import VOCABULARY, random_model, random_windows
from tests.support.tiny import fp32_graph
from training.encoders import UnsupportedModelError, family_of
from training.tasks import training_task

TASK = training_task("question-answering")
SHAPE = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "pad_token_id": 1,
}
DISTIL = {"vocab_size": VOCABULARY, "dim": 32, "n_layers": 1, "n_heads": 2, "hidden_dim": 48, "pad_token_id": 0}
MODELS = {
    "roberta": (RobertaForQuestionAnswering, RobertaConfig, SHAPE),
    "bert": (BertForQuestionAnswering, BertConfig, SHAPE),
    "distilbert": (DistilBertForQuestionAnswering, DistilBertConfig, DISTIL),
    "electra": (ElectraForQuestionAnswering, ElectraConfig, SHAPE | {"embedding_size": 32}),
    "modernbert": (ModernBertForQuestionAnswering, ModernBertConfig, SHAPE),
    "deberta": (DebertaV2ForQuestionAnswering, DebertaV2Config, SHAPE),
}


def model_of(name):
    model_class, config_class, shape = MODELS[name]
    return random_model(model_class, config_class(**shape))


@pytest.mark.parametrize("name", MODELS)
def test_the_head_gives_the_logits_of_the_checkpoint(name):
    model = model_of(name)
    window = random_windows([9], all_rows=True, limit=9)[0]
    ids = torch.from_numpy(window.input_ids)[None]
    with torch.inference_mode():
        (expected,) = TASK.outputs_of(model(input_ids=ids), [window])
        hidden = model.base_model(input_ids=ids).last_hidden_state
        found = TASK.head(family_of(model), model).module(hidden)[0].numpy()
    assert expected.shape == (9, 2)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_padded_graph_has_both_logits_of_every_token():
    model = model_of("deberta")
    graph = fp32_graph(model)
    session = ort.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    layout = PaddedLayout({value.name: Input() for value in graph.graph.input}, pad_id=1)
    windows = random_windows([9, 4, 7], all_rows=True, limit=9)
    answered = layout.split(session.run(None, layout.feed(windows))[0], windows)
    for window, rows in zip(windows, answered, strict=True):
        with torch.inference_mode():
            output = model(input_ids=torch.from_numpy(window.input_ids)[None])
        np.testing.assert_allclose(rows, TASK.outputs_of(output, [window])[0], atol=1e-4)


def test_a_checkpoint_without_such_a_head_is_refused():
    model = model_of("bert")
    model.qa_outputs = torch.nn.Linear(32, 3)
    with pytest.raises(UnsupportedModelError, match="has no layer qa_outputs with two logits per token"):
        family_of(model).span_head(model)
