"""`roberta-serve tune BUNDLE`: time ways to divide this machine among batches, and write the best as settings."""

from __future__ import annotations

import asyncio
import math
import os
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from prometheus_client import CollectorRegistry
from pydantic import Field
from pydantic_settings import CliPositionalArg, SettingsConfigDict

from app.bundle import Bundle, BundleError, replace_file
from app.command_line.look import Line, duration
from app.engine.admission import Limits
from app.engine.engine import Engine
from app.engine.work import Lane
from app.http_settings import CLI, ENV_FILE
from app.metrics import Metrics
from app.runtime.session import Device, Session, SessionError, open_session
from app.runtime.warmup import synthetic_windows
from app.serving.places import Places
from app.serving.sources import read_folder
from app.settings import Settings, available_cores
from app.window import Window

BUDGETS: dict[Device, tuple[int, ...]] = {
    "cpu": (128, 256, 512, 1024, 2048),
    "cuda": (1024, 4096, 16_384, 32_768, 65_536),
}
LENGTHS = (12, 20, 26, 18, 34, 48, 24, 256)  # tokens of the windows that are run: sentences and one page
AT_ONCE: dict[Device, int] = {"cpu": 32, "cuda": 1024}  # requests: the best way depends on how full the queue is
ROUNDS = 3
GOOD_ENOUGH = 0.98  # share of the best rate; of the ways that reach it, that of the smallest batches answers soonest
SIGNATURE = "# By `roberta-serve tune`"
UNBOUNDED = 2**31  # tokens that may queue
PATIENCE_S = 3600.0  # how long a request may wait and take: longer than any measurement
LEAST_S = 1e-4  # for the windows of a measurement, where the cost model finds only a fixed cost


class OutputError(Exception):
    """The file that was asked for cannot be written. The message is one sentence for a person."""


class Way(NamedTuple):
    """One way to divide the machine."""

    runners: int
    intra_op_threads: int
    max_batch_tokens: int

    def __str__(self) -> str:
        return f"{self.runners} runners x {self.intra_op_threads} threads, batches of {self.max_batch_tokens} tokens"


