"""Which device a model is fetched for: it decides between fp32 and fp16."""

from __future__ import annotations

from typing import Literal

Device = Literal["cpu", "cuda"]


def device_for(wanted: Literal["auto", "cpu", "cuda"]) -> Device:
    """Return the device that the service will run on."""
    if wanted != "auto":
        return wanted
    from app.runtime.session import available_devices  # onnxruntime, which only a machine of this kind has to be asked

    return available_devices()[0]
