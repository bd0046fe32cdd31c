"""What a replica that runs the command tells it, and what it reads of its metrics."""

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from app.cluster.scaling import BUSY, QUEUE
from app.metrics import Metrics
from app.settings import Settings

pytest.importorskip("ray", reason="Ray is not installed: pip install -e '.[ray]'")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Ray's own code


def test_settings_reach_the_command_as_they_are(monkeypatch):
    from app.cluster.listening import variables_of

    given = {"models": "/models", "port": 8080, "model": ["A/B"], "access_log": True, "access": {"docs": "off"}}
    for name, value in variables_of(given).items():
        monkeypatch.setenv(name, value)
    assert Settings() == Settings(**given)


def test_the_load_is_read_from_the_metrics():
    from app.cluster.listening import load_in

    metrics = Metrics(CollectorRegistry())
    metrics.queue_tokens.set(300)
    for runner, share in enumerate((0.2, 0.6)):
        metrics.runner_busy_ratio.labels(runner).set(share)
    load = load_in(generate_latest(metrics.registry).decode())
    assert load == {QUEUE: 300.0, BUSY: pytest.approx(0.4)}


def test_without_runners_nothing_is_busy():
    from app.cluster.listening import load_in

    assert load_in("") == {QUEUE: 0.0, BUSY: 0.0}
