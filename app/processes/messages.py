"""What workers and engines say to each other, as msgpack. Arrays travel as raw bytes, times as `time.monotonic()`."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from app.engine.backlog import Backlog, Price
from app.errors import InternalError, ServeError
from app.tracing import Carrier, Trace
from app.window import Floats, Ranking, Window

IDS = np.dtype("<i8")  # token ids and positions
LOGITS = np.dtype("<f4")

ERRORS: dict[str, type[ServeError]] = {kind.code: kind for kind in ServeError.__subclasses__()}


class Message(msgspec.Struct, array_like=True, gc=False):
    """Base of all messages. A message is an array: a tag for its kind, then its fields in order."""


# --- From a worker to an engine ---------------------------------------------------------------------------


class WireRanking(Message):
    """What is kept of wide rows; `columns` are int64 (chosen,)."""

    best: int
    temperature: float
    columns: bytes | None

    @classmethod
    def of(cls, ranking: Ranking) -> WireRanking:
        columns = ranking.columns
        return cls(ranking.best, ranking.temperature, None if columns is None else columns.tobytes())

    def ranking(self) -> Ranking:
        columns = None if self.columns is None else np.frombuffer(self.columns, IDS)
        return Ranking(self.best, self.temperature, columns)


class WireWindow(Message):
    """A window as bytes: int64 ids (tokens,), head rows (rows,), and token types (tokens,) where there are any."""

    ids: bytes
    rows: bytes
    types: bytes | None

    @classmethod
    def of(cls, window: Window) -> WireWindow:
        types = window.token_type_ids
        return cls(
            window.input_ids.tobytes(),
            window.head_rows.tobytes(),
            None if types is None else types.tobytes(),
        )

    def window(self, ranking: Ranking | None) -> Window:
        types = None if self.types is None else np.frombuffer(self.types, IDS)
        return Window(np.frombuffer(self.ids, IDS), np.frombuffer(self.rows, IDS), types, ranking)


class Submit(Message, tag=0):
    """Run `windows` with a model, by its key. `number` tells the requests of one worker apart.

    All windows of a request share its `ranking`.
    """

    number: int
    model: str
    deadline: float
    priority: int
    windows: list[WireWindow]
    ranking: WireRanking | None
    carrier: Carrier | None = None  # of a request whose trace is sampled

    @classmethod
    def of(
        cls,
        number: int,
        model: str,
        windows: Sequence[Window],
        deadline: float,
        priority: int,
        trace: Trace | None = None,
    ) -> Submit:
        ranking = windows[0].ranking if windows else None
        wired = None if ranking is None else WireRanking.of(ranking)
        carrier = None if trace is None else trace.carrier
        return cls(number, model, deadline, priority, [WireWindow.of(window) for window in windows], wired, carrier)

    def unpack(self) -> list[Window]:
        ranking = None if self.ranking is None else self.ranking.ranking()
        return [window.window(ranking) for window in self.windows]


class Cancel(Message, tag=1):
    """Nobody waits for this request any more."""

    number: int


class Refresh(Message, tag=2):
    """Set the gauges that are measured at scrape time, and answer with `Refreshed`."""

    number: int


class OrderMessage(Message, tag=3):
    """Do what an operator orders, and answer with `Ordered`; see `app.serving.orders.Order`."""

    number: int
    action: str
    name: str
    version: int | None
    route: str | None


class Holding(Message, tag=4):
    """Having seen the table of this number, the worker may ask for these models, and for those of the table."""

    table: int
    keys: list[str]


ToEngine = Submit | Cancel | Refresh | OrderMessage | Holding


# --- From an engine to a worker ---------------------------------------------------------------------------


class ServedModel(Message):
    """A model that the engine has proved: all that a worker needs, but for two files that it reads by itself.

    These are the tokenizer, of which it opens the kept copy, and the model card in the folder `path`: with the cards of
    many models a table would be too long to send. `fingerprint` is that of `app.bundle.Bundle`. `key` names the model
    in requests: two of the same name and version, but of another content, have different keys.
    """

    key: str
    path: str
    tokenizer: str  # path of the copy, whose name is its SHA-256
    manifest: bytes  # JSON
    config: bytes  # JSON
    verified: bool
    precision: str
    provider: str
    max_batch_tokens: int
    fingerprint: str


class ModelRow(Message):
    """One name under `models/`."""

    name: str
    model: ServedModel | None
    refused: dict[int, str]
    note: str | None
    is_unloaded: bool


class ModelTable(Message, tag=0):
    """What the engine serves: sent when a worker connects, and after every load. Without rows it is still loading.

    `number` counts the tables of an engine. `defaults` and `blocked` are those of `app.serving.defaults.Defaults`,
    `problems` those of the table.
    """

    number: int
    device: str
    rows: list[ModelRow] | None
    defaults: dict[str, str]
    blocked: dict[str, str]
    problems: list[str]


class Outputs(Message, tag=1):
    """The outputs of a request: (rows, width) for each window, and the float32 of them all, one after the other.

    What does not fit in one frame follows in `MoreOutputs`.
    """

    number: int
    shapes: list[tuple[int, int]]
    queue_s: float
    forward_s: float
    data: bytes
    ended: float = 0.0  # when the last batch ended


class MoreOutputs(Message, tag=2):
    """More data of outputs that have begun."""

    number: int
    data: bytes


class Refused(Message, tag=3):
    """The error that a request is answered with."""

    number: int
    code: str
    message: str
    retry_after_s: float | None


class Refreshed(Message, tag=4):
    """The gauges are set, as `Refresh` asked."""

    number: int


class Heartbeat(Message, tag=5):
    """Sent at an interval: the engine's event loop is alive. `problem` is None while its runners make progress, too.

    An engine that loads may be silent for longer than another.
    """

    problem: str | None
    is_loading: bool


class Ordered(Message, tag=6):
    """An order is obeyed: `content`, JSON, is what is served then. Where it is not, `error` says why."""

    number: int
    content: bytes
    error: Refused | None


class QueueState(Message, tag=7):
    """What waits in the engine, and what windows cost each model, by its key; without a backlog nothing is refused.

    Sent while the queue is not short, with replies, some fifty times a second at most.
    """

    backlog: Backlog | None
    prices: dict[str, Price]


ToWorker = Ordered | ModelTable | Outputs | MoreOutputs | Refused | Refreshed | Heartbeat | QueueState


def refusal(number: int, error: ServeError) -> Refused:
    return Refused(number, error.code, error.message, error.retry_after_s)


def rebuild(refused: Refused) -> ServeError:
    """Return the error that an engine refused a request with."""
    return ERRORS.get(refused.code, InternalError)(refused.message, refused.retry_after_s)


def join_outputs(outputs: Sequence[Floats]) -> tuple[list[tuple[int, int]], bytes]:
    """Return the shapes of arrays (rows, width) and their bytes, one after the other."""
    return [(len(o), o.shape[1]) for o in outputs], b"".join([o.astype(LOGITS, copy=False).tobytes() for o in outputs])


def split_outputs(shapes: Sequence[tuple[int, int]], data: bytes | bytearray) -> list[Floats]:
    """Undo `join_outputs`. Raises `ValueError` when there are not as many bytes as the shapes say."""
    flat = np.frombuffer(data, LOGITS)
    if len(flat) != sum(rows * width for rows, width in shapes):
        raise ValueError("the outputs have another size than was announced")
    outputs, start = [], 0
    for rows, width in shapes:
        outputs.append(flat[start : start + rows * width].reshape(rows, width))
        start += rows * width
    return outputs
