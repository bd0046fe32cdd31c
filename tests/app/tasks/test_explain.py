"""Explanations: what words add to a score adds up to it; which words there are; and what bad input gets."""

import numpy as np
import pytest
from pydantic_core import to_json

from app.errors import InvalidRequestError, RequestTooLargeError
from app.serving.parsing import Bounds, parse
from app.tasks.explain import Explain, ExplainRequest
from app.tasks.text import TextEncoder
from tests.app.builders import decoded, make_encoder, make_graph, make_manifest, serve_checkpoint
from tests.support.tiny import TAGS

TEXT = "Ada Byron met Bob in Paris , the café isn't good 😀 ."


def explain_of(encoder, **fields):
    return Explain(make_manifest(**fields), encoder, make_graph())


def read(inputs, **parameters):
    return parse(to_json({"inputs": inputs, "parameters": parameters}), ExplainRequest, Bounds(1024, 10**6))


def ask(task, score, inputs, **parameters):
    """Return the answer where a window's logits are `score` of its token ids."""
    request = read(inputs, **parameters)
    encoded = task.encode(request)
    return decoded(task, request, encoded, [score(window) for window in encoded.windows])


def counts(window):
    """Logits that are linear in the tokens: the first label's adds up their ids, the second's counts them, unmasked."""
    ids = window.input_ids[window.input_ids != MASK]
    return np.array([[ids.sum() / 100, len(ids), 0.0]], np.float32)


MASK = 4  # of the tiny tokenizer


@pytest.fixture(scope="module")
def judge(encoder):
    assert encoder.tokenizer.token_to_id("<mask>") == MASK
    return explain_of(encoder)


def all_add_up(answer):
    for found in answer["explanations"]:
        total = sum(word["score"] for word in found["words"])
        assert found["score"] - found["base_value"] == pytest.approx(total, abs=1e-6)
        assert found["sum"] == pytest.approx(total, abs=1e-9)
        assert abs(found["gap"]) < 1e-6
    return True


# --- Held to the tasks whose models are asked, and to shap ------------------------------------------------


@pytest.mark.parametrize("parameters", [{}, {"forward_passes": 6}, {"forward_passes": 1500}], ids=str)
def test_labels_are_explained_with_the_scores_that_classification_gives(parameters, tiny_checkpoints):
    checkpoint = tiny_checkpoints["classify"]
    classify, explain = serve_checkpoint(checkpoint), serve_checkpoint(checkpoint, Explain)
    (scores,) = classify({"inputs": TEXT})
    answer = explain({"inputs": TEXT, "parameters": {"top_k": 3, **parameters}})
    assert [found["label"] for found in answer["explanations"]] == [each["label"] for each in scores]
    for found, expected in zip(answer["explanations"], scores, strict=True):
        assert found["score"] == pytest.approx(expected["score"], abs=1e-6)
    assert all_add_up(answer)
    assert answer["forward_passes"] <= parameters.get("forward_passes", 128)
    first = explain({"inputs": TEXT, "parameters": parameters})["explanations"]
    assert first == answer["explanations"][:1]


@pytest.mark.parametrize("text", [TEXT, "Ada Byron met Bob in Paris . " * 12], ids=["one window", "several"])
def test_entities_are_explained_with_the_scores_that_ner_gives(text, tiny_checkpoints):
    ner, explain = serve_checkpoint(tiny_checkpoints["ner"]), serve_checkpoint(tiny_checkpoints["ner"], Explain)
    found = ner({"inputs": text})
    answer = explain({"inputs": text, "parameters": {"top_k": 100}})
    shown = [{name: each[name] for name in ("entity_group", "word", "start", "end")} for each in answer["explanations"]]
    assert shown == [{name: each[name] for name in ("entity_group", "word", "start", "end")} for each in found][:100]
    for ours, theirs in zip(answer["explanations"], found, strict=False):
        assert ours["score"] == pytest.approx(theirs["score"], abs=1e-5)
    assert all_add_up(answer)
    surest = max(answer["explanations"], key=lambda each: each["score"])
    assert explain({"inputs": text, "parameters": {"top_k": 1}})["explanations"][0]["word"] == surest["word"]
    groups = {each["entity_group"] for each in found}
    only = explain({"inputs": text, "parameters": {"labels": [min(groups)]}})["explanations"]
    assert {each["entity_group"] for each in only} == {min(groups)}


