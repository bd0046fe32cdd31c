"""Opening a bundle for many inputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.bulk.asking import Asking
from app.bulk.batching import BATCH_TOKENS
from app.bulk.predicting import Predictor
from app.bundle import Bundle, BundleError
from app.runtime.session import SessionError, open_session
from app.serving.local_engine import choose_device
from app.serving.proving import prove
from app.settings import Settings


def open_predictor(
    bundle: Bundle, settings: Settings, options: Mapping[str, Any] | None = None, *, is_strict: bool = False
) -> Predictor:
    """Open a bundle, check it, and return what answers inputs by it; `options` are its task's, as in a request's body.

    Raises `BundleError` where the model cannot be used, `SessionError` for a device that is not there,
    `InvalidRequestError` for an option that the task does not take.
    """
    device = choose_device(settings)
    many = settings.model_copy(update={"idle_threads": 1, "cuda_graphs": False})  # what helps small batches alone
    try:
        session = open_session(bundle, device, many)
    except SessionError as error:
        raise BundleError(str(error)) from error
    task = prove(bundle, session, None, settings.max_batch_tokens or BATCH_TOKENS[device])
    return Predictor(
        task,
        session,
        Asking(task, options or {}),
        settings.runners_on(device),
        most_characters=settings.max_characters,
        is_strict=is_strict,
    )
