"""What labels of entities say, in every scheme and spelling that models come with."""

import itertools

import numpy as np
import pytest

from app.tasks.ner import Ner, NerRequest
from app.tasks.schemes import Mark, as_iob2, find_spelling, goes_on, read_labels
from tests.app.builders import decoded, make_graph, make_manifest

B, INNER, END, ONLY, OUT = (Mark("B", "PER"), Mark("I", "PER"), Mark("E", "PER"), Mark("S", "PER"), Mark("O", "O"))


@pytest.mark.parametrize(
    ("labels", "marks"),
    [
        (["O", "B-PER", "I-PER"], [OUT, B, INNER]),
        (["O", "I-PER"], [OUT, INNER]),
        (["O", "PER"], [OUT, Mark("", "PER")]),
        (["O", "B-PER", "I-PER", "E-PER", "S-PER"], [OUT, B, INNER, END, ONLY]),
        (["O", "B-PER", "I-PER", "L-PER", "U-PER"], [OUT, B, INNER, END, ONLY]),
        (["O", "B-PER", "M-PER", "E-PER", "W-PER"], [OUT, B, INNER, END, ONLY]),
        (["O", "I-PER", "E-PER"], [OUT, INNER, END]),
        (["O", "B_PER", "I_PER"], [OUT, B, INNER]),
        (["O", "B_PER", "I_PER", "E_PER", "S_PER"], [OUT, B, INNER, END, ONLY]),
        (["O", "PER-B", "PER-I"], [OUT, B, INNER]),
        (["O", "PER_B", "PER_I", "PER_S"], [OUT, B, INNER, ONLY]),
        (["O", "B.PER", "I.PER"], [OUT, B, INNER]),
        (["O", "B:PER", "I:PER"], [OUT, B, INNER]),
        (["o", "b-per", "i-per"], [OUT, Mark("B", "per"), Mark("I", "per")]),
        (["o", "per_b", "per_i"], [OUT, Mark("B", "per"), Mark("I", "per")]),
        (["O", "B-WORK-OF-ART", "I-WORK-OF-ART"], [OUT, Mark("B", "WORK-OF-ART"), Mark("I", "WORK-OF-ART")]),
        (["O", "B_WORK_OF_ART", "I_WORK_OF_ART"], [OUT, Mark("B", "WORK_OF_ART"), Mark("I", "WORK_OF_ART")]),
        (["O", "B-PER", "I-PER", "MISC"], [OUT, B, INNER, Mark("", "MISC")]),
        (["O", "PERSON", "E-MAIL"], [OUT, Mark("", "PERSON"), Mark("", "E-MAIL")]),
        (["O", "E_MAIL", "S_CLASS"], [OUT, Mark("", "E_MAIL"), Mark("", "S_CLASS")]),
        (["O", "I_PHONE", "MISC"], [OUT, Mark("", "I_PHONE"), Mark("", "MISC")]),
        (["O", "b-class", "van"], [OUT, Mark("", "b-class"), Mark("", "van")]),
        (["NOUN", "VERB"], [Mark("", "NOUN"), Mark("", "VERB")]),
        (["LABEL_0", "LABEL_1"], [Mark("", "LABEL_0"), Mark("", "LABEL_1")]),
        (["O", "B-", "-PER"], [OUT, Mark("", "B-"), Mark("", "-PER")]),
        ([], []),
    ],
    ids=str,
)
def test_what_labels_say(labels, marks):
    assert read_labels(labels) == marks


@pytest.mark.parametrize("labels", [["O", "B_PER", "I_PER"], ["PER-I", "PER-B"], ["b-per"], ["B-PER"]], ids=str)
def test_a_spelling_is_found_without_the_label_of_what_is_outside(labels):
    spelling = find_spelling(labels)
    assert all(spelling.read(label).place in ("B", "I") for label in labels if label != "O")


