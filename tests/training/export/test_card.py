"""What a model card says of the routes that answer."""

from __future__ import annotations

import app.tasks
from app.tasks.base import SecondaryTask
from tests.app.builders import make_manifest
from training.export.card import served_by


class Agreeing(SecondaryTask):
    name, route, models_of = "agreeing", "agree", ("text-classification",)

    @classmethod
    def reason_against(cls, manifest):
        return None if "yes" in manifest.labels else "has no label yes"


def test_a_card_names_every_route_that_the_bundle_answers(monkeypatch):
    monkeypatch.setattr(app.tasks, "SECONDARY_TASKS", {Agreeing.name: Agreeing})
    assert served_by(make_manifest()) == "Served by `POST /classify`, or `POST /models/toy`."
    able = served_by(make_manifest(labels=["no", "yes"]))
    assert able == "Served by `POST /classify`, or `POST /models/toy`. It answers `POST /agree` too."
