"""Questions about contexts: windows, spans, offsets, no answer, and what is refused."""

import itertools

import numpy as np
import pytest

from app.errors import InvalidRequestError
from app.serving.parsing import Bounds, parse
from app.tasks.question_answering import QuestionAnswering, joined, split_pair
from app.tasks.questions import QuestionAnsweringRequest
from tests.app.builders import decoded, make_graph, make_manifest

QUESTION = "Who met Bob?"
CONTEXT = "Ada Byron met Bob in Paris and Rome ."
PAIR = {"question": QUESTION, "context": CONTEXT}
LONG = " ".join(f"{name} met Bob in Rome ." for name in ("Ada", "Byron", "Paris", "Bob", "Rome") * 6)


def make_task(encoder, threshold=None, **settings):
    thresholds = None if threshold is None else {"no_answer": threshold}
    manifest = make_manifest(task="question-answering", labels=(), task_settings=settings)
    return QuestionAnswering(manifest, encoder, make_graph(thresholds=thresholds))


def make_request(inputs=None, **parameters):
    inputs = {"question": QUESTION, "context": CONTEXT} if inputs is None else inputs
    return QuestionAnsweringRequest.model_validate({"inputs": inputs, "parameters": parameters})


def outputs_for(encoded, chosen, none=0.0):
    """Return logits under which the spans `chosen`, of {(start, end): logit} in code points, are the likeliest."""
    result = []
    for pair in encoded.state:
        offsets = pair.second.offsets().tolist()
        for piece in pair.pieces:
            logits = np.zeros((1 + piece.end - piece.start, 2), np.float32)
            logits[0] = none
            for row, (start, end) in enumerate(offsets[piece.start : piece.end], start=1):
                logits[row, 0] += sum(logit for (begin, _), logit in chosen.items() if begin == start)
                logits[row, 1] += sum(logit for (_, finish), logit in chosen.items() if finish == end)
            result.append(logits)
    return result


def ask(task, request, chosen, none=0.0):
    encoded = task.encode(request)
    return decoded(task, request, encoded, outputs_for(encoded, chosen, none))


def place(context, part):
    return context.index(part), context.index(part) + len(part)


# --- Answers --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["encoder", "bert_encoder", "xlmr_encoder"])
@pytest.mark.parametrize("by_words", [True, False])
def test_an_answer_is_exactly_its_part_of_the_context(kind, by_words, request):
    task = make_task(request.getfixturevalue(kind))
    context = "  Paris is\u00a0good 😀 , in\n\ta play. "
    found = decoded(
        task,
        given := make_request(
            {"question": "is it?", "context": context}, top_k=100, max_answer_len=3, align_to_words=by_words
        ),
        encoded := task.encode(given),
        [np.random.default_rng(0).normal(size=(len(w.head_rows), 2)).astype(np.float32) for w in encoded.windows],
    )
    assert len(found) > 3
    for answer in found:
        assert answer["answer"] == context[answer["start"] : answer["end"]] == answer["answer"].strip() != ""
    for one, other in itertools.combinations(found, 2):
        assert one["end"] <= other["start"] or one["start"] >= other["end"]
    assert [answer["score"] for answer in found] == sorted((answer["score"] for answer in found), reverse=True)


def test_one_answer_is_an_object_and_several_are_a_list(encoder):
    task, spans = make_task(encoder), {place(CONTEXT, "Ada Byron"): 9.0, place(CONTEXT, "Paris"): 7.0}
    one = ask(task, make_request(), spans)
    assert (one["answer"], one["start"], one["end"]) == ("Ada Byron", 0, 9)
    several = ask(task, make_request(top_k=2), spans)
    assert [answer["answer"] for answer in several] == ["Ada Byron", "Paris"]
    assert several[0] == one


def test_the_score_of_a_word_is_that_of_all_its_tokens(encoder):
    task = make_task(encoder)
    context = "zqxj"  # several tokens
    given = make_request({"question": QUESTION, "context": context}, max_answer_len=100)
    encoded = task.encode(given)
    rows = len(encoded.windows[0].head_rows)
    assert rows > 2
    found = decoded(task, given, encoded, [np.zeros((rows, 2), np.float32)])
    spans = (rows - 1) * rows / 2  # of its tokens, each as likely as another
    assert found == {"score": pytest.approx(spans / rows**2), "answer": context, "start": 0, "end": 4}


def test_no_answer_is_longer_than_asked(encoder):
    task, spans = make_task(encoder), {place(CONTEXT, "Ada Byron met Bob in Paris"): 9.0}
    assert ask(task, make_request(), spans)["answer"] == "Ada Byron met Bob in Paris"
    assert len(ask(task, make_request(max_answer_len=2), spans)["answer"].split()) <= 2
    assert len(ask(make_task(encoder, max_answer_len=2), make_request(), spans)["answer"].split()) <= 2


