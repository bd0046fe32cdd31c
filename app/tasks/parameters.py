"""How the fields of a request are read: strictly, but null stands for what is not given, and 2.0 for 2.

Some fields are Hugging Face's words for what this service calls otherwise; see docs/requests.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, GetCoreSchemaHandler, Tag
from pydantic_core import CoreSchema, core_schema

ValueT = TypeVar("ValueT")

LEAST_LENGTH = 8  # tokens of a window, as of a bundle's


def whole(value: object) -> object:
    """Take 3.0 for 3, as JSON does."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


WHOLE = BeforeValidator(whole)  # after the bounds of an `int`, which JSON schema would lack otherwise


@dataclass(frozen=True, slots=True)
class NullIs:
    """Marks a field for which null means that it is not given; `value` is its default."""

    value: Any

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.fill, core_schema.nullable_schema(handler(source)))

    def fill(self, given: Any) -> Any:
        return self.value if given is None else given


class Strict(BaseModel):
    """An unknown field is an error that names it, and NaN is no number.

    Every list of a request is bounded or one for each input, and has `fail_fast`: a test looks for it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def fields_in(value: object) -> int:
    """Return the number of fields that were given to a validated value, those of its parts included."""
    if isinstance(value, list):
        return sum(fields_in(item) for item in value)
    if isinstance(value, dict):
        return sum(1 + fields_in(item) for item in value.values())
    if not isinstance(value, BaseModel):
        return 0
    return sum(1 + fields_in(getattr(value, name)) for name in value.model_fields_set)


TruncationStrategy = Literal["longest_first", "only_first", "do_not_truncate"]
Truncation = Annotated[
    Annotated[bool, Tag("<bool>")] | Annotated[TruncationStrategy, Tag("<name>")],
    Discriminator(
        lambda value: "<bool>" if isinstance(value, bool) else "<name>" if isinstance(value, str) else None,
        custom_error_type="truncation_type",
        custom_error_message="must be true or false",
    ),
]


class Parameters(Strict):
    """The parameters that every task has."""

    truncation: Truncation | None = Field(
        None, description="Hugging Face's word for `truncate`; of a pair, the longer text is cut."
    )
    max_length: Annotated[int, Field(ge=LEAST_LENGTH), WHOLE] | None = Field(
        None,
        description="Most tokens of the window that a truncated text is answered from, where fewer than the model "
        "takes are wanted. Truncates, unless `truncation` says otherwise.",
    )

    @property
    def truncates(self) -> bool:
        if self.truncation is None:
            return self.max_length is not None
        return self.truncation not in (False, "do_not_truncate")
