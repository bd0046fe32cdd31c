"""CoNLL: a word with its tag on each line, an empty line after each sentence."""

from __future__ import annotations

from training.data.columns import CONLLU_COLUMNS, columns_of, find_layout, has_types, is_header, is_tag
from training.data.formats.base import Format, Head

LEAST_WIDTH_SHARE = 0.9  # of the lines that have as many columns as most
OTHERS = ("csv", "tsv", "text", "conll", None)  # suffixes under which such files are found


class Conll(Format):
    name = "conll"

    def recognizes(self, head: Head) -> bool:
        """Say yes where one column holds nothing but tags, and some entity among them."""
        if head.named not in OTHERS:
            return False
        rows = [columns_of(line) for line in head.lines if line.strip() and not line.startswith(("#", "-DOCSTART-"))]
        if "" in head.lines:  # a table with a word in each row has no empty lines
            rows = [row for row in rows if not is_header(row)]
        layout = find_layout(rows)
        if layout is None:
            return False
        if layout.key or (layout.is_indexed and layout.width == CONLLU_COLUMNS):
            return True
        usual = [row for row in rows if len(row) == layout.width]
        tags = [row[layout.tag] for row in usual]
        return (
            len(usual) >= LEAST_WIDTH_SHARE * len(rows) and all(map(is_tag, tags)) and has_types(tags) and "O" in tags
        )