def test_a_text_is_explained_as_shap_explains_it(tiny_checkpoints):
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from shap.explainers import Partition
    from tests.app.tasks.test_partition import tree
    from tests.support.reference import reference_logits
    from training.encoders.loading import load_checkpoint

    folder = tiny_checkpoints["classify"]
    model, encoder = load_checkpoint(str(folder)), TextEncoder(folder / "tokenizer.json", 64)
    task = explain_of(encoder, labels=["negative", "neutral", "positive"])
    (masked,) = task.encode(read("a good and lovely film")).state
    (view,), words = masked.views, len(masked.words)

    def score(masks):
        windows = [view.masked(sum(1 << int(i) for i in np.flatnonzero(mask)), words, MASK) for mask in masks]
        logits = np.array([reference_logits(model, "text-classification", window)[0] for window in windows], np.float64)
        exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
        return exponents / exponents.sum(axis=1, keepdims=True)

    class Masker:
        shape, clustering = (1, words), tree(words)

        def __call__(self, mask, text):
            return (mask[None],)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = Partition(score, Masker())(np.zeros((1, words)), max_evals=10**4, silent=True).values[0]
    parameters = {"labels": ["negative", "neutral", "positive"], "forward_passes": 500}
    answer = serve_checkpoint(folder, Explain)({"inputs": "a good and lovely film", "parameters": parameters})
    columns = {"negative": 0, "neutral": 1, "positive": 2}
    for found in answer["explanations"]:
        scores = [word["score"] for word in found["words"]]
        np.testing.assert_allclose(scores, expected[:, columns[found["label"]]], atol=1e-4)


# --- Words ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["encoder", "bert_encoder", "xlmr_encoder"])
@pytest.mark.parametrize("text", [TEXT, "  Paris  is\ngood \n", "東京 is 👩\u200d👩\u200d👧", "a" * 30], ids=str)
def test_words_are_what_stands_between_their_offsets_and_have_all_that_is_not_space(kind, text, request):
    task = explain_of(request.getfixturevalue(kind))
    answer = ask(task, lambda window: np.zeros((1, 3), np.float32), text)
    words = answer["explanations"][0]["words"]
    assert [text[word["start"] : word["end"]] for word in words] == [word["word"] for word in words]
    covered = {place for word in words for place in range(word["start"], word["end"])}
    assert {place for place, sign in enumerate(text) if not sign.isspace()} <= covered
    assert all(word["word"].split() == [word["word"]] for word in words)


def test_a_word_is_masked_with_all_its_tokens_and_nothing_moves(judge):
    request = read("Byron isn't good", forward_passes=2000)
    encoded = judge.encode(request)
    (masked,) = encoded.state
    assert [judge_word(masked, word) for word in masked.words] == ["Byron", "isn't", "good"]
    whole = encoded.windows[1].input_ids
    assert MASK not in whole
    for window in encoded.windows:
        is_masked = window.input_ids == MASK
        assert len(window) == len(whole)
        assert (window.input_ids[~is_masked] == whole[~is_masked]).all()
        words = masked.views[0].words
        assert not is_masked[words < 0].any()
        assert all(is_masked[words == number].all() or not is_masked[words == number].any() for number in range(3))


def judge_word(masked, word):
    return masked.item.text[word.start : word.end]


def test_of_a_linear_score_each_word_gets_its_own_part(judge):
    answer = ask(judge, counts, TEXT, labels=["b"], function_to_apply="none")
    (found,) = answer["explanations"]
    parts = {word["word"]: word["score"] for word in found["words"]}
    tokens = judge.encoder.tokenizer.encode(TEXT, add_special_tokens=False)
    assert sum(parts.values()) == pytest.approx(len(tokens.ids))
    assert all(score == pytest.approx(round(score)) and score >= 1 for score in parts.values())
    assert (answer["method"], answer["groups"]) == ("owen", len(parts))


def test_a_pair_has_the_words_of_both_texts(judge):
    answer = ask(judge, counts, {"text": "Ada met Bob", "text_pair": "good film"})
    words = answer["explanations"][0]["words"]
    assert [(word["text"], word["word"], word["start"]) for word in words] == [
        ("text", "Ada", 0),
        ("text", "met", 4),
        ("text", "Bob", 8),
        ("text_pair", "good", 0),
        ("text_pair", "film", 5),
    ]
    assert all_add_up(answer)


@pytest.mark.parametrize("pair", [("a good film . " * 40, "bad"), ("bad", "a good film . " * 40)])
def test_a_long_pair_has_several_windows_and_adds_up(judge, pair):
    answer = ask(judge, counts, [list(pair)], forward_passes=500, function_to_apply="none", top_k=3)[0]
    assert all_add_up(answer)
    assert {word["text"] for word in answer["explanations"][0]["words"]} == {"text", "text_pair"}


def test_a_long_text_is_explained_whole_and_a_truncated_one_by_its_first_window(judge):
    text = "a good film . " * 40
    answer = ask(judge, counts, text, forward_passes=500, function_to_apply="none")
    assert len(answer["explanations"][0]["words"]) == 160
    assert (answer["groups"], all_add_up(answer)) == (160, True)
    assert answer["forward_passes"] <= 500
    request = parse(to_json({"inputs": text, "truncate": True}), ExplainRequest, Bounds(8, 10**4))
    (masked,) = judge.encode(request).state
    assert len(masked.views) == 1
    assert masked.words[-1].end < len(text)


