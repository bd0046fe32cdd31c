"""A few faults against the real command, in both shapes; `make chaos` plays all of them, and for longer."""

from __future__ import annotations

import pytest
import uvloop

from tests.chaos.scenario import all_scenarios, play_each
from tests.chaos.scenarios.orders import Orders
from tests.chaos.staging import staged
from tests.chaos.table import render
from tests.chaos.tally import Tally, Truth
from tests.support.server import SHAPES

SECONDS = 0.5  # of each
SMOKE = [scenario for scenario in all_scenarios() if scenario.is_smoke]


@pytest.mark.parametrize("shape", SHAPES)
def test_nothing_is_lost_or_wrong(shape, tiny_models, tmp_path):
    with staged(shape, tiny_models, tmp_path, Tally(Truth()), SECONDS) as stage:
        rows = uvloop.run(play_each(SMOKE, stage))
        log = stage.service.log()
    assert all(row.tally.is_sound for row in rows), render(rows)
    assert all(row.tally.sent for row in rows)
    assert "Traceback" not in log


@pytest.mark.parametrize("shape", SHAPES)
def test_orders_to_the_admin_port_fail_no_request(shape, tiny_models, tmp_path):
    scenario = Orders(by_admin_port=True)
    models = scenario.prepare(tiny_models, tmp_path)
    with staged(shape, models, tmp_path, Tally(Truth()), SECONDS, scenario.settings) as stage:
        [row] = uvloop.run(play_each([scenario], stage))
    assert row.tally.is_sound, render([row])
    assert row.tally.sent


def test_every_scenario_has_a_name_of_its_own():
    names = [scenario.name for scenario in all_scenarios()]
    assert len(set(names)) == len(names) > 30
    assert all(scenario.fault for scenario in all_scenarios())
