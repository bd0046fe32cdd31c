"""From files to examples: raw text, with labels for all of it or for character spans of it."""

from training.data.classification import (
    label_names,
    labeled_texts,
    read_classification,
    read_labeled_texts,
    to_example,
)
from training.data.documents import documents, read_documents
from training.data.errors import (
    DataError,
    EmptyTextError,
    EncodingError,
    IllegalTagError,
    MissingColumnError,
    MissingLabelError,
    SpanError,
)
from training.data.examples import (
    ClassificationExample,
    LabeledText,
    ModelInput,
    NerExample,
    Sentence,
    Span,
    Style,
    TaggedWords,
)
from training.data.items import Convention, Item, Part
from training.data.labeling import Labeling
from training.data.labels import choose_problem_type, find_problem_type, label_values, raw_labels
from training.data.ner import read_ner, render, render_all, tag_names
from training.data.remarks import label_remarks, say
from training.data.sample import sample
from training.data.set_aside import normal
from training.data.sources import HubSplit, Source, source_of
from training.data.splits import Splits
from training.data.tagged import (
    read_sentences,
    read_tagged_words,
    scheme_of,
    tagged_words,
    to_sentence,
    with_usual_tags,
)
from training.data.tags import find_scheme, legal_iob2, split_tag, to_iob2

__all__ = [
    "ClassificationExample",
    "Convention",
    "DataError",
    "EmptyTextError",
    "EncodingError",
    "HubSplit",
    "IllegalTagError",
    "Item",
    "LabeledText",
    "Labeling",
    "MissingColumnError",
    "MissingLabelError",
    "ModelInput",
    "NerExample",
    "Part",
    "Sentence",
    "Source",
    "Span",
    "SpanError",
    "Splits",
    "Style",
    "TaggedWords",
    "choose_problem_type",
    "documents",
    "find_problem_type",
    "find_scheme",
    "label_names",
    "label_remarks",
    "label_values",
    "labeled_texts",
    "legal_iob2",
    "normal",
    "raw_labels",
    "read_classification",
    "read_documents",
    "read_labeled_texts",
    "read_ner",
    "read_sentences",
    "read_tagged_words",
    "render",
    "render_all",
    "sample",
    "say",
    "scheme_of",
    "source_of",
    "split_tag",
    "tag_names",
    "tagged_words",
    "to_example",
    "to_iob2",
    "to_sentence",
    "with_usual_tags",
]
