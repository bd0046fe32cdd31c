"""What keeps a model that was named from being served, as one sentence for a person."""

from __future__ import annotations


class HubError(Exception):
    """The message says what is wrong and what to do."""