class Tune(Settings):
    """Time the ways to share out this machine for one model, and write the best to a file that `roberta-serve` reads
    when it starts in the same folder. Flags and environment variables go before what the file says."""

    model_config = SettingsConfigDict(**CLI, cli_prog_name="roberta-serve tune")

    bundle: CliPositionalArg[str] = Field(description="Bundle to tune for: `name` or `name:version`.")
    output: Path = Field(
        Path(ENV_FILE), description="File to write; where it cannot be written, the settings are printed only."
    )
    seconds: float = Field(1.0, gt=0, le=3600, description="Length of one measurement.")
    at_once: int | None = Field(
        None, ge=1, description="Requests of one text in the service at any time. Default: 32 on CPU, 1024 on CUDA."
    )

    def run_on(self, device: Device) -> None:
        """Measure every way, print the table and the best, and write it.

        Raises `BundleError` where there is no such bundle, `SessionError` where it cannot be opened, `OutputError`
        where an output that was asked for cannot be written; that is found out before anything is measured.
        """
        bundle = self.find_bundle()
        problem = unwritable(self.output)
        if problem and "output" in self.model_fields_set:
            raise OutputError(f"{self.output} cannot be written: {problem}; choose another --output")
        if problem:
            say(f"{self.output} cannot be written here: {problem}; the settings are printed only")
        rates = measure(bundle, device, self)
        best = choose(rates)
        say(f"best: {best}")
        for line in lines_of(bundle, device, best):
            say(line)
        if problem is None:
            self.write(bundle, device, best)

    def write(self, bundle: Bundle, device: Device, best: Way) -> None:
        """Write the best way to the output, beside what else it sets. Raises `OutputError`."""
        try:
            kept = self.output.read_text(encoding="utf-8") if self.output.is_file() else ""
            text = render(bundle, device, best, kept)
            if os.access(self.output.absolute().parent, os.W_OK):
                replace_file(self.output, text)
            else:
                self.output.write_text(text, encoding="utf-8")
        except (OSError, UnicodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not text in UTF-8"
            raise OutputError(f"{self.output} cannot be written: {reason}; the settings are those above") from error
        say(f"written to {self.output}: `roberta-serve` reads it when it starts in this folder")

    def find_bundle(self) -> Bundle:
        """Return the bundle that is to be tuned for. Raises `BundleError`."""
        name, _, wanted = self.bundle.partition(":")
        place = Places(self.models).read().by_name.get(name)
        for number, folder in place.folders.items() if place is not None else ():
            if wanted in ("", str(number)) and folder.is_dir():
                return read_folder(folder, name=name, version=number)
        raise BundleError(f"there is no bundle {self.bundle!r} under {self.models}/")


def measure(bundle: Bundle, device: Device, settings: Tune) -> dict[Way, float]:
    """Return the tokens per second of every way, the median of several rounds, and print them.

    One of them is the default of the service.
    """
    longest = bundle.manifest.max_length
    threads_to_try = {threads for _, threads in splits(device, settings)}
    sessions = {threads: open_with(threads, bundle, device, settings) for threads in threads_to_try}
    sessions[1].prepare(None)
    unset = settings.model_copy(update={"runners": None})
    default = Way(unset.runners_on(device), 1, sessions[1].max_batch_tokens)
    budgets = [b for b in sorted({*BUDGETS[device], default.max_batch_tokens}) if fits(b, sessions)]
    ways = [Way(*split, budget) for split in splits(device, settings) for budget in budgets]
    at_once = settings.at_once or AT_ONCE[device]
    windows = [window for length in LENGTHS for window in synthetic_windows(1, min(length, longest))]
    found: dict[Way, list[float]] = {way: [] for way in ways}
    with shown_trials(ROUNDS * len(ways), settings.seconds) as show:
        for number in range(ROUNDS):
            for done, way in enumerate(ways, number * len(ways)):
                show(done, way)
                session = sessions[way.intra_op_threads]
                found[way].append(tokens_per_s(session, way, windows, at_once, settings.seconds))
    rates = {way: statistics.median(each) for way, each in found.items()}
    for way, rate in sorted(rates.items(), key=lambda pair: -pair[1]):
        say(f"{rate:10,.0f} tokens/s  {way}{'  (the default)' if way == default else ''}")
    return rates


@contextmanager
def shown_trials(count: int, seconds: float) -> Iterator[Callable[[int, Way], None]]:
    """Yield what shows on a terminal how many of `count` trials of so many seconds are over, and the way that is tried;
    whatever ends them, an empty line is left."""
    line, is_terminal = Line(sys.stderr, "tune"), sys.stderr.isatty()

    def show(done: int, way: Way) -> None:
        if is_terminal:
            left = duration((count - done) * seconds)
            line.show(f"{done}/{count} trials, {left} left, {way}", done / count)

    try:
        yield show
    finally:
        if is_terminal:
            line.clear()


def splits(device: Device, settings: Settings) -> list[tuple[int, int]]:
    """Return (runners, threads of each) that use every core; on CUDA, one to four runners for each GPU."""
    if device == "cuda":
        return [(count * len(settings.gpus), 1) for count in (1, 2, 3, 4)]
    cores = available_cores()
    return [(cores // threads, threads) for threads in range(1, cores + 1) if cores % threads == 0]


def fits(budget: int, sessions: Mapping[int, Session]) -> bool:
    """Prepare every session for batches of `budget` tokens, and return whether memory suffices."""
    try:
        for session in sessions.values():
            session.prepare(budget)
    except SessionError as error:
        say(f"left out: {error}")
        return False
    return True


def open_with(threads: int, bundle: Bundle, device: Device, settings: Settings) -> Session:
    """Open the bundle for as many runners as any way has. Under load, neither idle cores nor CUDA graphs matter."""
    most = max(runners for runners, _ in splits(device, settings))
    changes = {"intra_op_threads": threads, "runners": most, "idle_threads": 1, "cuda_graphs": False}
    return open_session(bundle, device, settings.model_copy(update=changes))


def tokens_per_s(session: Session, way: Way, windows: Sequence[Window], at_once: int, seconds: float) -> float:
    """Return the rate of an engine that has `at_once` requests of one window at any time, over about `seconds`."""
    metrics = Metrics(CollectorRegistry())
    engine = Engine(Limits(UNBOUNDED, max_queue_age_s=PATIENCE_S, runners=way.runners), metrics)
    lane = Lane(
        engine=engine,
        name="tune",
        run=session.run,
        computed_tokens=session.computed_tokens,
        cost=replace(session.cost),
        max_batch_tokens=way.max_batch_tokens,
        series=metrics.of_model("tune", "tune"),
    )
    expected_s = sum(lane.cost.share(len(window)) for window in windows) / way.runners
    queue = list(windows) * max(1, math.ceil(seconds / max(expected_s, LEAST_S)))
    random.Random(0).shuffle(queue)  # in order, every batch would have the same lengths

    async def answer_all() -> None:
        deadline, left = time.monotonic() + PATIENCE_S, iter(queue)

        async def keep_asking() -> None:
            for window in left:
                await lane.submit([window], deadline=deadline)

        await asyncio.gather(*(keep_asking() for _ in range(at_once)))

    engine.start()
    started = time.monotonic()
    try:
        asyncio.run(answer_all())
        elapsed = time.monotonic() - started
    finally:
        engine.stop()
    return sum(map(len, queue)) / elapsed


def choose(rates: Mapping[Way, float]) -> Way:
    """Return the way with the smallest batches among those that are nearly as fast as the fastest."""
    enough = GOOD_ENOUGH * max(rates.values())
    return min((way for way in rates if rates[way] >= enough), key=lambda way: (way.max_batch_tokens, -rates[way]))


def render(bundle: Bundle, device: Device, way: Way, before: str) -> str:
    """Return the settings as an environment file, with the lines of the file `before` that set something else."""
    lines = lines_of(bundle, device, way)
    replaced = (SIGNATURE, *(f"{line.partition('=')[0]}=" for line in lines[1:]))
    kept = [line for line in before.splitlines() if not line.startswith(replaced)]
    return "\n".join([*kept, *lines]) + "\n"


def lines_of(bundle: Bundle, device: Device, way: Way) -> list[str]:
    """Return the settings of a way as lines of an environment file."""
    manifest = bundle.manifest
    settings = [f"ROBERTA_{name.upper()}={value}" for name, value in way._asdict().items()]
    return [f"{SIGNATURE} for {manifest.name}:{manifest.version} on {device}, {available_cores()} cores.", *settings]


def unwritable(file: Path) -> str | None:
    """Return why a file cannot be written; None where it can be."""
    was_there = file.exists()
    try:
        with file.open("a"):
            pass
        if not was_there:
            file.unlink()
    except OSError as error:
        return error.strerror
    return None


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
