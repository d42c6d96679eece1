"""Fibres between ports: which Tx lane shines into which Rx lane, and through how much loss.

A fibre here is a trunk that joins lane k of one end with lane k of the other, both ways; with both ends at
one port it is a loop-back. The loss belongs to the whole path, connectors included.
"""

from __future__ import annotations

import threading

from cmis_emu.clock import Clock
from cmis_emu.errors import InputError
from cmis_emu.module.module import Module
from cmis_emu.physics.fibre import Strand, nominal_loss_db
from cmis_emu.physics.light import LinkedLight
from cmis_emu.testbed import FibrePlan


class Fibre:
    """One cable of a testbed. `loss_db`, `cut` and `restore` act on every lane, both ways."""

    def __init__(self, plan: FibrePlan, clock: Clock, lock: threading.RLock) -> None:
        self.name = plan.name
        self.source = plan.source
        self.destination = plan.destination
        self._clock = clock
        self._lock = lock
        self._loss_db = nominal_loss_db(plan.length_m) if plan.loss_db is None else plan.loss_db
        self._is_cut = False
        self._paths: list[Strand] = []

    @property
    def loss_db(self) -> float:
        """Loss of each lane from end to end, in dB."""
        return self._loss_db

    @loss_db.setter
    def loss_db(self, loss_db: float) -> None:
        if loss_db < 0:
            raise InputError(f"{loss_db} dB", "a loss of 0 dB or more", field="loss_db")
        with self._lock:
            self._clock.sync()
            self._loss_db = loss_db
            for path in self._paths:
                path.loss_db = loss_db

    @property
    def is_cut(self) -> bool:
        """True between `cut` and `restore`."""
        return self._is_cut

    def cut(self) -> None:
        """No light passes any more, either way."""
        self._set_cut(True)

    def restore(self) -> None:
        """Mend a cut; the loss is what it was."""
        self._set_cut(False)

    def _set_cut(self, cut: bool) -> None:
        with self._lock:
            self._clock.sync()
            self._is_cut = cut
            for path in self._paths:
                path.cut = cut

    def state(self) -> tuple[float, bool, list[Strand]]:
        """What a snapshot keeps."""
        return self._loss_db, self._is_cut, self._paths

    def restore_state(self, state: tuple[float, bool, list[Strand]]) -> None:
        """Go back to a kept state."""
        self._loss_db, self._is_cut, self._paths = state

    def connect(self, near: Module | None, far: Module | None) -> None:
        """Join the modules that sit at the two ends now; an empty end leaves the other dark."""
        self._paths = []
        directions = [(near, far)] if near is far else [(near, far), (far, near)]
        for transmitter, receiver in directions:
            if receiver is None:
                continue
            for lane in range(1, receiver.plant.parameters.media_lanes + 1):
                if transmitter is None or lane > transmitter.plant.parameters.media_lanes:
                    receiver.plant.set_light_source(lane, None)
                    continue
                path = Strand(self._loss_db)
                path.cut = self._is_cut
                self._paths.append(path)
                receiver.plant.set_light_source(lane, LinkedLight(transmitter.plant.tx_source(lane), path))
