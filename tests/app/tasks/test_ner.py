"""Named entities: aggregation by hand, exact offsets, long texts, and the same answers as Hugging Face's."""

import numpy as np
import pytest
from pydantic import ValidationError

from app.errors import InvalidRequestError
from app.tasks.ner import Ner, NerRequest
from app.tasks.pausing import between_chunks
from tests.app.builders import decoded, make_encoder, make_graph, make_manifest
from tests.support.tiny import TAGS

STRATEGIES = ["none", "simple", "first", "average", "max"]


def make_request(inputs, strategy="simple", truncate=False, **parameters):
    parameters["aggregation_strategy"] = strategy
    return NerRequest.model_validate({"inputs": inputs, "parameters": parameters, "truncate": truncate})


def make_task(encoder, labels=TAGS, temperature=1.0):
    return Ner(make_manifest(task="token-classification", labels=labels), encoder, make_graph(temperature=temperature))


def answer(task, request, run):
    encoded = task.encode(request)
    return decoded(task, request, encoded, [run(window) for window in encoded.windows])


def give(*rows, labels=TAGS):
    """Return a model that answers one window with chosen probabilities; what a row leaves is spread evenly."""
    table = np.empty((len(rows), len(labels)), np.float32)
    for row, chosen in zip(table, rows, strict=True):
        row[:] = (1 - sum(chosen.values())) / max(1, len(labels) - len(chosen)) + 1e-9
        for label, probability in chosen.items():
            row[labels.index(label)] = probability
    return lambda window: np.log(table[: len(window.head_rows)])


def tag(*tags, labels=TAGS):
    """Return a model that is sure of a tag for each token."""
    return give(*({t: 0.9} for t in tags), labels=labels)


def by_token(labels=TAGS):
    """Return a model that tags by token id alone, so that windows cannot matter."""
    table = np.random.default_rng(5).normal(size=(1000, len(labels))).astype(np.float32) * 3
    return lambda window: table[window.input_ids[window.head_rows]]


def spans(entities):
    return [(e.get("entity_group") or e.get("entity"), e["word"]) for e in entities]


# --- Aggregation ----------------------------------------------------------------------------------------

# "xy paris": two tokens of one word that disagree, and a word of one token
DISAGREE = give(
    {"B-PER": 0.6, "O": 0.3, "B-LOC": 0.1}, {"B-LOC": 0.8, "O": 0.1, "B-PER": 0.1}, {"O": 0.9, "I-LOC": 0.1}
)


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ("simple", [("PER", 0.6, "x", 1, 2), ("LOC", 0.8, "y", 2, 3)]),
        ("first", [("PER", 0.6, "xy", 1, 3)]),
        ("average", [("LOC", 0.45, "xy", 1, 3)]),  # B-LOC 0.45, B-PER 0.35, O 0.2
        ("max", [("LOC", 0.8, "xy", 1, 3)]),
    ],
)
def test_strategies_by_hand(strategy, expected, bert_encoder):
    entities = answer(make_task(bert_encoder), make_request(" xy paris", strategy), DISAGREE)
    fields = ("entity_group", "score", "word", "start", "end")
    assert entities == [dict(zip(fields, (g, pytest.approx(s), w, a, b), strict=True)) for g, s, w, a, b in expected]


def test_none_gives_a_line_per_token(bert_encoder):
    entities = answer(make_task(bert_encoder), make_request(" xy paris", "none"), DISAGREE)
    assert entities == [
        {"entity": "B-PER", "score": pytest.approx(0.6), "index": 1, "word": "x", "start": 1, "end": 2},
        {"entity": "B-LOC", "score": pytest.approx(0.8), "index": 2, "word": "y", "start": 2, "end": 3},
    ]


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        (["B-PER", "I-PER", "O"], [("PER", "a a")]),
        (["I-PER", "I-PER", "O"], [("PER", "a a")]),  # an entity may begin with I-
        (["B-PER", "B-PER", "O"], [("PER", "a"), ("PER", "a")]),  # two neighbors of one type
        (["I-PER", "B-PER", "I-PER"], [("PER", "a"), ("PER", "a a")]),
        (["B-PER", "I-LOC", "I-LOC"], [("PER", "a"), ("LOC", "a a")]),
        (["B-PER", "O", "I-PER"], [("PER", "a"), ("PER", "a")]),
        (["O", "O", "O"], []),
    ],
    ids=str,
)
@pytest.mark.parametrize("strategy", ["simple", "first", "average", "max"])
def test_grouping(strategy, tags, expected, bert_encoder):
    assert spans(answer(make_task(bert_encoder), make_request("a a a", strategy), tag(*tags))) == expected


def test_labels_without_a_prefix_are_grouped_by_name(bert_encoder):
    labels = ["O", "PER", "LOC"]
    run = tag("PER", "PER", "LOC", labels=labels)
    entities = answer(make_task(bert_encoder, labels), make_request("a a a"), run)
    assert spans(entities) == [("PER", "a a"), ("LOC", "a")]


def test_a_type_may_contain_a_hyphen(bert_encoder):
    labels = ["O", "B-WORK-OF-ART", "I-WORK-OF-ART"]
    run = tag("B-WORK-OF-ART", "I-WORK-OF-ART", "O", labels=labels)
    assert spans(answer(make_task(bert_encoder, labels), make_request("a a a"), run)) == [("WORK-OF-ART", "a a")]


def test_the_score_of_a_group_is_the_mean_of_its_parts(bert_encoder):
    run = give({"B-PER": 0.5}, {"I-PER": 0.9})
    (entity,) = answer(make_task(bert_encoder), make_request("a a"), run)
    assert entity["score"] == pytest.approx(0.7)


