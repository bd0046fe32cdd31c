"""Fuzzing of everything that reads what others wrote: bundles, requests, heads, keys, frames and labeled data.

`harnesses/` has a class for each reader. `python -m tests.fuzz` gives them random bytes for as long as told, through
atheris; `test_corpus.py` gives them the files of `corpus/`, which were found that way or written by hand.
"""
