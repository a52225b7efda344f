"""What is done step by step, done at once."""

from __future__ import annotations


def returned(steps):
    """What a generator returns."""
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return stop.value