@pytest.mark.parametrize(
    ("marks", "entities"),
    [
        ([B, INNER, END, ONLY], [3, 1]),
        ([B, END, B, END], [2, 2]),
        ([ONLY, ONLY], [1, 1]),
        ([INNER, INNER], [2]),
        ([B, B], [1, 1]),
        ([B, END, INNER], [2, 1]),
        ([INNER, END, END], [2, 1]),
        ([B, INNER, OUT, INNER], [2, 1, 1]),
        ([Mark("", "PER"), Mark("", "PER"), Mark("", "LOC")], [2, 1]),
    ],
    ids=str,
)
def test_entities_end_where_their_scheme_says(marks, entities):
    found = [1]
    for before, mark in itertools.pairwise(marks):
        if goes_on(before, mark):
            found[-1] += 1
        else:
            found.append(1)
    assert found == entities


def test_labels_that_a_word_repeats_on_its_tokens_are_one_entity():
    assert goes_on(ONLY, ONLY, in_one_word=True)
    assert goes_on(END, END, in_one_word=True)
    assert not goes_on(B, B, in_one_word=True)
    assert not goes_on(ONLY, Mark("S", "LOC"), in_one_word=True)


def test_every_label_has_a_form_in_iob2():
    labels = ["O", "B_PER", "I_PER", "E_PER", "S_PER"]
    assert [as_iob2(mark) for mark in read_labels(labels)] == ["O", "B-PER", "I-PER", "I-PER", "B-PER"]
    assert as_iob2(Mark("", "PER")) == "I-PER"


# --- In answers -------------------------------------------------------------------------------------------

TEXT = "Anna Maria Smith in Rome"


def labels_as(form, kinds=("PER", "LOC")):
    return ["O", *(form.format(place=place, kind=kind) for kind in kinds for place in "BIES")]


@pytest.mark.parametrize("form", ["{place}-{kind}", "{place}_{kind}", "{kind}-{place}", "{kind}_{place}"])
@pytest.mark.parametrize("strategy", ["simple", "first", "average", "max"])
@pytest.mark.parametrize("tokens", ["encoder", "bert_encoder", "xlmr_encoder"])
def test_entities_of_a_scheme_are_whole(tokens, strategy, form, request):
    """A word of several tokens has its label on each of them."""
    labels, encoder = labels_as(form), request.getfixturevalue(tokens)
    task = Ner(make_manifest(task="token-classification", labels=labels), encoder, make_graph())
    body = NerRequest.model_validate({"inputs": TEXT, "parameters": {"aggregation_strategy": strategy}})
    encoded = task.encode(body)
    (text,) = encoded.state
    names = [form.format(place=p, kind="PER") for p in "BIE"] + ["O", form.format(place="S", kind="LOC")]
    words = [TEXT[:end].count(" ") for _, end in text.offsets()]
    logits = np.full((len(text.ids), len(labels)), -9, np.float32)
    seen = set()
    for row, word in zip(logits, words, strict=True):
        name = names[0] if word == 0 and word not in seen else names[1] if word == 0 else names[word]
        row[labels.index(name)] = 9
        seen.add(word)
    found = decoded(task, body, encoded, [logits])
    assert [(e["entity_group"], e["word"]) for e in found] == [("PER", "Anna Maria Smith"), ("LOC", "Rome")]


def test_outside_is_left_out_however_it_is_written(bert_encoder):
    manifest = make_manifest(task="token-classification", labels=["o", "b-per", "i-per"])
    task = Ner(manifest, bert_encoder, make_graph())
    for strategy in ("none", "simple", "first"):
        body = NerRequest.model_validate({"inputs": "a paris", "parameters": {"aggregation_strategy": strategy}})
        encoded = task.encode(body)
        found = decoded(task, body, encoded, [np.array([[9, 0, 0], [0, 9, 0]], np.float32)])
        assert [(e.get("entity_group") or e["entity"], e["word"]) for e in found] == [
            ("b-per" if strategy == "none" else "per", "paris")
        ]
