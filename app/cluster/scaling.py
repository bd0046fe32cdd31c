"""How many replicas there should be: a policy for Ray Serve's autoscaling that looks at the engines' own queues.

Requests in flight, which Ray counts by itself, say little: one may be a word, or a thousand long texts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ray.serve.config import AutoscalingContext

QUEUE, BUSY = "queue_tokens", "busy"  # what a replica reports: see `app.cluster.load`
TOLERANCE = 0.1  # as of Kubernetes' HorizontalPodAutoscaler: a smaller deviation from a target changes nothing


class ByQueue:
    """Aims at `queue_target` tokens that wait in each engine, and `busy_target` of its runners' time spent in batches.

    Whichever asks for more replicas decides. Bounds and delays are those of Ray's `autoscaling_config`.
    """

    def __init__(self, queue_target: float = 4096.0, busy_target: float = 0.7) -> None:
        self._targets = {QUEUE: queue_target, BUSY: busy_target}

    def __call__(self, context: AutoscalingContext) -> tuple[float, dict[str, Any]]:
        running = context.current_num_replicas
        if not running:
            return context.target_num_replicas, {}
        measured = context.aggregated_metrics or {}
        return self.replicas({name: values.values() for name, values in measured.items()}, running), {}

    def replicas(self, measured: Mapping[str, Iterable[float]], running: int) -> float:
        """Return how many replicas bring each measure to its target, or below it.

        A replica that has not reported yet counts as one that is at its targets.
        """
        ratios = []
        for name, target in self._targets.items():
            values = list(measured.get(name, ()))[:running]
            ratios.append((sum(values) / target + running - len(values)) / running)
        ratio = max(ratios)
        return float(running) if abs(ratio - 1) <= TOLERANCE else running * ratio
