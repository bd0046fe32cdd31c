"""Sentences of words and tags, and texts with marked spans, from whatever a source has them in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from training.config import DataConfig, TagScheme
from training.data.conll import of_lines
from training.data.errors import DataError, IllegalTagError, Refuse, stop
from training.data.examples import Sentence, TaggedWords
from training.data.formats import Table, format_of
from training.data.sources import HubSplit, Source
from training.data.tables import rows
from training.data.tagged_rows import of_rows
from training.data.tags import TagError, find_scheme, respelled, to_iob2


def tagged_words(source: Source, data: DataConfig, refuse: Refuse = stop) -> Iterator[TaggedWords]:
    """Yield sentences as the source has them; refuses lines and rows that hold no word with a tag."""
    if isinstance(source, HubSplit) or isinstance(format_of(source, data), Table):
        yield from of_rows(rows(source, data, refuse), data, refuse)
    else:
        yield from of_lines(source, data, refuse)


def read_sentences(source: Source, data: DataConfig | None = None, scheme: TagScheme | None = None) -> list[Sentence]:
    """Read all sentences, their tags turned from `scheme` (found out where not given) into IOB2.

    Raises `DataError` on a line that cannot be used, on a tag that the scheme does not have at its place, and when
    there is no sentence.
    """
    data = data or DataConfig(format="conll")
    found = read_tagged_words(source, data)
    scheme = scheme or scheme_of(found, data)
    return [to_sentence(each, scheme) for each in found]


def read_tagged_words(source: Source, data: DataConfig) -> list[TaggedWords]:
    """Read all sentences as they are; raises `DataError` on an unusable line and when there is none."""
    found = list(tagged_words(source, data))
    if not found:
        raise DataError(f"{source}: holds no examples; it needs a token and its tag on each line, or in each row")
    return with_usual_tags(found)


def with_usual_tags(found: Sequence[TaggedWords]) -> list[TaggedWords]:
    """Return sentences with tags as `respelled` writes them; those of marked spans are so already."""
    tagged = [each for each in found if each.text is None]
    usual = iter(respelled(each.tags for each in tagged))
    return [replace(each, tags=next(usual)) if each.text is None else each for each in found]


def scheme_of(found: list[TaggedWords], data: DataConfig) -> TagScheme:
    """Return the scheme that is set, or that the tags show; marked spans have none of their own."""
    return data.tag_scheme or find_scheme([each.tags for each in found if each.text is None])


def to_sentence(found: TaggedWords, scheme: TagScheme) -> Sentence:
    """Return words with IOB2 tags; raises `DataError` at a tag that is illegal in the scheme."""
    if found.text is not None:
        return Sentence(found.words, found.tags, found.text, found.offsets)
    try:
        return Sentence(found.words, to_iob2(found.tags, scheme))
    except TagError as error:
        where = found.where[error.index]
        raise IllegalTagError(f"{where}: {error}; correct it, or name the scheme in data.tag_scheme") from None
