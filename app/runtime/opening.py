"""Opening the graph that a device runs best."""

from __future__ import annotations

from app.bundle import Bundle
from app.runtime.cuda.session import CudaOptions, CudaSession
from app.runtime.session import Device, Session, choose_precision
from app.settings import Settings

AnySession = Session | CudaSession


def open_session(bundle: Bundle, device: Device, settings: Settings) -> AnySession:
    """Open the precision of the bundle that `device` runs best. Raises `SessionError` where none can be opened."""
    precision = choose_precision(bundle, device)
    if device == "cpu":
        return Session(bundle, precision, settings.intra_op_threads)
    options = CudaOptions(tuple(settings.gpus), settings.runners_on(device), settings.gpu_memory_limit_mb)
    return CudaSession(bundle, precision, options)