def test_temperature_divides_logits(bert_encoder):
    (entity,) = answer(make_task(bert_encoder, ["O", "X"], 2.0), make_request("a"), lambda w: np.array([[0.0, 2.0]]))
    assert entity["score"] == pytest.approx(1 / (1 + np.exp(-1)))


@pytest.mark.parametrize(
    ("strategy", "ignored", "expected"),
    [
        ("simple", [], [("PER", "a"), ("O", "a"), ("LOC", "a")]),
        ("simple", ["O"], [("PER", "a"), ("LOC", "a")]),
        ("simple", ["O", "PER"], [("LOC", "a")]),
        ("none", ["O", "B-PER"], [("B-LOC", "a")]),
        ("none", ["PER"], [("B-PER", "a"), ("O", "a"), ("B-LOC", "a")]),
    ],
)
def test_ignore_labels(strategy, ignored, expected, bert_encoder):
    request = make_request("a a a", strategy, ignore_labels=ignored)
    assert spans(answer(make_task(bert_encoder), request, tag("B-PER", "O", "B-LOC"))) == expected


# --- Texts and offsets ----------------------------------------------------------------------------------

TEXTS = [
    "Ada Byron met Bob in Paris .",
    "  Ada\tByron\n\nmet Bob  ",
    "café São Paulo isn't open",
    "cafe\u0301 😀 Ada 👩\u200d👩\u200d👧 Bob",
    "東京 Paris 東京",
    "a\u00a0b\u3000c",
    "\u200b",
]


@pytest.mark.parametrize("text", TEXTS, ids=ascii)
@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("kind", ["encoder", "bert_encoder", "xlmr_encoder"])
def test_a_word_is_exactly_the_text_between_its_ends(kind, strategy, text, request):
    task = make_task(request.getfixturevalue(kind))
    for entity in answer(task, make_request(text, strategy, ignore_labels=[]), by_token()):
        assert entity["word"] == text[entity["start"] : entity["end"]]
        assert entity["word"] == entity["word"].strip() != ""


@pytest.mark.parametrize("strategy", ["first", "average", "max"])
def test_words_are_whole(strategy, encoder):
    """Byte-level tokens of one word get one tag; a single space or a word of emoji changes nothing."""
    text = "Zebedee  lives 😀 in Krungthep"
    run = by_token()
    entities = answer(make_task(encoder), make_request(text, strategy, ignore_labels=[]), run)
    assert {word for entity in entities for word in entity["word"].split()} == set(text.split())


def test_one_text_gives_a_list_and_a_list_gives_lists(encoder):
    task, run = make_task(encoder), by_token()
    one = answer(task, make_request("Ada met Bob", ignore_labels=[]), run)
    assert answer(task, make_request(["Ada met Bob"], ignore_labels=[]), run) == [one]
    two = answer(task, make_request(["Bob", "Ada met Bob"], ignore_labels=[]), run)
    assert two[1] == one
    assert make_request(["Bob", "Ada met Bob"]).count_inputs() == 2
    assert make_request(["Bob", "Ada met Bob"]).count_characters() == 14


def test_a_text_of_no_tokens_has_no_entities(bert_encoder):
    assert answer(make_task(bert_encoder), make_request("\u200b", ignore_labels=[]), by_token()) == []


# --- Long texts -----------------------------------------------------------------------------------------

LONG = "Ada Byron met Bob in Paris .\nThe café 😀 in São Paulo isn't open . " * 6


@pytest.mark.parametrize("stride", [None, 0, 5])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_windows_find_what_one_pass_finds(strategy, stride, byte_level, tmp_path):
    whole, cut = (make_task(make_encoder(byte_level, tmp_path, length)) for length in (10_000, 20))
    request = make_request(LONG, strategy, stride=stride)
    assert len(cut.encode(request).windows) > 5
    expected = answer(whole, make_request(LONG, strategy), by_token())
    assert len(expected) > 10
    assert answer(cut, request, by_token()) == expected


def test_truncate_answers_from_the_first_window(byte_level, tmp_path):
    task = make_task(make_encoder(byte_level, tmp_path, 20))
    whole = answer(task, make_request(LONG, "none"), by_token())
    first = answer(task, make_request(LONG, "none", truncate=True), by_token())
    assert first == whole[: len(first)]
    (window,) = task.encode(make_request(LONG, truncate=True)).windows
    assert len(window.head_rows) == len(window) - 2  # every token of the window is answered
    assert len(first) < len(whole)


def test_a_stride_without_room_is_refused(encoder):
    with pytest.raises(InvalidRequestError, match=r"parameters\.stride must be at most 31, half of a window of 62"):
        make_task(encoder).encode(make_request("Ada", stride=32))


@pytest.mark.parametrize("inputs", ["", " \n", [], ["Ada", ""], {"text": "Ada"}, 5, None])
def test_what_is_no_input_is_refused(inputs):
    with pytest.raises(ValidationError):
        make_request(inputs)


# --- Long answers -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_an_answer_is_made_window_by_window(strategy, encoder):
    task, request = make_task(encoder), make_request("Ada Byron met Bob in Paris " * 200, strategy)
    encoded = task.encode(request)
    outputs = [by_token()(window) for window in encoded.windows]
    pauses = []
    reset = between_chunks.set(lambda: pauses.append(1))
    try:
        entities = task.decode(request, encoded.state, outputs)
        next(entities)
        assert len(pauses) <= 2
        assert len(list(entities)) > 100
        assert len(pauses) == len(encoded.windows) > 20
    finally:
        between_chunks.reset(reset)
    assert encoded.answer_bytes > 100 * len(encoded.state[0].ids)