@pytest.mark.parametrize(("unit", "expected"), [("code_point", (6, 11)), ("utf16", (7, 12)), ("utf8", (10, 15))])
def test_offsets_are_in_the_unit_that_is_asked_for(unit, expected, encoder):
    context = "😀 é , Paris"
    inputs = {"question": QUESTION, "context": context}
    found = ask(make_task(encoder), make_request(inputs, offset_unit=unit), {place(context, "Paris"): 20.0})
    assert (found["answer"], found["start"], found["end"]) == ("Paris", *expected)


# --- No answer ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("threshold", "asked", "none", "abstains"),
    [
        (None, None, 30.0, False),  # a model that was trained on questions with answers only
        (None, False, 30.0, False),
        (None, True, 30.0, True),
        (None, True, 1.0, False),
        (0.0, None, 30.0, True),
        (0.0, False, 30.0, False),
        (100.0, None, 30.0, False),
        (-100.0, None, 1.0, True),
    ],
)
def test_no_answer_is_answered_beyond_the_threshold(threshold, asked, none, abstains, encoder):
    task, spans = make_task(encoder, threshold), {place(CONTEXT, "Paris"): 12.0}
    best = ask(task, make_request(handle_impossible_answer=asked), spans, none)
    assert (best["answer"], best["end"]) == (("", 0) if abstains else ("Paris", place(CONTEXT, "Paris")[1]))
    several = ask(task, make_request(handle_impossible_answer=asked, top_k=3), spans, none)
    assert several[0] == best
    assert [each["answer"] for each in several].count("") == (
        asked is not False and (threshold is not None or asked is True)
    )


def test_a_context_without_tokens_has_no_answer(bert_encoder):
    found = ask(make_task(bert_encoder), make_request({"question": "is it?", "context": "\u200b"}), {})
    assert found == {"score": pytest.approx(1.0), "answer": "", "start": 0, "end": 0}


# --- Windows --------------------------------------------------------------------------------------------


def test_windows_keep_the_question_whole_and_overlap_as_tokenizers_cuts_them(encoder):
    task = make_task(encoder)
    tokenizer = type(encoder.tokenizer).from_str(encoder.tokenizer.to_str())
    for stride in (0, 7, 32):
        tokenizer.enable_truncation(64, stride=stride, strategy="only_second")
        first = tokenizer.encode(QUESTION, LONG)
        expected = [each.ids for each in [first, *first.overflowing]]
        windows = task.encode(make_request({"question": QUESTION, "context": LONG}, doc_stride=stride)).windows
        assert [window.input_ids.tolist() for window in windows] == expected
        assert len(expected) > 3
    usual = task.encode(make_request({"question": QUESTION, "context": LONG})).windows
    assert [window.input_ids.tolist() for window in usual] == expected  # half a window, as transformers


def test_an_answer_in_a_later_window_is_found(encoder):
    context = f"{LONG} So said Carol ."
    inputs = {"question": QUESTION, "context": context}
    assert ask(make_task(encoder), make_request(inputs), {place(context, "Carol"): 12.0})["answer"] == "Carol"
    cut = QuestionAnsweringRequest.model_validate({"inputs": inputs, "truncate": True})
    assert len(make_task(encoder).encode(cut).windows) == 1


def test_shorter_windows_and_questions(encoder):
    task = make_task(encoder)
    windows = task.encode(make_request({"question": QUESTION, "context": LONG}, max_seq_len=32)).windows
    assert {len(window) for window in windows[:-1]} == {32}
    cut = task.encode(make_request({"question": LONG, "context": CONTEXT}, max_question_len=5)).state[0]
    assert cut.first.ids == encoder.encode([LONG], with_offsets=False)[0].ids[:5]
    assert make_task(encoder, max_seq_len=32).encode(make_request()).windows[0].input_ids.size <= 32


def test_a_question_about_many_contexts_is_tokenized_once(encoder, monkeypatch):
    task, seen = make_task(encoder), []
    tokens_of = encoder.texts.tokens_of
    monkeypatch.setattr(encoder.texts, "tokens_of", lambda texts, **how: seen.extend(texts) or tokens_of(texts, **how))
    contexts = [CONTEXT, "Bob is in Rome .", "a good film"]
    given = make_request({"question": QUESTION, "context": contexts})
    encoded = task.encode(given)
    assert seen == [QUESTION, *contexts]
    answers = decoded(task, given, encoded, outputs_for(encoded, {(0, 3): 9.0}))
    assert [answer["answer"] for answer in answers] == ["Ada", "Bob", "a"]


# --- Bodies ---------------------------------------------------------------------------------------------

PAIR = {"question": QUESTION, "context": CONTEXT}


