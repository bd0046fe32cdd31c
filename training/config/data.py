"""The section of a recipe that names the data and says how to read it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, Field

from training.config.base import RecipeError, Section

DataFormat = Literal["jsonl", "csv", "tsv", "parquet", "conll", "squad", "text"]
TagScheme = Literal["IO", "IOB1", "IOB2", "BIOES"]

SUFFIXES: dict[DataFormat, tuple[str, ...]] = {
    "jsonl": (".jsonl", ".json", ".ndjson", ".jl"),
    "csv": (".csv", ".psv"),
    "tsv": (".tsv", ".tab"),
    "parquet": (".parquet", ".pq"),
    "conll": (".conll", ".conllu", ".conllup", ".iob", ".iob1", ".iob2", ".bio", ".bio2", ".bioes", ".bilou"),
    "squad": (),
    "text": (".txt",),
}
FORMATS: dict[str, DataFormat] = {suffix: name for name, suffixes in SUFFIXES.items() for suffix in suffixes}


def known_encoding(name: str) -> str:
    """Return the name of an encoding of text; raises `ValueError` where Python has none."""
    try:
        "".encode(name)
    except LookupError as error:
        raise ValueError(f"there is no encoding {name!r}; name one such as utf-8, cp1252 or utf-16") from error
    return name


def delimiter_of(name: object) -> object:
    """Return the tab where it is written as a shell or a person writes it."""
    return "\t" if name in ("\\t", "tab") else name


Encoding = Annotated[str, AfterValidator(known_encoding)]
Delimiter = Annotated[str, BeforeValidator(delimiter_of), Field(min_length=1, max_length=1)]


class DataConfig(Section):
    """The three splits and how to read them."""

    train: str | None = Field(None, description="File of the training split, absolute or relative to --data.")
    validation: str | None = Field(
        None, description="File of the validation split, as `train`; none sets `validation_share` of train aside."
    )
    test: str | None = Field(
        None,
        description="File of the test split, as `train`; scored once, never tuned on; none sets `test_share` aside.",
    )
    dataset: str | None = Field(
        None, description="Hub id of a dataset; train, validation and test then name its splits, not files."
    )
    subset: str | None = Field(None, description="Configuration of the Hub dataset, where it has several.")
    validation_share: float = Field(
        0.1, gt=0, lt=1, description="Share of train set aside where there is no validation file, stratified, seeded."
    )
    test_share: float = Field(
        0.1, ge=0, lt=1, description="Share of train set aside where there is no test file; 0: no test score."
    )
    format: DataFormat | None = Field(
        None, description="Format of the files; none finds it by their content, and else by the suffix, .gz aside."
    )
    delimiter: Delimiter | None = Field(
        None, description="What separates the cells of a CSV file; none finds `,`, `;`, `|` or a tab by the header."
    )
    encoding: Encoding | None = Field(
        None, description="Encoding of the files, such as cp1252; none finds UTF-8, UTF-16 by its mark, or cp1252."
    )
    text_column: str = Field("text", description="Column or key of the text.")
    text_pair_column: str | None = Field(None, description="Column of the second text of a pair, where there is one.")
    label_column: str | None = Field(
        None, description="Column of the label, of a list of labels, or of a number; none: `label` or `labels`."
    )
    label_columns: tuple[str, ...] = Field(
        (), description="Columns that each say with 0 or 1 whether the label of that name applies."
    )
    label_names: tuple[str, ...] = Field(
        (), description="What each place of a list of 0 and 1 stands for, where labels are such lists."
    )
    label_separator: str | None = Field(
        None, description="What separates several labels in one cell, such as |; none: a cell is one label."
    )
    drop_unlabeled: bool = Field(
        False, description="Leave out rows without a label: empty, nan, None, N/A, NA, null, <NA>, or -1 for a class."
    )
    tokens_column: str = Field("tokens", description="Column of the words of a sentence, or of one word, in a table.")
    tags_column: str = Field("ner_tags", description="Column of the tag of each word, as `tokens_column`.")
    sentence_column: str | None = Field(
        None,
        description="Column that numbers the sentences of a table with a word in each row; none: such as `Sentence #`.",
    )
    tag_scheme: TagScheme | None = Field(
        None, description="Scheme of the tags; none finds it out from the training split."
    )
    question_column: str = Field("question", description="Column of a question about a context.")
    context_column: str = Field("context", description="Column of the text that has the answer.")
    answers_column: str | None = Field(
        None,
        description="Column of the answer, or of several; empty where there is none; none: `answers`, `answer` or "
        "`answer_text`.",
    )
    start_column: str = Field(
        "answer_start", description="Column of the character that an answer begins with, from 0; or `start`."
    )
    windows: bool = Field(
        False,
        description="Train on all of a text that is longer than `training.max_length`, in overlapping windows as the "
        "service cuts them; false: on its beginning.",
    )

    def format_by_suffix(self, path: Path) -> DataFormat | None:
        """Return the format that is set, or else that of the suffix, .gz aside; None where that says nothing."""
        suffix = Path(path.stem).suffix if path.suffix.lower() == ".gz" else path.suffix
        return self.format or FORMATS.get(suffix.lower())

    def format_of(self, path: Path) -> DataFormat:
        """Return the format of `path`; raises `RecipeError` when the suffix says nothing."""
        found = self.format_by_suffix(path)
        if found is None:
            raise RecipeError(
                f"{path}: cannot infer the format from the suffix; set data.format to one of "
                f"{', '.join(get_args(DataFormat))}"
            )
        return found
