"""When a fault strikes: which of its occasions are taken. Every layer that can misbehave asks here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from cmis_emu.physics.noise import uniform


@dataclass(slots=True)
class Occasions:
    """Which of the occasions to misbehave are taken: the first `skip` not, then each `every`-th, by chance.

    What is meant by an occasion, a transaction, a sample, an apply, is the action's to say. `count`: after that many
    the fault is spent. Chance is a hash of seed, channel and number, so that runs with the same seed agree.
    """

    seed: int = 0
    channel: int = 0
    skip: int = 0
    every: int = 1
    count: int | None = None
    probability: float = 1.0
    seen: int = 0
    taken: int = 0
    on_taken: Callable[[], None] | None = field(default=None, repr=False)

    def due(self) -> bool:
        """Would the next occasion be taken? Asking counts nothing."""
        number = self.seen
        if self.spent or number < self.skip or (number - self.skip) % self.every:
            return False
        return self.probability >= 1.0 or uniform(self.seed, self.channel, number) < self.probability

    def take(self) -> bool:
        """An occasion is here: is it taken? Asked once for each."""
        taken = self.due()
        self.seen += 1
        if not taken:
            return False
        self.taken += 1
        if self.on_taken is not None:
            self.on_taken()
        return True

    def chance(self) -> float:
        """A number between 0 and 1 that belongs to the next occasion, for what chance decides about it."""
        return uniform(self.seed, ~self.channel, self.seen)

    @property
    def spent(self) -> bool:
        """Nothing is taken any more."""
        return self.count is not None and self.taken >= self.count

    def __deepcopy__(self, memo: object) -> Occasions:
        return self  # counted by the scenario, which no snapshot of modules takes back