@pytest.mark.parametrize(
    ("body", "pairs", "is_one"),
    [
        ({"inputs": PAIR}, [(QUESTION, CONTEXT)], True),
        (PAIR, [(QUESTION, CONTEXT)], True),  # huggingface_hub before 0.22
        ({"inputs": PAIR, "parameters": None, "options": {"wait_for_model": True}}, [(QUESTION, CONTEXT)], True),
        ({"inputs": PAIR, "parameters": {"top_k": 1.0, "doc_stride": None}}, [(QUESTION, CONTEXT)], True),
        ({"inputs": [PAIR]}, [(QUESTION, CONTEXT)], False),
        ({"inputs": {"question": "q", "context": ["a", "b"]}}, [("q", "a"), ("q", "b")], False),
        ({"inputs": {"question": ["p", "q"], "context": "a"}}, [("p", "a"), ("q", "a")], False),
        ({"inputs": {"question": ["p", "q"], "context": ["a", "b"]}}, [("p", "a"), ("q", "b")], False),
        ({"inputs": {"question": "q", "context": ["a"]}}, [("q", "a")], False),
    ],
    ids=str,
)
def test_what_clients_send_is_understood(body, pairs, is_one):
    found = QuestionAnsweringRequest.model_validate(body)
    assert (found.pairs(), found.is_one, found.count_inputs()) == (pairs, is_one, len(pairs))
    assert found.count_characters() == sum(len(question) + len(context) for question, context in pairs)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("{}", "inputs: is missing"),
        ('{"inputs": "where?"}', 'inputs: must be {"question", "context"} or a list of such'),
        ('{"inputs": ["where?", "here"]}', "inputs.0: Input should be an object"),
        ('{"inputs": {"context": "a"}}', "inputs.question: is missing"),
        ('{"context": "a"}', "inputs.question: is missing"),
        ('{"inputs": {"question": "q"}}', "inputs.context: is missing"),
        ('{"inputs": {"question": "", "context": "a"}}', "inputs.question: the text is empty"),
        ('{"inputs": {"question": "q", "context": " \\n"}}', "inputs.context: the text is empty"),
        ('{"inputs": [{"question": "q", "context": "a"}, {"question": "q", "context": ""}]}', "inputs.1.context: the"),
        ('{"inputs": {"question": "q", "context": ["a", ""]}}', "inputs.context.1: the text is empty"),
        ('{"inputs": {"question": "q", "context": []}}', "inputs.context: List should have at least 1 item"),
        ('{"inputs": {"question": ["p", "q"], "context": ["a", "b", "c"]}}', "inputs: has 2 questions and 3 contexts"),
        ('{"inputs": {"question": "q", "context": "a", "text": "b"}}', "inputs.text: unknown field"),
        ('{"question": "q", "context": "a", "inputs": {"question": "q", "context": "a"}}', "question: unknown field"),
        (
            '{"inputs": {"question": "q", "context": "a"}, "parameters": {"topk": 2}}',
            "parameters.topk: unknown field; top",
        ),
        (
            '{"inputs": {"question": "q", "context": "a"}, "parameters": {"top_k": 0}}',
            "parameters.top_k: Input should be",
        ),
        (
            '{"inputs": {"question": "q", "context": "a"}, "top_k": 2}',
            "top_k: unknown field here; it belongs into param",
        ),
    ],
)
def test_what_is_wrong_with_a_body_is_said_by_its_place(body, sentence):
    with pytest.raises(InvalidRequestError) as caught:
        parse(body.encode(), QuestionAnsweringRequest, Bounds(100, 10_000))
    assert str(caught.value).startswith(sentence)


@pytest.mark.parametrize(
    ("inputs", "parameters", "sentence"),
    [
        ({"question": LONG, "context": CONTEXT}, {}, "inputs: the question leaves the context too little of a window"),
        ([PAIR, {"question": LONG, "context": CONTEXT}], {}, "inputs.1: the question leaves the context too little"),
        (PAIR, {"max_seq_len": 65}, "parameters.max_seq_len must be at most 64, the window of this model"),
        (PAIR, {"doc_stride": 33}, "parameters.doc_stride must be at most 32, half of a window of 64 tokens"),
        (PAIR, {"doc_stride": 33, "max_seq_len": 32}, "parameters.doc_stride must be at most 16"),
        (PAIR, {"truncation": "only_first"}, "parameters.truncation: the question stays whole"),
    ],
    ids=str,
)
def test_lengths_that_no_window_has_are_refused(inputs, parameters, sentence, encoder):
    with pytest.raises(InvalidRequestError, match=f"^{sentence}"):
        make_task(encoder).encode(make_request(inputs, **parameters))


# --- Tables and probes ----------------------------------------------------------------------------------


def test_the_columns_of_a_table(encoder):
    task, spans = make_task(encoder), {place(CONTEXT, "Paris"): 12.0}
    for parameters, names in ({}, ["answer", "score", "start", "end"]), ({"top_k": 2}, ["answer", "answers"]):
        given = make_request([PAIR], **parameters)
        (found,) = ask(task, given, spans)
        cells = task.cells(found)
        assert set(names) <= set(task.columns(given)) <= set(cells)
        assert (cells["answer"], cells["start"]) == ("Paris", place(CONTEXT, "Paris")[0])


@pytest.mark.parametrize("text", [joined(" Who\nmet  Bob? ", CONTEXT), "a good film", joined(LONG, LONG), "\n a"])
def test_a_text_is_a_question_with_its_context(text, encoder):
    window = make_task(encoder).probe(text)
    assert 8 < len(window) <= 64 or text == "\n a"
    question, context = split_pair(text)
    assert question.strip()
    assert context.strip()
    assert (question, context) == split_pair(joined(question, context)) or "\n" not in text or text == "\n a"
