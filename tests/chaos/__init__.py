"""Faults, overload and attacks on the real command: `python -m tests.chaos`, one table of what became of every request.

`scenarios/` has a module for each family of faults; a further class of `Scenario` in it is found without being named
anywhere else. Every answer is compared with what the same request gives alone, every refusal with the errors that
docs/reference.md promises.
"""
