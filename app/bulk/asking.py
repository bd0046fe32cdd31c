"""What is asked of a model about every input: its task's parameters, and how an input becomes part of a request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from app.errors import InvalidRequestError
from app.serving.parsing import explain
from app.tasks import MODEL_TASKS
from app.tasks.asking import INPUTS, body_of, fields_of
from app.tasks.base import Task, TaskRequest


def all_fields() -> dict[str, list[tuple[type[Task[Any, Any]], FieldInfo]]]:
    """Return every name that may be asked for, with the tasks that know it."""
    found: dict[str, list[tuple[type[Task[Any, Any]], FieldInfo]]] = {}
    for task in MODEL_TASKS.values():
        for name, field in fields_of(task.request_type).items():
            found.setdefault(name, []).append((task, field))
    return found


class Asking:
    """Makes requests of a task from inputs, all with the same `options`: fields of the request or of its parameters.

    Raises `InvalidRequestError` for an option that the task does not have, or that is out of range.
    """

    def __init__(self, task: Task[Any, Any], options: Mapping[str, Any]) -> None:
        known = fields_of(task.request_type)
        if unknown := sorted(set(options) - set(known)):
            raise InvalidRequestError(f"{unknown[0]} is not for {task.name}, which has {', '.join(known)}")
        self._kind, self._options = task.request_type, options
        self.columns: dict[str, Any] = task.columns(self.request(task.example[INPUTS]))

    def request(self, inputs: Any) -> TaskRequest:
        """Return a validated request. Raises `InvalidRequestError`."""
        try:
            return self._kind.model_validate(body_of(self._kind, inputs, self._options))
        except ValidationError as error:
            raise InvalidRequestError(str(explain(error, b"", self._kind))) from None

    def requests(self, inputs: Sequence[Any]) -> TaskRequest:
        """Return one request of several inputs. Raises `InvalidRequestError` where any of them is wrong."""
        return self.request(list(inputs))
