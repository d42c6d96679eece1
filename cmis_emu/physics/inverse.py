"""Where a law that falls with a level has a given value."""

from __future__ import annotations

from collections.abc import Callable

HALVINGS = 60  # to the last digit of a double


def level_db_of(law: Callable[[float], float], value: float, low_db: float, high_db: float) -> float:
    """The level in dB, between two others, at which a falling `law` gives `value`; the nearer end where none does."""
    for _ in range(HALVINGS):
        middle = (low_db + high_db) / 2
        low_db, high_db = (middle, high_db) if law(middle) > value else (low_db, middle)
    return (low_db + high_db) / 2
