"""What the page's views beside the question are tested with: models, a card, and metrics that a test writes."""

from __future__ import annotations

from app.tasks.classify import ClassifyRequest
from tests.support.browser import Written

CARD = """---
license: mit
---
# A card

Some **bold** words, `code`, [a link](https://example.org/a_b), [a trap](javascript:alert(1)).
<script>document.title = "broken into"</script><img src=x onerror="document.title = 'broken into'">
![a picture](https://example.org/p.png)

| metric | int8 |
|---|---|
| f1 | 0.7 |

- one
  - nested
- two

```json
{"a": 1}
```
"""
MODELS = [
    {"name": "first", "state": "ready", "version": 2, "route": "/say", "routes": ["/say"], "metrics": {"f1": 0.75}}
    | {"thresholds": {"spam": 0.4, "ham": 0.9}, "refused": {"3": "config.json is missing"}, "note": "an older one"},
    {"name": "second", "state": "ready", "version": 1, "route": "/say", "routes": ["/say"]},
    {"name": "third", "state": "failed", "refused": {"1": "tokenizer.json was altered"}},
]
LABELS = [{"label": "spam", "score": 0.5}, {"label": "ham", "score": 0.5}, {"label": "other", "score": 0.1}]


def metrics(requests: int, errors: int = 0) -> str:
    """Return an exposition in which each request took from 10 to 20 ms."""
    bounds = [("0.01", 0), ("0.02", requests), ("+Inf", requests)]
    return "\n".join(
        [
            "# HELP roberta_requests_total Requests.",
            f'roberta_requests_total{{code="200",model="a \\"b\\" }}",task="say"}} {requests}.0',
            f'roberta_requests_total{{code="429",model="first",task="say"}} {errors}.0',
            *(f'roberta_request_duration_seconds_bucket{{le="{le}",model="first"}} {n}.0' for le, n in bounds),
            f'roberta_batch_sequences_sum{{model="first"}} {3 * requests}.0',
            f'roberta_batch_sequences_count{{model="first"}} {requests}.0',
            "roberta_queue_requests 4.0",
            'roberta_engine_up{engine="0"} 1.0',
            'roberta_engine_up{engine="1"} 0.0',
            'roberta_rejected_total{reason="queue_full"} 7.0',
        ]
    )


def fill(service: Written) -> Written:
    """Have a written service begin anew: a route `say` that two models answer, a card, and ten requests so far."""
    service.__init__({"say": (ClassifyRequest, {"inputs": "An example."})}, MODELS, lambda *_: [LABELS])
    service.texts = {"models/first/card": CARD, "metrics": metrics(10)}
    return service
