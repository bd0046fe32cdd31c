"""The service without HTTP, inside this process: the same models, batches, deadlines and errors.

python examples/embed.py models "A warm, funny and beautifully acted film." "The battery died after two days."
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from app.service import Service
from app.settings import Settings


async def classify(models: Path, texts: Sequence[str]) -> list[Any]:
    """Return labels with scores for each text. What is asked side by side shares batches.

    Raises `NotReadyError` when no bundle under `models` can be served, and what `Service.answer` raises.
    """
    async with Service(Settings(models=models)) as service:  # loads, checks and warms up every bundle
        answers = await asyncio.gather(*(service.answer("classify", {"inputs": text}) for text in texts))
    return [json.loads(answer.content)[0] for answer in answers]


def main() -> None:
    models, *texts = sys.argv[1:]
    for text, ranked in zip(texts, asyncio.run(classify(Path(models), texts)), strict=True):
        sys.stdout.write(f"{ranked[0]['label']} ({ranked[0]['score']:.3f})  {text}\n")


if __name__ == "__main__":
    main()
