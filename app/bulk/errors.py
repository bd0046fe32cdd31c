"""What ends a command, in one sentence for a person."""

from __future__ import annotations


class BulkError(Exception):
    """The rows cannot be read, or the answers not written. The message says what to do."""