@pytest.mark.parametrize("unit", ["utf16", "utf8"])
def test_offsets_in_other_units(judge, unit):
    answer = ask(judge, counts, TEXT, offset_unit=unit)
    encoded, width = (TEXT.encode("utf-16-le"), 2) if unit == "utf16" else (TEXT.encode(), 1)
    for word in answer["explanations"][0]["words"]:
        part = encoded[width * word["start"] : width * word["end"]]
        assert part.decode("utf-16-le" if unit == "utf16" else "utf8") == word["word"]


def test_a_list_has_a_list_of_answers(judge):
    one, other = ask(judge, counts, ["Ada met Bob", "good film"])
    assert one == ask(judge, counts, "Ada met Bob")
    assert [word["word"] for word in other["explanations"][0]["words"]] == ["good", "film"]


def test_a_text_of_one_word_has_all_of_the_difference(judge):
    answer = ask(judge, counts, "Paris")
    (word,) = answer["explanations"][0]["words"]
    assert word["score"] == pytest.approx(answer["explanations"][0]["sum"])
    assert answer["forward_passes"] == 2


# --- What it may cost -----------------------------------------------------------------------------------


def test_it_gives_way_to_other_requests():
    assert Explain.priority < 0


def test_windows_are_as_many_as_a_request_allows_and_fewer_of_long_texts(judge, byte_level, tmp_path):
    assert len(judge.encode(read(TEXT, forward_passes=7)).windows) <= 7
    assert len(judge.encode(read(TEXT)).windows) <= 128
    assert read(TEXT, forward_passes=7).repeats() == 7
    roomy = explain_of(make_encoder(byte_level, tmp_path, 4000))
    assert len(roomy.encode(read("good film " * 900)).windows) <= 8


def test_as_many_tokens_as_one_request_may_have(byte_level, tmp_path):
    make_encoder(byte_level, tmp_path)
    task = explain_of(TextEncoder(tmp_path / "tokenizer.json", 64, 2000))
    task.encode(read("good film", forward_passes=2000))
    for inputs in (["good film , bad film"] * 40, "good film , bad film " * 20):
        with pytest.raises(RequestTooLargeError, match="the request has more than 2000 tokens"):
            task.encode(read(inputs, forward_passes=2000))


@pytest.mark.parametrize(
    ("inputs", "parameters", "sentence"),
    [
        ("a", {"forward_passes": 1}, "parameters.forward_passes: Input should be greater than or equal to 2"),
        ("a", {"forward_passes": 10**6}, "parameters.forward_passes: Input should be less than or equal to 2048"),
        ("a good film . " * 40, {"forward_passes": 4}, "forward_passes: a text of 4 windows takes 8 at least"),
        ("a", {"labels": ["z"]}, "parameters.labels.0: is none of the model's, which are a, b, c"),
        ("a", {"labels": []}, "parameters.labels: List should have at least 1 item"),
        (" ", {}, "inputs: the text is empty"),
        ([["a", "b"]], {"truncation": "only_first"}, "of a pair, the longer text is cut"),
    ],
)
def test_bad_input_is_refused_with_a_sentence(judge, inputs, parameters, sentence):
    with pytest.raises(InvalidRequestError) as caught:
        judge.encode(read(inputs, **parameters))
    assert sentence in str(caught.value)


def test_a_text_without_entities_has_no_explanations(encoder):
    task = explain_of(encoder, task="token-classification", labels=TAGS)
    outside = np.eye(len(TAGS), dtype=np.float32)[0] * 9
    answer = ask(task, lambda window: np.tile(outside, (len(window.head_rows), 1)), TEXT)
    assert answer["explanations"] == []


def test_a_model_of_entities_takes_no_pairs_and_knows_groups(encoder):
    task = explain_of(encoder, task="token-classification", labels=TAGS)
    with pytest.raises(InvalidRequestError, match="inputs: toy takes texts, not pairs"):
        task.encode(read([["a", "b"]]))
    with pytest.raises(InvalidRequestError, match=r"labels\.1: is none of the model's, which are PER, LOC"):
        task.encode(read("a", labels=["PER", "B-PER"]))


def test_without_a_mask_token_the_reason_is_said(byte_level, tmp_path):
    import json

    from tokenizers import Tokenizer

    described = json.loads(byte_level.to_str())
    described["added_tokens"] = [each for each in described["added_tokens"] if each["content"] != "<mask>"]
    described["model"]["vocab"]["<other>"] = described["model"]["vocab"].pop("<mask>")
    task = explain_of(make_encoder(Tokenizer.from_str(json.dumps(described)), tmp_path))
    with pytest.raises(InvalidRequestError, match="model: the tokenizer of toy has no mask token to put in the place"):
        task.encode(read("a"))
