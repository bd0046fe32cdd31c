"""What is wrong with data, before a model is trained on it."""

from training.checking.check import check
from training.checking.findings import Finding, Severity
from training.checking.table import show

__all__ = ["Finding", "Severity", "check", "show"]
