"""What the measurements of `benchmarks.performance` start from: bundles, texts, right answers, and how they report."""

from __future__ import annotations

import argparse
import itertools
import logging
import math
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokenizers import Tokenizer

from app.bundle import Bundle, Precision
from benchmarks.machine import TICKS_PER_S, describe_machine, machine_cpu_s, wait_until_idle
from benchmarks.serving.bundles import make_bundles
from benchmarks.serving.client import Check, Question
from benchmarks.serving.expected import Scores, check_scores, int8_scores
from benchmarks.serving.openloop import closed_loop, drive, texts_per_s
from benchmarks.serving.servers import Running, Server, our_servers
from benchmarks.serving.texts import read_texts, short_and_mixed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CALIBRATION_TEXTS = 512
WARM_UP_S = 1.0
SATURATING = 32  # connections of a closed loop that keep every runner busy

log = logging.getLogger("benchmarks")


@dataclass(frozen=True)
class Plan:
    """How often everything is measured, and for how many seconds each time."""

    rounds: int
    seconds: float

    def __str__(self) -> str:
        rounds = "One round" if self.rounds == 1 else f"Medians of {self.rounds} rounds"
        return f"{rounds} of {self.seconds:g} s a measurement."

    def each_round(self) -> Iterator[int]:
        for number in range(self.rounds):
            log.info("  round %d of %d", number + 1, self.rounds)
            yield number


@dataclass(frozen=True)
class Target:
    """What was wanted, and what was reached."""

    what: str
    wanted: str
    reached: str

    def __str__(self) -> str:
        return f"**{self.what}: {self.reached}** (target: {self.wanted})."


@dataclass
class Section:
    """One measurement, as it is printed: `method` is a paragraph, `tables` are Markdown, `figures` have a name each."""

    title: str
    method: str
    tables: list[str]
    targets: list[Target] = field(default_factory=list)
    figures: dict[str, Figure] = field(default_factory=dict)

    def render(self, figures: str | None = None) -> str:
        """Render Markdown, for a terminal or for the page, which addresses its figures by the folder `figures`.

        The terminal shows the targets too; the page has a table of what was reached at its top.
        """
        pictures = [f"![{name}]({figures}/{name}.svg)" for name in self.figures] if figures else []
        targets = [] if figures else map(str, self.targets)
        return "\n\n".join([f"## {self.title}", self.method, *targets, *filter(None, self.tables), *pictures])


class Material:
    """The classifier under test and the texts that it is asked. Right answers are worked out once for each text."""

    def __init__(self, checkpoint: str, data: Path, folder: Path) -> None:
        self.checkpoint, self.data, self.folder = checkpoint, data, folder
        log.info("exporting %s", checkpoint)
        training = read_texts(data / "sentiment" / "train.jsonl")[:CALIBRATION_TEXTS]
        self.bundles: dict[Precision, Bundle] = make_bundles(checkpoint, training, folder)
        self.texts = read_texts(data / "sentiment" / "test.jsonl")
        self.tokenizer = Tokenizer.from_file(str(self.bundles["int8"].tokenizer_file))
        self.short, self.mixed = short_and_mixed(self.texts, self.bundles["int8"].tokenizer_file)
        self._expected: dict[str, Scores] = {}

    def server(self) -> Server:
        """Our service with the int8 bundle, every setting at its default."""
        (server,) = our_servers({"int8": self.bundles["int8"].path.parents[1]})
        return server

    @property
    def log_file(self) -> Path:
        return self.folder / "server.log"

    def expected(self, texts: Sequence[str]) -> list[Scores]:
        """Return the int8 graph's own answers, without a server."""
        new = [text for text in dict.fromkeys(texts) if text not in self._expected]
        if new:
            self._expected.update(zip(new, int8_scores(self.bundles["int8"], new), strict=True))
        return [self._expected[text] for text in texts]

    def questions(self, texts: Sequence[str], path: str = "/classify", priority: int = 0) -> list[Question]:
        """One request for each text."""
        return [
            Question.of(path, text, classified([scores]), priority)
            for text, scores in zip(texts, self.expected(texts), strict=True)
        ]

    def batch_questions(self, texts: Sequence[str], size: int) -> list[Question]:
        """Requests with `size` texts in each, as many as hold every text equally often."""
        cycle = itertools.cycle(texts)
        requests = math.lcm(len(texts), size) // size
        lists = [list(itertools.islice(cycle, size)) for _ in range(requests)]
        return [Question.of("/classify", each, classified(self.expected(each))) for each in lists]

    def texts_of(self, tokens: int, count: int) -> list[str]:
        """Return `count` texts of exactly `tokens` tokens, special tokens included, cut out of the reviews."""
        return [cut for _, cut in zip(range(count), self._cuts(tokens), strict=False)]

    def _cuts(self, tokens: int) -> Iterator[str]:
        content = tokens - 2
        for text in self.texts:
            offsets = self.tokenizer.encode(text, add_special_tokens=False).offsets
            for start in range(0, len(offsets) - content, content):
                cut = text[offsets[start][0] : offsets[start + content - 1][1]].strip()
                if len(self.tokenizer.encode(cut).ids) == tokens:
                    yield cut


