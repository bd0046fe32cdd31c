"""The body of a request that asks questions about contexts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import ConfigDict, Discriminator, Field, Tag, model_validator

from app.tasks.base import TaskRequest, Text, Texts, branch_of
from app.tasks.offsets import OffsetUnit
from app.tasks.parameters import WHOLE, NullIs, Parameters, Strict

EXAMPLE: dict[str, Any] = {
    "inputs": {
        "question": "Where is the Eiffel Tower?",
        "context": "The Eiffel Tower, which was finished in 1889, stands in Paris.",
    }
}

Length = Annotated[int, Field(ge=1), WHOLE]


class QuestionAnsweringParameters(Parameters):
    top_k: Annotated[int, Field(ge=1, le=100), WHOLE, NullIs(1)] = Field(
        1, description="Most answers, the best first; none overlaps another. 1: an object, more: a list."
    )
    doc_stride: Annotated[int, Field(ge=0), WHOLE] | None = Field(
        None, description="Tokens that consecutive windows of a long context share, at most half."
    )
    max_answer_len: Length | None = Field(None, description="Most tokens of an answer.")
    max_question_len: Length | None = Field(
        None, description="Most tokens of a question; the rest of it is cut off. Null: it stays whole."
    )
    max_seq_len: Annotated[int, Field(ge=8), WHOLE] | None = Field(
        None, description="Most tokens of a window, question and special tokens included."
    )
    handle_impossible_answer: bool | None = Field(
        None,
        description="Whether the answer may be that there is none: an empty `answer` at 0. Null: where the model was "
        "trained on questions without an answer.",
    )
    align_to_words: Annotated[bool, NullIs(True)] = Field(
        True, description="Whether an answer begins and ends with whole words, as the tokenizer cuts them."
    )
    offset_unit: Annotated[OffsetUnit, NullIs("code_point")] = Field(
        "code_point",
        description="What `start` and `end` count: code_point, as Python does; utf16, as JavaScript, Java and C# do; "
        "utf8, bytes as in Go, Rust and PHP.",
    )


class QuestionInContext(Strict):
    """A question, and the text that has its answer."""

    question: Text
    context: Text


class QuestionsInContexts(Strict):
    """One question about several contexts, several about one, or as many of one as of the other."""

    question: Texts
    context: Texts

    @model_validator(mode="after")
    def check_counts(self) -> QuestionsInContexts:
        if isinstance(self.question, list) and isinstance(self.context, list):
            questions, contexts = len(self.question), len(self.context)
            if questions != contexts:
                raise ValueError(
                    f"has {questions} questions and {contexts} contexts; send as many of one as of the other, or one"
                )
        return self

    def pairs(self) -> list[tuple[str, str]]:
        count = max(len(each) if isinstance(each, list) else 1 for each in (self.question, self.context))
        every = [each if isinstance(each, list) else [each] * count for each in (self.question, self.context)]
        return list(zip(*every, strict=True))


Inputs = Annotated[
    Annotated[QuestionsInContexts, Tag("<pair>")]
    | Annotated[list[QuestionInContext], Field(min_length=1, fail_fast=True), Tag("<list>")],
    Discriminator(
        lambda value: None if isinstance(value, str) else branch_of(value),
        custom_error_type="inputs_type",
        custom_error_message='must be {"question", "context"} or a list of such',
    ),
]


class QuestionAnsweringRequest(TaskRequest):
    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    inputs: Inputs
    parameters: Annotated[QuestionAnsweringParameters, NullIs(QuestionAnsweringParameters())] = (
        QuestionAnsweringParameters()
    )

    @model_validator(mode="before")
    @classmethod
    def as_older_clients_send(cls, body: Any) -> Any:
        """Take the question and the context from beside `parameters`, where huggingface_hub had them before 0.22."""
        if not isinstance(body, Mapping) or "inputs" in body or not {"question", "context"} & body.keys():
            return body
        inputs = {name: body[name] for name in ("question", "context") if name in body}
        return {name: value for name, value in body.items() if name not in inputs} | {"inputs": inputs}

    def pairs(self) -> list[tuple[str, str]]:
        if isinstance(self.inputs, list):
            return [(each.question, each.context) for each in self.inputs]
        return self.inputs.pairs()

    @property
    def is_one(self) -> bool:
        """Whether the answer is that of one question in one context, not a list of answers."""
        given = self.inputs
        return not isinstance(given, list) and isinstance(given.question, str) and isinstance(given.context, str)

    def count_inputs(self) -> int:
        return len(self.inputs) if isinstance(self.inputs, list) else len(self.inputs.pairs())

    def count_characters(self) -> int:
        return sum(len(question) + len(context) for question, context in self.pairs())
