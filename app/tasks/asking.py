"""What is asked of a task about every input of a request, for those who ask otherwise than by its own body."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import to_json

from app.tasks.base import BaseTask, TaskRequest

INPUTS, PARAMETERS = "inputs", "parameters"
NOT_ASKED = (INPUTS, PARAMETERS, "model", "options")  # of every input; `options` means nothing here

AnyTask = type[BaseTask[Any, Any]]


def fields_of(kind: type[TaskRequest]) -> dict[str, FieldInfo]:
    """Return what may be asked about every input: fields of a task's request, and of its parameters."""
    request = kind.model_fields
    fields = {name: field for name, field in request.items() if name not in NOT_ASKED}
    parameters = request[PARAMETERS].annotation if PARAMETERS in request else None
    if isinstance(parameters, type) and issubclass(parameters, BaseModel):
        fields |= parameters.model_fields
    return fields


def body_of(kind: type[TaskRequest], inputs: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body that asks about `inputs` with `options`: fields of the request, or else of its parameters."""
    own = {name for name in options if name in kind.model_fields and name not in (INPUTS, PARAMETERS)}
    body = {INPUTS: inputs, **{name: value for name, value in options.items() if name in own}}
    if parameters := {name: value for name, value in options.items() if name not in own}:
        body[PARAMETERS] = parameters
    return body


def takes_inputs(task: AnyTask) -> bool:
    """Whether a request says in `inputs` what it asks about, as all but other services' bodies do."""
    return INPUTS in task.request_type.model_fields


def example_input(task: AnyTask) -> Any:
    """Return one input, as the task's example has it."""
    inputs = task.example[INPUTS]
    return inputs[0] if isinstance(inputs, list) else inputs


@cache
def takes_lists(task: AnyTask) -> bool:
    """Whether one request may ask about several inputs, in a list."""
    several = to_json({**task.example, INPUTS: [example_input(task)]})
    try:
        task.request_type.model_validate_json(several)
    except ValidationError:
        return False
    return True


def inputs_of(task: AnyTask, items: Sequence[Any]) -> Any:
    """Return `inputs` that ask about each of `items`: the only one itself where the task takes no list."""
    return items[0] if len(items) == 1 and not takes_lists(task) else list(items)


def answers_of(task: AnyTask, answer: Any) -> Iterable[Any]:
    """Return the answer about each input of a request that was made by `inputs_of`."""
    return answer if takes_lists(task) else [answer]
