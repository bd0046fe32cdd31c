"""Question answering: the part of a context that answers a question, with exact offsets."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from pydantic import Field
from typing_extensions import TypedDict  # pydantic takes typing's own from Python 3.12 on

from app.bundle import BundleError, Graph, Manifest
from app.errors import InvalidRequestError
from app.tasks.answer_spans import Found, Places, find_spans, windows_of
from app.tasks.base import Encoded, Task, TaskSettings, by_input, settings_of
from app.tasks.offsets import positions
from app.tasks.pausing import pause
from app.tasks.questions import EXAMPLE, QuestionAnsweringParameters, QuestionAnsweringRequest
from app.tasks.text import EncodedPair, Piece, TextEncoder, encoded_whole
from app.window import Floats, Ints, Window

NUMBER_BYTES, ANSWER_BYTES = 4, 256  # of a logit; of an answer as JSON
LEAST_SHARE = 4  # a context has one part in so many of a window at least, or fits into what the question leaves
LEAST_STEP = 8  # a window begins one part in so many of a window after the one before, at least
TASK_PARAMS = "task_specific_params"  # of a Hugging Face config, by the name of the pipeline
NO_ANSWER = "no_answer"  # the threshold's name in a manifest


class QuestionAnsweringSettings(TaskSettings):
    """What a request takes that does not say otherwise; the defaults are those of transformers' pipeline."""

    max_seq_len: int = Field(384, ge=8, description="Most tokens of a window.")
    doc_stride: int = Field(128, ge=0, description="Tokens that consecutive windows share.")
    max_answer_len: int = Field(15, ge=1, description="Most tokens of an answer.")


class Answer(TypedDict):
    score: float
    answer: str
    start: int
    end: int


class Cut(NamedTuple):
    """How contexts are cut: tokens of a window, and tokens that two windows share; `is_first`: the first is all."""

    window: int
    overlap: int
    is_first: bool


