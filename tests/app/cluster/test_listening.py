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
    given |= {"admin_host": None, "runners": None}
    for name, value in variables_of(given).items():
        monkeypatch.setenv(name, value)
    assert Settings() == Settings(**given)


def test_the_load_is_what_forward_passes_took_since_the_last_measurement():
    from app.cluster.listening import load_between, measured_in

    metrics = Metrics(CollectorRegistry())
    metrics.queue_tokens.set(300)
    for runner in range(2):
        metrics.runner_busy_ratio.labels(runner).set(0.0)  # as another scrape of a moment ago has left it
    moments = []
    for at, seconds in ((10.0, 5.0), (20.0, 6.0), (20.0, 2.0)):
        metrics.forward_duration.labels(f"model-{len(moments)}").observe(seconds)
        moments.append(measured_in(generate_latest(metrics.registry).decode(), at))
    assert load_between(moments[0], moments[2]) == {QUEUE: 300.0, BUSY: pytest.approx(0.4)}


def test_without_runners_nothing_is_busy():
    from app.cluster.listening import load_between, measured_in

    assert load_between(measured_in("", 1.0), measured_in("", 1.0)) == {QUEUE: 0.0, BUSY: 0.0}


def test_a_command_that_began_anew_has_not_been_busy_for_less_than_no_time():
    from app.cluster.listening import Measured, load_between

    assert load_between(Measured(1.0, 0.0, 9.0, 1), Measured(2.0, 0.0, 0.5, 1))[BUSY] == 0.0


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"port": 8080}, "admin_port"),
        ({"port": 0, "admin_port": 8001}, "set port"),
        ({"port": 8080, "uds": "/run/socket", "admin_port": 8001}, "uds"),
    ],
)
def test_where_it_listens_must_be_known(given, said):
    from app.cluster.listening import check_ports

    with pytest.raises(ValueError, match=said):
        check_ports(Settings(**given))
