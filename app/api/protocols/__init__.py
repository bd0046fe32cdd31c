"""Protocols of other services on which this one answers too: each is a door beside the service's own paths."""

from __future__ import annotations

from app.api.protocols.open_inference import OpenInference
from app.api.protocols.platforms import Platforms

DOORS = (OpenInference, Platforms)
