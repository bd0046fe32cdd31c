"""A real Prometheus and Alertmanager on the real service, under load with mistakes in it: every query has data, a fault
is told to a webhook and so is its end, and what clients do wrong raises nothing. `make watch` plays every fault."""

from __future__ import annotations

from contextlib import ExitStack
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest

from tests.support.server import held, serve_several, until
from tests.watch.asking import queries_without_data
from tests.watch.definitions import dashboard_queries, recording_queries
from tests.watch.programs import alertmanager, missing, prometheus, receiver
from tests.watch.traffic import Burst, Traffic

KEY = "a-key-for-tests"
QUERIES = dashboard_queries() + recording_queries()
# What has data only while requests come, and what compares them with those of an hour before.
OF_TRAFFIC = [query for query in QUERIES if "> 0" in query.expr or "answers_drift:ratio" in query.expr]
STALLED = "RobertaRunnerStalled"
MODELS = ["tiny-classify", "tiny-ner", "tiny-fill-mask"]
OF_A_BUSY_MACHINE = {"RobertaLatencyBudgetBurn", "RobertaSaturated", "RobertaQueueNotDraining"}


@pytest.fixture(scope="module")
def watched(tiny_models, tmp_path_factory):
    if packages := missing():
        pytest.skip(f"apt-get install {' '.join(packages)}")
    folder = tmp_path_factory.mktemp("watch")
    with ExitStack() as stack:
        told = stack.enter_context(receiver())
        alerts = stack.enter_context(alertmanager(folder, told))
        service = stack.enter_context(serve_several(tiny_models, folder / "service", api_keys=[KEY]))
        looking = stack.enter_context(prometheus(folder, urlsplit(service.url).netloc, alerts, KEY))
        yield SimpleNamespace(service=service, prometheus=looking, told=told)


def test_mistakes_of_clients_raise_nothing_and_a_hung_runner_is_told_with_its_end(watched):
    service, looking, told = watched.service, watched.prometheus, watched.told
    with Traffic(service.url, KEY, MODELS, texts=32) as traffic:  # so many that runners are busy on any machine
        until(lambda: traffic.statuses[504] > 20 and traffic.statuses[422] > 20)
        until(lambda: not queries_without_data(looking, OF_TRAFFIC))
        assert {name for name in looking.firing() if name.split()[0] not in OF_A_BUSY_MACHINE} == set()
    with held(service, "tiny-ner") as gate, Burst(service.url, KEY, "/models/tiny-ner", 4):
        until(lambda: told.told(STALLED, "firing"))
        gate.opened.set()
    until(lambda: told.told(STALLED, "resolved"))
    assert traffic.statuses.keys() <= {200, 400, 401, 404, 422, 504}
    assert looking.rule_errors() == []
    assert queries_without_data(looking, QUERIES) == []
