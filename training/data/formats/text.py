"""Plain text: a document on each line."""

from __future__ import annotations

from training.data.formats.base import Format, Head


class Text(Format):
    name = "text"

    def recognizes(self, head: Head) -> bool:
        return False
