"""A fault for each alert, and that alone which mends it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass

from tests.support.server import until
from tests.watch.stage import MODELS, Stage, break_version, publish_version

CLASSIFY, NER, FILL_MASK = MODELS
PATIENT_MS = 2500  # a scrape waits two seconds for a frozen engine to say how long its queue is
Begin = Callable[[Stage], AbstractContextManager[object]]


@dataclass(frozen=True)
class Fault:
    """What is done to the service for as long as `begin` is entered, and the alerts that must fire then.

    Of the `untold`, nobody is told, because another alert says it.
    """

    what: str
    alerts: tuple[str, ...]
    begin: Begin
    untold: tuple[str, ...] = ()

    def told_at_once(self) -> list[str]:
        """Return the alerts that somebody is told of while the fault lasts: a call silences the ticket of its name."""
        called = {name.split()[0] for name in self.alerts if name.endswith("critical")}
        told = [name for name in self.alerts if name not in self.untold]
        return [name for name in told if name.endswith("critical") or name.split()[0] not in called]


def faults() -> list[Fault]:
    return [
        Fault(
            "a version that was broken when the service started", ("RobertaModelVersionRefused warning",), old_version
        ),
        Fault("texts that make the forward pass fail", POISONED, poisoned),
        Fault(
            "every window takes 1.2 s", ("RobertaLatencyBudgetBurn critical", "RobertaLatencyBudgetBurn warning"), slow
        ),
        Fault("requests with 1.5 s wait for a runner that is held", ("RobertaDeadlineMisses warning",), late),
        Fault("50 requests at once, and each takes 0.4 s", CROWDED, crowded),
        Fault("more is asked than can be done", OVERLOADED, overloaded),
        Fault("a forward pass hangs", ("RobertaRunnerStalled critical",), hung),
        Fault("an engine process is frozen, and nobody replaces it", ("RobertaEngineDown critical",), frozen),
        Fault("an engine process is killed", ("RobertaProcessRestarts warning",), killed),
        Fault("it is killed again and again", ("RobertaRestartLoop critical",), killed_often),
        Fault("more connections than there may be", ("RobertaConnectionsFull warning",), connections),
        Fault("a model whose only version is broken", ("RobertaModelNotLoaded critical",), new_model),
        Fault("a default that names no model", ("RobertaLoadProblem warning",), defaults),
        Fault("all models are removed but one that is broken", ("RobertaNothingServed critical",), nothing),
        Fault("a new version whose labels are in another order", ("RobertaAnswersDrift warning",), drifted),
        Fault("requests end", ("RobertaNoTraffic warning",), silence),
        Fault("every process is frozen", DOWN, down, untold=DOWN[1:]),
        Fault("the job has no target", ("RobertaAbsent critical",), absent),
    ]


WEEK = "task_model_label:roberta_answers:increase1w"
REFUSED = ("RobertaModelVersionRefused warning",)
SLOW = ("RobertaLatencyBudgetBurn critical", "RobertaLatencyBudgetBurn warning")
POISONED = ("RobertaErrorBudgetBurn critical", "RobertaErrorBudgetBurn warning", "RobertaInternalErrors warning")
CROWDED = ("RobertaQueueNotDraining critical",)
DOWN = ("RobertaServiceDown critical", "RobertaTargetDown warning")
OVERLOADED = ("RobertaRefusingRequests warning", "RobertaSaturated warning", "RobertaQueueNearCapacity warning")


@contextmanager
def old_version(stage: Stage) -> Iterator[None]:
    yield
    shutil.rmtree(stage.models / CLASSIFY / "2")
    stage.reload()


@contextmanager
def poisoned(stage: Stage) -> Iterator[None]:
    begin = "0"  # the id of the token that every text begins with
    with stage.broken(CLASSIFY, "poison", begin), stage.traffic():
        yield


@contextmanager
def slow(stage: Stage) -> Iterator[None]:
    with stage.broken(NER, "slow", "1200"), stage.traffic(NER, clients=4):
        yield


@contextmanager
def late(stage: Stage) -> Iterator[None]:
    with stage.broken(FILL_MASK, "", ""), stage.burst(FILL_MASK, 24, timeout_ms=1500), stage.traffic(NER):
        until(lambda: stage.service.metric("roberta_missed_deadline_seconds_count", model=FILL_MASK) >= 20)
        yield


@contextmanager
def crowded(stage: Stage) -> Iterator[None]:
    with ExitStack() as sent, stage.broken(CLASSIFY, "slow", "400"):
        sent.enter_context(stage.burst(CLASSIFY, 50))
        yield


@contextmanager
def overloaded(stage: Stage) -> Iterator[None]:
    with stage.broken(CLASSIFY, "slow", "60"), stage.traffic(CLASSIFY, clients=60, texts=3):
        yield


@contextmanager
def hung(stage: Stage) -> Iterator[None]:
    with stage.burst(NER, 2), stage.broken(NER, "", ""):
        yield


@contextmanager
def frozen(stage: Stage) -> Iterator[None]:
    supervisor, engines = stage.processes()[0], stage.engines()
    stage.prometheus.target(stage.netloc, every_ms=PATIENT_MS)
    with stage.stopped([supervisor]), stage.stopped(engines):
        yield
    stage.prometheus.target(stage.netloc)


@contextmanager
def killed(stage: Stage) -> Iterator[None]:
    stage.kill_engine()
    yield
    until(stage.service.is_ready)


@contextmanager
def killed_often(stage: Stage) -> Iterator[None]:
    for _ in range(5):
        stage.kill_engine()
    yield
    until(stage.service.is_ready)


@contextmanager
def connections(stage: Stage) -> Iterator[None]:
    with stage.idle_connections(150):
        yield


@contextmanager
def new_model(stage: Stage) -> Iterator[None]:
    break_version(stage.models, "broken", NER, 1)
    stage.reload()
    yield
    shutil.rmtree(stage.models / "broken")
    stage.reload()


@contextmanager
def defaults(stage: Stage) -> Iterator[None]:
    file = stage.models / "defaults.json"
    file.write_text('{"classify": "nobody"}')
    stage.reload()
    yield
    file.unlink()
    stage.reload()


@contextmanager
def nothing(stage: Stage) -> Iterator[None]:
    away = stage.models.with_name("away")
    away.mkdir()
    break_version(stage.models, "broken", NER, 1)  # a folder with nothing in it leaves what is loaded
    for name in MODELS:
        shutil.move(stage.models / name, away / name)
    stage.reload()
    yield
    for name in MODELS:
        shutil.move(away / name, stage.models / name)
    shutil.rmtree(stage.models / "broken")
    stage.reload()
    away.rmdir()


@contextmanager
def drifted(stage: Stage) -> Iterator[None]:
    """The hour before is six seconds here; the week before it needs some answers too."""
    with stage.traffic(CLASSIFY, texts=32):
        until(lambda: stage.prometheus.now(f'sum({WEEK}{{model="{CLASSIFY}"}}) > 1000'))
        version = publish_version(stage.models, CLASSIFY, 3, rotated=True)
        stage.reload()
        yield
        shutil.rmtree(version)
        stage.reload()
        until(lambda: not stage.prometheus.firing() & {"RobertaAnswersDrift warning"})


@contextmanager
def silence(stage: Stage) -> Iterator[None]:
    with stage.traffic(clients=8) as traffic:
        until(lambda: traffic.statuses[200] > 600)
    yield
    with stage.traffic() as traffic:
        until(lambda: traffic.statuses[200] > 20)


@contextmanager
def down(stage: Stage) -> Iterator[None]:
    with stage.stopped(stage.processes()):
        yield


@contextmanager
def absent(stage: Stage) -> Iterator[None]:
    stage.prometheus.target()
    yield
    stage.prometheus.target(stage.netloc)
