"""What is asked of a model about every input: its task's parameters, and how an input becomes part of a request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from app.errors import InvalidRequestError
from app.serving.parsing import explain
from app.tasks import MODEL_TASKS
from app.tasks.base import Task, TaskRequest

INPUTS, PARAMETERS = "inputs", "parameters"
NOT_ASKED = (INPUTS, PARAMETERS, "model", "options")  # of every input; `options` means nothing here


def fields_of(task: type[Task[Any, Any]]) -> dict[str, FieldInfo]:
    """Return what may be asked of a task about every input: fields of its request, and of its parameters."""
    request = task.request_type.model_fields
    fields = {name: field for name, field in request.items() if name not in NOT_ASKED}
    kind = request[PARAMETERS].annotation if PARAMETERS in request else None
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        fields |= kind.model_fields
    return fields


def all_fields() -> dict[str, list[tuple[type[Task[Any, Any]], FieldInfo]]]:
    """Return every name that may be asked for, with the tasks that know it."""
    found: dict[str, list[tuple[type[Task[Any, Any]], FieldInfo]]] = {}
    for task in MODEL_TASKS.values():
        for name, field in fields_of(task).items():
            found.setdefault(name, []).append((task, field))
    return found


class Asking:
    """Makes requests of a task from inputs, all with the same `options`: fields of the request or of its parameters.

    Raises `InvalidRequestError` for an option that the task does not have, or that is out of range.
    """

    def __init__(self, task: Task[Any, Any], options: Mapping[str, Any]) -> None:
        kind = task.request_type
        known = fields_of(type(task))
        if unknown := sorted(set(options) - set(known)):
            raise InvalidRequestError(f"{unknown[0]} is not for {task.name}, which has {', '.join(known)}")
        own = {name: value for name, value in options.items() if name in kind.model_fields}
        parameters = {name: value for name, value in options.items() if name not in own}
        self._kind, self._fields = kind, own | ({PARAMETERS: parameters} if parameters else {})
        self.columns: dict[str, Any] = task.columns(self.request(task.example[INPUTS]))

    def request(self, inputs: Any) -> TaskRequest:
        """Return a validated request. Raises `InvalidRequestError`."""
        try:
            return self._kind.model_validate({INPUTS: inputs, **self._fields})
        except ValidationError as error:
            raise InvalidRequestError(str(explain(error, b"", self._kind))) from None

    def requests(self, inputs: Sequence[Any]) -> TaskRequest:
        """Return one request of several inputs. Raises `InvalidRequestError` where any of them is wrong."""
        return self.request(list(inputs))
