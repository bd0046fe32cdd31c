"""Before a model serves: what a batch costs on this device, and that the largest one fits."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np

from app.engine.cost import LEAST_BUDGET, CostModel, Shape
from app.runtime.cuda.bucket import Room
from app.runtime.cuda.session import CudaSession, out_of_memory
from app.runtime.opening import AnySession
from app.runtime.session import Device, SessionError
from app.window import Floats, Window

LEAST_TRIALS, MOST_TRIALS = 5, 15  # runs to see a gain; noise makes a run slower, so that none is looked for longer
LEAST_GAIN = 0.9  # share of the time of a run; what a replay gains less is not worth its memory
CAPTURED_TOKENS = (16, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)  # rooms to try on a GPU, larger by a half
SHORTEST = (
    16  # tokens of the shortest windows that memory is proved with and rooms are for: heads and results need more
)

# (windows, tokens in each) to time: enough to tell fixed, per-token and attention cost apart on each device. A GPU
# is not filled by less than thousands of tokens, and its cost per token is to be seen only beyond.
WARM_UP_SHAPES: dict[Device, tuple[tuple[int, int], ...]] = {
    "cpu": ((1, 8), (1, 32), (8, 16), (1, 128), (8, 32), (1, 256), (2, 128), (1, 512)),
    "cuda": ((1, 8), (1, 128), (1, 512), (16, 32), (8, 512), (128, 32), (64, 128), (32, 512), (1024, 16), (128, 128)),
}


def warm_up_shapes(device: Device, max_length: int) -> list[tuple[int, int]]:
    """Return the shapes to time, none longer than the model takes."""
    return [(count, min(length, max_length)) for count, length in WARM_UP_SHAPES[device]]


def measure_cost(session: AnySession, max_length: int) -> CostModel:
    """Time a few shapes, the first run of each thrown away, and fit the cost of a batch to them."""
    samples = []
    for count, length in warm_up_shapes(session.device, max_length):
        windows = synthetic_windows(count, length)
        session.run(windows)
        started = time.perf_counter()
        session.run(windows)
        samples.append((Shape.of([len(w) for w in windows]), time.perf_counter() - started))
    return CostModel.fit(samples)


def capture_small_batches(session: CudaSession, max_length: int, *, has_labels: bool, tolerance: float) -> None:
    """Have a GPU replay batches up to the size at which that is faster than a run, and no larger ones.

    To be called when replayers are open and no other session is being opened or run for the first time.

    A room is timed with the least that comes to it, a token more than the room before holds. A vocabulary is
    projected for as many rows as there are windows, labels for every token. Raises `SessionError` where a replay
    answers otherwise than a run, by more than `tolerance` in a logit.
    """
    least = 1
    for tokens in CAPTURED_TOKENS:
        longest = min(tokens, max_length)
        windows = -(-tokens // min(SHORTEST, longest))
        room = Room(tokens, windows, longest, rows=tokens if has_labels else windows)
        batch = unlike_windows(least, min(windows, least))
        session.capture(room, batch)
        if (drift := greatest_difference(session.run(batch), session.run_uncaptured(batch))) > tolerance:
            raise SessionError(f"a replay of {tokens} tokens differs by {drift:.4g} from a run")
        if not is_faster(session.run, session.run_uncaptured, batch):
            session.forget(room)
            break
        least = tokens + 1


def unlike_windows(tokens: int, count: int) -> list[Window]:
    """Return windows of `tokens` tokens together, each nearly as long as the others and unlike its neighbors."""
    lengths = [(tokens + i) // count for i in range(count)]
    return [Window(5 + (i + np.arange(length)) % 32, np.zeros(1, np.int64)) for i, length in enumerate(lengths)]


def greatest_difference(some: Sequence[Floats], others: Sequence[Floats]) -> float:
    """Return by how much two answers to the same windows differ; infinite where one is not a number."""
    difference = float(np.max([np.abs(a - b).max() for a, b in zip(some, others, strict=True)]))
    return np.inf if np.isnan(difference) else difference


def is_faster(
    other: Callable[[Sequence[Window]], object], usual: Callable[[Sequence[Window]], object], windows: Sequence[Window]
) -> bool:
    """Whether `other` gains, by the fastest of some runs of each, taken in turns."""
    fastest = {other: float("inf"), usual: float("inf")}
    for trial in range(1, MOST_TRIALS + 1):
        for run in (usual, other):
            started = time.perf_counter()
            run(windows)
            fastest[run] = min(fastest[run], time.perf_counter() - started)
        if trial >= LEAST_TRIALS and fastest[other] <= LEAST_GAIN * fastest[usual]:
            return True
    return False


def choose_budget(session: AnySession, cost: CostModel, max_length: int, max_batch_tokens: int | None) -> int:
    """Return how many tokens a batch may have: the setting, else what the cost model finds best.

    On CUDA the largest batches are run on every runner at once, so that memory which does not suffice is found
    here. First replays give way; then a budget that was found is halved until it fits, and one that was set raises
    `SessionError`.
    """
    budget = max_batch_tokens or cost.token_budget()
    if not isinstance(session, CudaSession):
        return budget
    while not all(session.prove(windows) for windows in largest_batches(budget, max_length)):
        if session.has_replayers:
            session.close_replayers()
        elif max_batch_tokens or budget <= LEAST_BUDGET:
            raise out_of_memory(f"{session.options.runners} batches of {budget} tokens at once")
        else:
            budget = max(LEAST_BUDGET, budget // 2)
    return budget


def largest_batches(budget: int, max_length: int) -> list[Sequence[Window]]:
    """Return batches of the longest windows, which need most memory for attention, and of the most, for heads.

    The longest window runs even where it is over the budget.
    """
    lengths = (max_length, min(SHORTEST, max_length))
    return [synthetic_windows(max(1, budget // length), length) for length in lengths]


def synthetic_windows(count: int, length: int) -> Sequence[Window]:
    """Windows of `length` tokens that say nothing; token ids from 5 up are in every vocabulary we serve."""
    ids = 5 + np.arange(length, dtype=np.int64) % 32
    return [Window(ids, np.zeros(1, np.int64))] * count
