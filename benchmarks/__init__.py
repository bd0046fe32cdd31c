"""Measurements that print tables. Nothing here asserts a speed; a wrong answer ends a run."""
