"""What every way onto a bus must do, whoever carries the bytes: one suite, run for each way by inheritance.

A way's test class gives `host`, a new host of its kind on a bus of the emulator at hand; a way whose emulator can be
another process gives `serve` too. Offsets and values are typed from the standard.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Protocol

import pytest

from cmis_emu import Emulator, ManualClock

A = 0x50
ABSENT = 0x51
DR4 = "qsfpdd-400g-dr4"
SOON_S = 30.0
LOS_RX, LOL_RX = 147, 148  # page 11h, clear on read
DP_DEINIT_PAGE, STATE_PAGE = 0x10, 0x11
WRITE_MAX = 8  # data bytes of one write


class Host(Protocol):
    """A program on one bus."""

    def transfer(self, *messages: tuple[int, bytes | int]) -> list[bytes]:
        """One combined transfer of (address, data to write or length to read). Raises OSError."""
        ...

    def close(self) -> None: ...


class Server(Protocol):
    """An emulator in a process of its own."""

    process: subprocess.Popen[str]

    def host(self) -> Host: ...


def fails(host: Host, *messages: tuple[int, bytes | int]) -> str:
    """Name of the errno that a transfer fails with."""
    with pytest.raises(OSError) as failure:  # noqa: PT011 - its errno is looked at
        host.transfer(*messages)
    assert failure.value.errno is not None
    return errno.errorcode[failure.value.errno]


def read(host: Host, offset: int, length: int = 1) -> bytes:
    """Set the address and read, in one transfer."""
    return host.transfer((A, bytes([offset])), (A, length))[0]


def read_page(host: Host, page: int, offset: int, length: int = 1) -> bytes:
    """Select a page, set the address and read, in one transfer."""
    return host.transfer((A, bytes([126, 0, page])), (A, bytes([offset])), (A, length))[0]


class BusContract:
    """For every way."""

    absent = "ENXIO"
    """What a host is told when nobody acknowledges its address, by a way that can tell."""

    @pytest.fixture
    def emu(self) -> Iterator[Emulator]:
        """Two modules on buses 1 and 2 that have come to rest, on time that stands."""
        ports = {name: {"profile": DR4, "bus": bus} for name, bus in (("a", 1), ("b", 2))}
        fibres = {"a-b": {"from": "a", "to": "b"}}
        with Emulator.load({"version": 1, "ports": ports, "fibres": fibres}, ManualClock(), seed=1) as emulator:
            emulator.settle()
            yield emulator

    def open(self, emu: Emulator, bus: int) -> Host:
        """A new host on a bus of `emu`."""
        raise NotImplementedError

    @pytest.fixture
    def new(self, emu: Emulator) -> Iterator[Callable[..., Host]]:
        """Make hosts; they are closed at the end."""
        with ExitStack() as opened:

            def new(bus: int = 1) -> Host:
                host = self.open(emu, bus)
                opened.callback(host.close)
                return host

            yield new

    @pytest.fixture
    def host(self, new: Callable[..., Host]) -> Host:
        return new()

    def test_an_absent_address(self, host: Host) -> None:
        for address in (ABSENT, 0x08, 0x77):
            assert fails(host, (address, b"\x00")) == self.absent
            assert fails(host, (address, b"")) == self.absent
            assert fails(host, (address, 1)) == self.absent
            assert fails(host, (A, b"\x00"), (address, 1)) == self.absent
            assert fails(host, (address, b"\x00"), (A, 1)) == self.absent
        host.transfer((A, b""))
        assert read(host, 0) == b"\x18"

    def test_a_module_that_is_pulled_and_plugged(self, emu: Emulator, host: Host) -> None:
        assert read(host, 0) == b"\x18"
        emu.ports["a"].remove()
        assert fails(host, (A, b"\x00"), (A, 1)) == self.absent
        emu.ports["a"].insert(DR4)
        emu.settle()
        assert read(host, 0) == b"\x18"

    def test_a_data_byte_that_is_not_acknowledged(self, emu: Emulator, host: Host) -> None:
        host.transfer((A, bytes([126, 0, DP_DEINIT_PAGE])))
        values = bytes(range(0x10, 0x19))
        assert fails(host, (A, bytes([145]) + values)) == "EIO"  # a byte more than the module takes
        module = emu.ports["a"].module
        assert module.peek(DP_DEINIT_PAGE, 145, 9)[:WRITE_MAX] == values[:WRITE_MAX]
        assert module.peek(DP_DEINIT_PAGE, 153, 1) != values[WRITE_MAX:]
        host.transfer((A, bytes([145]) + values[:WRITE_MAX]))
        assert read(host, 145, 8) == values[:WRITE_MAX]

    def test_reads_of_1_to_128_bytes(self, emu: Emulator, host: Host) -> None:
        module = emu.ports["a"].module
        host.transfer((A, bytes([126, 0, 0])))
        for start, page in ((0, -1), (128, 0)):
            whole = module.peek(0, start, 128) if page == 0 else None
            for length in range(1, 129):
                found = read(host, start, length)
                assert len(found) == length
                if whole is not None:
                    assert found == whole[:length]

    def test_a_read_goes_on_where_the_last_one_ended(self, host: Host) -> None:
        whole = read(host, 128, 128)
        host.transfer((A, b"\x80"))
        assert b"".join(host.transfer((A, 40))[0] for _ in range(3)) == whole[:120]
        assert host.transfer((A, 5), (A, 5)) == [whole[120:125], whole[125:] + whole[:2]]

    def test_a_long_read_comes_round(self, host: Host) -> None:
        whole = read(host, 128, 128)
        assert read(host, 128, 300) == (whole * 3)[:300]

    def test_a_flag_clears_when_its_byte_was_read_and_no_other(self, emu: Emulator, host: Host) -> None:
        module = emu.ports["a"].module
        host.transfer((A, bytes([126, 0, STATE_PAGE])))

        def both() -> tuple[int, ...]:
            return tuple(module.peek(STATE_PAGE, LOS_RX, 2))

        def latch() -> None:
            with emu.lock:
                for name in ("LOSFlagRx", "CDRLOLFlagRx"):
                    module.flags.latch(module.memory.cell(name), 0xFF)
            assert both() == (0xFF, 0xFF)

        latch()
        read(host, LOS_RX - 20, 20)  # up to the byte before
        assert both() == (0xFF, 0xFF)
        assert read(host, LOS_RX) == b"\xff"
        assert both() == (0, 0xFF)
        assert read(host, LOS_RX) == b"\x00"
        assert host.transfer((A, 1)) == [b"\xff"]  # the next one, from where the address is
        assert both() == (0, 0)
        latch()
        assert fails(host, (A, bytes([LOS_RX])), (ABSENT, 1)) == self.absent
        assert both() == (0xFF, 0xFF)
        assert read(host, LOS_RX - 1, 3)[1:] == b"\xff\xff"
        assert both() == (0, 0)

    def test_pages(self, emu: Emulator, host: Host) -> None:
        module = emu.ports["a"].module
        for page in (0x00, 0x01, 0x02, 0x10, 0x11, 0x00):
            assert read_page(host, page, 128, 4) == module.peek(page, 128, 4)
            assert read(host, 126, 2) == bytes([0, page])
        host.transfer((A, bytes([126, 0, 0xEE])))  # there is none
        assert read(host, 126, 2) == b"\x00\x00"

    def test_buses_are_apart(self, emu: Emulator, new: Callable[..., Host]) -> None:
        one, two = new(1), new(2)
        one.transfer((A, bytes([126, 0, 0x10])))
        two.transfer((A, bytes([126, 0, 0x01])))
        emu.ports["a"].remove()
        assert fails(one, (A, b"\x00"), (A, 1)) == self.absent
        assert read(two, 127) == b"\x01"

    def test_two_programs_at_once(self, emu: Emulator, new: Callable[..., Host]) -> None:
        failures: list[BaseException] = []
        module = emu.ports["a"].module
        expected = {page: module.peek(page, 128, 16) for page in (0x00, 0x01)}

        def work(host: Host, page: int) -> None:
            try:
                for _ in range(150):
                    assert read_page(host, page, 128, 16) == expected[page]  # nobody came in between
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=work, args=(new(), page)) for page in expected]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(SOON_S)
            assert not thread.is_alive()
        assert not failures, failures


class ServedContract(BusContract):
    """For ways that lead from process to process: what holds when one of them dies."""

    way = ""
    """What `cmis-emu run --serve` gets, if anything."""

    def reach(self, folder: Path, bus: int) -> Host:
        """A new host on a bus of `cmis-emu run`, which was started with `folder` and `way`."""
        raise NotImplementedError

    def kill(self, host: Host) -> None:
        """The host dies at once, in mid-transfer if the way has a middle."""
        raise NotImplementedError

    @contextmanager
    def run(self, folder: Path) -> Iterator[subprocess.Popen[str]]:
        """`cmis-emu run` in a process of its own."""
        env = {**os.environ, "CMIS_EMU_RUNTIME_DIR": str(folder), "PYTHONUNBUFFERED": "1"}
        command = [sys.executable, "-m", "cmis_emu", "run", DR4, "--name", "t", "--forget"]
        if self.way:
            command += ["--serve", self.way]
        with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                for line in process.stdout:
                    if "socket:" in line:
                        break
                yield process
            finally:
                process.kill()

    def await_host(self, folder: Path) -> Host:
        """A host on a server that has just come up, whose module has, too."""
        host = self.reach(folder, 1)
        deadline = time.monotonic() + SOON_S
        while True:
            with contextlib.suppress(OSError):
                if read(host, 0) == b"\x18":
                    return host
            assert time.monotonic() < deadline

    def test_a_host_that_is_killed(self, new: Callable[..., Host]) -> None:
        for _ in range(3):
            victim, witness = new(), new()
            assert read(victim, 0) == b"\x18"
            self.kill(victim)
            start = time.monotonic()
            assert read_page(witness, 0, 129, 4) == b"CMIS"
            assert time.monotonic() - start < 1.0  # whatever it held, it holds no more

    def test_a_server_that_is_killed_and_comes_back(self, tmp_path: Path) -> None:
        with self.run(tmp_path) as process:
            host = self.await_host(tmp_path)
            os.kill(process.pid, signal.SIGKILL)
            process.wait(SOON_S)
            assert fails(host, (A, b"\x00"), (A, 1)) in ("ENODEV", "EIO", "ENXIO")
            with pytest.raises(OSError):  # noqa: PT011 - whichever way it is told
                self.reach(tmp_path, 1)
        with self.run(tmp_path):
            again = self.await_host(tmp_path)
            assert read_page(again, 0, 129, 4) == b"CMIS"
            again.close()
        host.close()

    def test_a_server_that_stops_leaves_nobody_waiting(self, emu: Emulator, new: Callable[..., Host]) -> None:
        host = new()
        assert read(host, 0) == b"\x18"
        emu.close()
        assert fails(host, (A, b"\x00"), (A, 1)) in ("ENODEV", "EIO", "ENXIO")
