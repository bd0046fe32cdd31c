"""What every section of a recipe is, and the error of one that cannot be used."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from training.errors import ExpectedError


class RecipeError(ExpectedError, ValueError):
    """A recipe or an override that cannot be used; the message is one sentence that says what to change."""


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True, allow_inf_nan=False)