class QuestionAnswering(Task[QuestionAnsweringRequest, list[EncodedPair]]):
    """The best answers to each question."""

    # Its state: the encoded questions with their contexts, in order.
    name = "question-answering"
    route = "question-answering"
    aliases = ("qa",)
    architecture = "ForQuestionAnswering"
    has_labels = False
    settings_type = QuestionAnsweringSettings
    request_type = QuestionAnsweringRequest
    answer_type = Answer | list[Answer] | list[list[Answer]]
    example = EXAMPLE
    pair = ("question", "context")
    needs_pair = True

    def __init__(self, manifest: Manifest, encoder: TextEncoder, graph: Graph) -> None:
        super().__init__(manifest, encoder, graph)
        if not encoder.special.pair_prefix:
            raise BundleError(f"{self.name} needs a tokenizer that puts a special token before the question")
        self.settings = settings_of(manifest, QuestionAnsweringSettings)
        self.threshold = None if self.thresholds is None else self.thresholds[NO_ANSWER]

    @classmethod
    def width(cls, manifest: Manifest, config: dict[str, Any]) -> int | None:
        return 2  # begins here, ends here

    @classmethod
    def manifest_fields(cls, config: dict[str, Any]) -> dict[str, Any]:
        """Return what training has written into a config, where transformers keeps what belongs to one task."""
        settings = config.get(TASK_PARAMS)
        return {"task_settings": settings[cls.name]} if isinstance(settings, dict) and cls.name in settings else {}

    @classmethod
    def threshold_names(cls, manifest: Manifest) -> Collection[str]:
        return (NO_ANSWER,)

    def encode(self, request: QuestionAnsweringRequest) -> Encoded[list[EncodedPair]]:
        parameters, pairs = request.parameters, request.pairs()
        way = self.way_to_cut(request)
        texts = list(dict.fromkeys(text for pair in pairs for text in pair))  # each is tokenized once
        tokenized = zip(texts, self.encoder.texts.tokens_of(texts, with_offsets=True), strict=True)
        tokens = {text: encoded_whole(text, found) for text, found in tokenized}
        state = []
        for number, (question, context) in enumerate(pairs):
            pair = EncodedPair(tokens[question], tokens[context], is_second_cut=True)
            place = "inputs" if request.is_one else f"inputs.{number}"
            state.append(self.cut_pair(pair, parameters.max_question_len, way, place))
        windows = [self.window(pair, piece) for pair in state for piece in pair.pieces]
        rows = sum(len(window.head_rows) for window in windows)
        return Encoded(windows, state, 2 * NUMBER_BYTES * rows + ANSWER_BYTES * parameters.top_k * len(pairs))

    def way_to_cut(self, request: QuestionAnsweringRequest) -> Cut:
        """Return how a request's contexts are cut. Raises `InvalidRequestError` for lengths that no window has."""
        parameters, most = request.parameters, self.encoder.max_length
        if parameters.truncation == "only_first":
            raise InvalidRequestError("parameters.truncation: the question stays whole; send true to cut the context")
        if parameters.max_seq_len is not None and parameters.max_seq_len > most:
            raise InvalidRequestError(f"parameters.max_seq_len must be at most {most}, the window of this model")
        window = min(parameters.max_seq_len or self.settings.max_seq_len, most)
        if request.truncates and parameters.max_length is not None:
            window = min(window, parameters.max_length)
        if parameters.doc_stride is not None and parameters.doc_stride > window // 2:
            raise InvalidRequestError(
                f"parameters.doc_stride must be at most {window // 2}, half of a window of {window} tokens"
            )
        usual = min(self.settings.doc_stride, window // 2)
        return Cut(window, usual if parameters.doc_stride is None else parameters.doc_stride, request.truncates)

    def cut_pair(self, pair: EncodedPair, most: int | None, way: Cut, place: str) -> EncodedPair:
        """Cut a context into pieces that fit beside the whole question, or beside its first `most` tokens.

        Raises `InvalidRequestError`, naming the place, where the question leaves too little of a window.
        """
        question, context = replace(pair.first, ids=pair.first.ids[:most]), pair.second
        capacity, tokens = way.window - self.encoder.special.of_pair - len(question.ids), len(context.ids)
        if capacity < min(tokens, max(1, way.window // LEAST_SHARE)):
            raise InvalidRequestError(
                f"{place}: the question leaves the context too little of a window of {way.window} tokens; shorten it, "
                "or send parameters.max_question_len"
            )
        pieces = windows_of(tokens, capacity, max(0, min(way.overlap, capacity - way.window // LEAST_STEP)))
        context = replace(context, pieces=pieces[:1] if way.is_first else pieces)
        return EncodedPair(question, context, is_second_cut=True)

    def window(self, pair: EncodedPair, piece: Piece) -> Window:
        """Make a window that is answered on its first special token and on its part of the context."""
        rows: Ints = np.concatenate([[0], self.encoder.pair_home_rows(pair, piece)])
        return self.encoder.pair_window(pair, piece, rows)

    def decode(self, request: QuestionAnsweringRequest, state: list[EncodedPair], outputs: Sequence[Floats]) -> Any:
        parts = by_input(outputs, (len(pair.pieces) for pair in state))
        lists = (self.answers(*each, request.parameters) for each in zip(state, parts, strict=True))
        answers: Iterator[Any] = (each[0] for each in lists) if request.parameters.top_k == 1 else lists
        return next(answers) if request.is_one else answers

    def answers(
        self, pair: EncodedPair, parts: Sequence[Floats], parameters: QuestionAnsweringParameters
    ) -> list[Answer]:
        """Return what answers one question, the best first; `parts` are (1 + tokens, 2) of each window."""
        pause()
        found = self.find(pair, parts, parameters)
        context, starts = pair.second.text, positions(pair.second.text, parameters.offset_unit)
        answers = [
            Answer(
                score=score,
                answer=context[start:end],
                start=start if starts is None else int(starts[start]),
                end=end if starts is None else int(starts[end]),
            )
            for score, start, end in found.spans
        ]
        none = Answer(score=math.exp(found.log_none), answer="", start=0, end=0)
        abstains = parameters.handle_impossible_answer
        if not answers or (self.threshold is not None if abstains is None else abstains):
            answers = with_none(answers, none, is_first=found.margin > (self.threshold or 0.0))
        return answers[: parameters.top_k]

    def find(self, pair: EncodedPair, parts: Sequence[Floats], parameters: QuestionAnsweringParameters) -> Found:
        places = Places.of(pair.second, by_words=parameters.align_to_words)
        windows = (
            (part / self.temperature, places.of_piece(piece)) for part, piece in zip(parts, pair.pieces, strict=True)
        )
        longest = parameters.max_answer_len or self.settings.max_answer_len
        return find_spans(windows, parameters.top_k, longest)

    @classmethod
    def columns(cls, request: QuestionAnsweringRequest) -> dict[str, Any]:
        best = {"answer": str, "score": float, "start": int, "end": int}
        return best if request.parameters.top_k == 1 else best | {"answers": list[Answer]}

    def cells(self, answer: Answer | list[Answer]) -> dict[str, Any]:
        """The best answer is in columns of its own."""
        answers = answer if isinstance(answer, list) else [answer]
        return {**answers[0], "answers": answers}

    def probe(self, text: str) -> Window:
        question, context = split_pair(text)
        most = max(1, self.encoder.max_length // LEAST_SHARE)
        parameters = QuestionAnsweringParameters(max_question_len=most, max_seq_len=self.encoder.max_length)
        inputs = {"question": question, "context": context}
        request = QuestionAnsweringRequest.model_validate(
            {"inputs": inputs, "parameters": parameters, "truncate": True}
        )
        return self.encode(request).windows[0]


def with_none(answers: list[Answer], none: Answer, *, is_first: bool) -> list[Answer]:
    """Return the answers with "none" among them: first, or after the best one in the order of scores."""
    if is_first or not answers:
        return [none, *answers]
    best, *others = answers
    return [best, *sorted([*others, none], key=lambda answer: -answer["score"])]


def joined(question: str, context: str) -> str:
    """Write a question with its context as one text: the question is its first line."""
    return f"{' '.join(question.split())}\n{context}"


def split_pair(text: str) -> tuple[str, str]:
    """Return the question and the context of a text that `joined` has written; one line is both."""
    question, _, context = text.partition("\n")
    return (question, context) if question.strip() and context.strip() else (text, text)
