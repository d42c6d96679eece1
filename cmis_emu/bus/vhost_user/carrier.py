"""A ring that runs: the thread that waits for the guest's kick, carries requests to the adapter and answers back.

Owns an end at any moment. A module may stretch the clock and hold the thread for long; the front end, with all of its
guest behind it, must not wait for that. Whoever stops a carrier gets the position of the first request that is not
answered, and the guest's memory is not touched any more from then on.
"""

from __future__ import annotations

import logging
import os
import select
import threading
from collections.abc import Callable
from typing import Final

from cmis_emu.bus.vhost_user.adapter import Adapter
from cmis_emu.bus.vhost_user.errors import ProtocolError
from cmis_emu.bus.vhost_user.events import Call, Kick
from cmis_emu.bus.vhost_user.memory import Memory
from cmis_emu.bus.vhost_user.requests import BUFFERS_MAX, Request, Requests, answer
from cmis_emu.bus.vhost_user.ring import Ring

_LOG = logging.getLogger(__name__)
_EVENTS: Final = 2  # that there can be: a kick, and a stop
BATCH_MAX: Final = 64  # requests between two looks at whether to stop


class Carrier:
    """Runs `ring` until `stop`. `failed` is told why when the guest breaks the protocol."""

    def __init__(
        self, ring: Ring, adapter: Adapter, kick: Kick, call: Call | None, failed: Callable[[str], None]
    ) -> None:
        self._ring = ring
        self._requests = Requests()
        self._adapter = adapter
        self._call = call
        self._failed = failed
        self._answered = ring.position
        self._guard = threading.Lock()  # of all that is the guest's, and of what is below
        self._barrier = threading.Lock()
        self._stopped = False
        self._over = False
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._poll = select.epoll()
        self._poll.register(self._wake, select.EPOLLIN)
        kick.wait_on(self._poll)
        threading.Thread(target=self._run, name="cmis-emu vhost-user ring", daemon=True).start()

    def stop(self) -> int:
        """Touch nothing any more. Returns the position of the first request that is not answered."""
        self._adapter.abandon()
        with self._guard:
            self._stopped = True
            if not self._over:
                os.eventfd_write(self._wake, 1)
            return self._answered

    def move(self, memory: Memory) -> None:
        """The guest's memory is mapped anew. Raises ProtocolError."""
        with self._guard:
            self._ring.move(memory)
            self._requests.forget()

    def tell_by(self, call: Call | None) -> None:
        """Use another call from now on, and at once: what the last one said may have been lost."""
        with self._guard:
            self._call = call
            if call is not None:
                call.ring()

    def _run(self) -> None:
        try:
            with self._guard:
                self._ring.listen()
            while self._serve():
                self._poll.poll(-1, _EVENTS)
        except ProtocolError as error:
            self._failed(str(error))
        except Exception:
            _LOG.exception("a ring failed")
            self._failed("an error of this emulator's own")
        finally:
            with self._guard:
                self._over = True
                os.close(self._wake)
                self._poll.close()
            self._adapter.give_up()

    def _serve(self) -> bool:
        """Serve what is available. False when stopped."""
        while True:
            with self._guard:
                if self._stopped:
                    return False
                requests = self._collect()  # taking the guard was the barrier after the last `listen`
            if not requests:
                return True
            if not self._answer(requests, self._adapter.run(requests)):
                return False

    def _answer(self, requests: list[Request], found: list[bytes | None]) -> bool:
        """Show the guest what came of its requests, and tell it, both or neither. False when stopped."""
        ring = self._ring
        with self._guard:
            if self._stopped:
                return False
            done = [(each.chain.head, answer(each, data)) for each, data in zip(requests, found, strict=True)]
            ring.publish(done)
            self._answered = ring.position
            with self._barrier:  # between what is published and the look at what the driver waits for
                pass
            if ring.interrupt() and self._call is not None:
                self._call.ring()
        return True

    def _collect(self) -> list[Request]:
        ring, request_of = self._ring, self._requests.of
        count = ring.waiting()
        if not count:
            return []
        requests = [request_of(ring.take()) for _ in range(min(count, BATCH_MAX))]
        ring.listen()
        if requests[-1].goes_on and not ring.room((each.chain for each in requests), BUFFERS_MAX):
            # Linux has no place for the rest of the transfer and drops it, so nothing will end what has begun here.
            requests[-1] = requests[-1]._replace(goes_on=0)
        return requests
