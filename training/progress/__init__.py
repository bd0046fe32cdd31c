"""What a person sees of a command that takes minutes: a row for each phase, and how far the running one is."""

from training.progress.phases import Phases
from training.progress.steps import count, track

__all__ = ["Phases", "count", "track"]