def classified(expected: Sequence[Scores]) -> Check:
    return partial(check_classified, expected)


def check_classified(expected: Sequence[Scores], answer: Any) -> None:
    """Raise `WrongAnswerError` unless each text of a request has the scores expected."""
    for ranked, scores in zip(answer, expected, strict=True):
        check_scores({entry["label"]: entry["score"] for entry in ranked}, scores)


def saturation(server: Running, questions: Sequence[Question], seconds: float) -> float:
    """Warm a server up, and return the most texts per second that it answers."""
    drive(server, closed_loop(questions, SATURATING, WARM_UP_S))
    wait_until_idle(server.pid)
    (answered,) = drive(server, closed_loop(questions, SATURATING, seconds)).streams
    wait_until_idle(server.pid)
    return texts_per_s(answered)


def observed(measure: Callable[[], Section]) -> Section:
    """Measure, and say what share of the machine other processes had meanwhile; ours are this one and its children."""
    machine, ours = machine_cpu_s(), sum(os.times()[:4])
    section = measure()
    used = machine_cpu_s() - machine
    others = max(0.0, used.busy - (sum(os.times()[:4]) - ours)) / max(used.all, 1 / TICKS_PER_S)
    section.tables.append(f"Other processes had {others:.0%} of the machine meanwhile.")
    return section


def median_of(values: Sequence[float], digits: int = 1) -> str:
    """Render the median, and the least and greatest where there are several rounds."""
    middle = f"{statistics.median(values):,.{digits}f}"
    return f"{middle} ({min(values):,.{digits}f}-{max(values):,.{digits}f})" if len(values) > 1 else middle


def parser(description: str) -> argparse.ArgumentParser:
    """The flags that every measurement has."""
    root = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    root.add_argument("--checkpoint", required=True, help="folder of a sentiment classifier that transformers loads")
    root.add_argument("--data", type=Path, required=True, help="folder with sentiment/ and ner/")
    root.add_argument("--rounds", type=int, default=3, help="how often everything is measured (3)")
    root.add_argument("--seconds", type=float, default=3, help="length of one measurement (3)")
    root.add_argument("--work", type=Path, help="keep the exported bundles here and use them again")
    return root


@contextmanager
def prepared(options: argparse.Namespace) -> Iterator[Material]:
    """Set logging up and make the material, in the folder that `options` name or in a temporary one."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    log.setLevel(logging.INFO)
    with nullcontext(options.work) if options.work else tempfile.TemporaryDirectory() as work:
        yield Material(options.checkpoint, options.data, Path(work))


def run_measurement(description: str, measure: Callable[[Material, Plan], Section]) -> None:
    """The command of one measurement: print its section."""
    options = parser(description).parse_args()
    plan = Plan(options.rounds, options.seconds)
    with prepared(options) as material:
        section = observed(lambda: measure(material, plan))
    print(f"{describe_machine()} {plan}\n\n{section.render()}")
