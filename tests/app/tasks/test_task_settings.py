"""What a manifest keeps for its task alone: the task's own model says what may stand there."""

import pytest
from pydantic import Field

from app.bundle import BundleError
from app.tasks import TASKS
from app.tasks.base import TaskSettings, settings_of
from tests.app.builders import make_manifest


class Mixing(TaskSettings):
    share: float = Field(0.5, ge=0, le=1)


def test_settings_are_those_of_the_task():
    assert settings_of(make_manifest(), Mixing) == Mixing()
    assert settings_of(make_manifest(task_settings={"share": 1}), Mixing).share == 1


@pytest.mark.parametrize("given", [{"share": 2}, {"share": None}, {"shares": 1}], ids=str)
def test_a_setting_that_is_not_valid_is_named(given):
    (name,) = given
    with pytest.raises(BundleError, match=rf"^manifest\.json is not valid at task_settings\.{name}: "):
        settings_of(make_manifest(task_settings=given), Mixing)


def test_a_task_without_settings_takes_none():
    with pytest.raises(BundleError, match=r"task_settings\.share: Extra inputs are not permitted"):
        TASKS["text-classification"].check(make_manifest(task_settings={"share": 1}))
