"""Smaller models from trained ones: students, what a teacher teaches them, and what each variant costs."""

from training.compression.soft_targets import TEACHER_LOGITS, SoftTargets
from training.compression.student import make_student
from training.compression.teacher import load_teacher

__all__ = ["TEACHER_LOGITS", "SoftTargets", "load_teacher", "make_student"]
