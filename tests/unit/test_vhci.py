"""The kernel's virtual USB host controller as its sysfs files show it; the real one is met in `tests/guest`."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cmis_emu import Emulator
from cmis_emu.bus.usbip import vhci
from cmis_emu.bus.usbip.vhci import Vhci
from cmis_emu.cli import plugging
from cmis_emu.control import ControlServer
from cmis_emu.errors import InputError, NotAvailableError

HEAD = "hub port sta spd dev      sockfd local_busid\n"


class Kernel:
    """A folder that looks like sysfs. Ports 0 and 1 are in use, 2 is free, 3 is of the faster hub."""

    def __init__(self, sysfs: Path) -> None:
        self.sysfs = sysfs
        self.folder = sysfs / "devices/platform/vhci_hcd.0"
        self.folder.mkdir(parents=True)
        self.show(
            "hs  0000 006 003 00010002 000003 1-1",
            "hs  0001 005 003 00010003 000004 0-0",
            "hs  0002 004 000 00000000 000000 0-0",
            "ss  0003 004 000 00000000 000000 0-0",
        )
        (self.folder / "status.1").write_text(HEAD + "hs  0010 004 000 00000000 000000 0-0\n")
        for name in ("attach", "detach"):
            (self.folder / name).touch()

    def show(self, *lines: str) -> None:
        (self.folder / "status").write_text(HEAD + "".join(f"{line}\n" for line in lines))

    def said(self, name: str) -> str:
        return (self.folder / name).read_text()


@pytest.fixture
def kernel(tmp_path: Path) -> Kernel:
    return Kernel(tmp_path / "sys")


@pytest.fixture
def cable() -> Iterator[socket.socket]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours


def test_the_first_free_port_of_the_right_speed(kernel: Kernel, cable: socket.socket) -> None:
    assert Vhci(kernel.sysfs).attach(cable, 0x90000001, 3) == 2
    assert kernel.said("attach") == f"2 {cable.fileno()} {0x90000001} 3"


def test_another_was_quicker(kernel: Kernel, cable: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def write(self: Vhci, name: str, text: str) -> None:
        tried.append(text.split(maxsplit=1)[0])
        if len(tried) == 1:
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))

    monkeypatch.setattr(Vhci, "_write", write)
    assert Vhci(kernel.sysfs).attach(cable, 1, 3) == 10
    assert tried == ["2", "10"]


def test_no_port_no_permission_no_module(
    kernel: Kernel, cable: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    controller = Vhci(kernel.sysfs)

    def refuse(self: Vhci, name: str, text: str) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), name)

    monkeypatch.setattr(Vhci, "_write", refuse)
    with pytest.raises(NotAvailableError, match="attach: Permission denied; it needs root"):
        controller.attach(cable, 1, 3)
    with pytest.raises(NotAvailableError, match="detach: Permission denied; it needs root"):
        controller.detach(1)
    kernel.show()
    (kernel.folder / "status.1").unlink()
    with pytest.raises(NotAvailableError, match="found no free port"):
        controller.attach(cable, 1, 3)
    with pytest.raises(NotAvailableError, match=r"expected the kernel module vhci-hcd; as root: modprobe -a vhci-hcd"):
        Vhci(tmp_path / "nothing")


def test_the_adapter_that_comes_of_it(kernel: Kernel) -> None:
    controller = Vhci(kernel.sysfs)
    assert controller.adapter(0, 0.0) is None
    (kernel.sysfs / "bus/usb/devices/1-1/1-1:1.0/i2c-7").mkdir(parents=True)
    assert controller.adapter(0, 10.0) == "/dev/i2c-7"
    assert controller.adapter(2, 0.0) is None


def test_attach_and_detach(
    emu: Emulator, kernel: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(vhci.Vhci.__init__, "__defaults__", (kernel.sysfs,))
    monkeypatch.setattr(plugging, "ADAPTER_LIMIT_S", 0.0)
    path = str(emu.serve(tmp_path / "s", ControlServer(emu)).path)
    with pytest.raises(InputError, match="bus 9"):
        plugging.attach(path, [9])
    with pytest.raises(NotAvailableError, match="bus 1: plugged in, but found no adapter"):
        plugging.attach(path, [])
    device = int(kernel.said("attach").split()[2])
    kernel.show(f"hs  0002 006 003 {device:08x} 000003 3-1")
    (kernel.sysfs / "bus/usb/devices/3-1/3-1:1.0/i2c-4").mkdir(parents=True)
    plugging.attach(path, [1])
    plugging.detach(path)
    assert kernel.said("detach") == "2"
    assert capsys.readouterr().out == "bus 1: attached already\nbus 1: detached\n"


def test_a_machine_without_the_module(tmp_path: Path) -> None:
    if vhci.SYSFS.joinpath("devices/platform/vhci_hcd.0").is_dir():
        pytest.skip("this machine has vhci_hcd")
    for command in ("attach", "detach"):
        done = subprocess.run(
            [sys.executable, "-m", "cmis_emu", command], capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 3
        assert done.stderr.count("\n") == 1
        assert "expected the kernel module vhci-hcd" in done.stderr
