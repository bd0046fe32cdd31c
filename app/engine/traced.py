"""What the engine adds to the traces of requests: how long each waited, and the batches that ran its windows."""

from __future__ import annotations

from app.engine.work import Batch, Ticket


def trace_wait(ticket: Ticket, now: float) -> None:
    """Add the wait of a request that is finished, until its first window was started, to its trace."""
    if ticket.trace is not None:
        ended = now if ticket.started is None else ticket.started
        error = ticket.error.code if ticket.error is not None and ticket.started is None else ""
        ticket.trace.stage("queue", ticket.arrival, ended, error=error, tokens=ticket.tokens)


def trace_batch(batch: Batch, began: float, ended: float, error: str = "") -> None:
    """Add a forward pass, or one that failed, to the traces of the requests that it ran windows of."""
    traces = [trace for ticket in {item.ticket: None for item in batch.items} if (trace := ticket.trace) is not None]
    if traces:
        first, *others = traces
        tokens, computed = batch.shape.tokens, batch.computed_tokens
        first.batch(
            others, began, ended, error=error, model=batch.lane.name, windows=len(batch.items), tokens=tokens,
            computed_tokens=computed,
        )  # fmt: skip
