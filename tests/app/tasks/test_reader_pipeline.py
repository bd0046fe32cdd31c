"""The best answer and its score, held to transformers' question-answering pipeline on the same checkpoint."""

import pytest

from tests.app.builders import serve_checkpoint
from tests.support.reader_pipeline import ReaderPipeline

QUESTION = "Who met Bob ?"
CONTEXTS = {
    "short": "Ada Byron met Bob in Paris and Rome .",
    "accents": "the café in São Paulo isn't open ( yet ) .",
    "emoji": "Ada 😀 met 👩\u200d👩\u200d👧 Bob👍🏽",
    "several windows": " ".join(f"{name} met Bob in Rome ." for name in ("Ada", "Byron", "Paris", "Bob", "Rome") * 4),
}


@pytest.fixture(scope="module")
def both(tiny_reader):
    return serve_checkpoint(tiny_reader), ReaderPipeline(tiny_reader)


@pytest.mark.parametrize("kind", CONTEXTS)
@pytest.mark.parametrize("parameters", [{}, {"align_to_words": False}, {"max_answer_len": 3}], ids=str)
@pytest.mark.parametrize("may_abstain", [False, True])
def test_the_best_answer_scores_the_same(kind, parameters, may_abstain, both):
    serve, ask = both
    asked = {**parameters, "max_seq_len": 64, "doc_stride": 16, "handle_impossible_answer": may_abstain}
    ours = serve({"inputs": {"question": QUESTION, "context": CONTEXTS[kind]}, "parameters": asked})
    theirs = ask(QUESTION, CONTEXTS[kind], **asked)
    assert ours["score"] == pytest.approx(theirs["score"], abs=1e-6)
    assert ours["answer"] == theirs["answer"].strip()


def test_spans_that_differ_in_white_space_alone_are_one_answer(both):
    serve, ask = both
    context, asked = "  Ada\n met\u00a0Bob  .\t", {"max_seq_len": 64, "doc_stride": 16}
    ours = serve({"inputs": {"question": QUESTION, "context": context}, "parameters": asked})
    assert ours["answer"] == ours["answer"].strip() == context[ours["start"] : ours["end"]]
    assert ours["score"] >= ask(QUESTION, context, **asked)["score"]
