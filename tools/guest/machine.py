"""A guest that runs: QEMU, and commands in the guest over a virtio port.

Owns the choice of accelerator. KVM is used where a boot with it gets to the end in time; a machine whose KVM opens
and then hangs is remembered until it is restarted. Elsewhere the guest runs under TCG, which needs nothing.
"""

from __future__ import annotations

import base64
import os
import queue
import shlex
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from guest.image import Image, UnavailableError, build, cache, need

HOST = "10.0.2.2"
"""This machine's loopback, seen from the guest."""

KVM_LIMIT_S = 8.0
TCG_LIMIT_S = 90.0
COMMAND_LIMIT_S = 60.0
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Done:
    """How a command in the guest ended, and what it printed on both outputs."""

    code: int
    output: str


class Job:
    """A command that runs in the guest."""

    def __init__(self, machine: Machine, script: str) -> None:
        self.script = script
        self._machine = machine
        self._done: queue.SimpleQueue[Done] = queue.SimpleQueue()
        self._result: Done | None = None

    def finish(self, done: Done) -> None:
        """The guest has answered."""
        self._done.put(done)

    @property
    def running(self) -> bool:
        """Has it not ended yet?"""
        return self._result is None and self._done.empty()

    def wait(self, limit_s: float = COMMAND_LIMIT_S) -> Done:
        """Wait for its end. Raises TimeoutError with what the console said."""
        if self._result is None:
            try:
                self._result = self._done.get(timeout=limit_s)
            except queue.Empty:
                console = self._machine.console()[-2000:]
                raise TimeoutError(f"{self.script!r}: no end after {limit_s} s; the console:\n{console}") from None
        return self._result


class Machine:
    """Boots an image; `close` ends it at once. Raises UnavailableError when this machine cannot.

    `options`: of QEMU, after all others.
    """

    def __init__(self, image: Image | None = None, memory_mib: int = 512, options: Sequence[str] = ()) -> None:
        program = need("qemu-system-x86_64", "qemu-system-x86")
        self.image = image or build()
        self._memory_mib = memory_mib
        self._options = options
        self._jobs: dict[str, Job] = {}
        self._lock = threading.Lock()
        self._serial = 0
        self.accelerator = ""
        self.boot_s = 0.0
        for accelerator, limit_s in _accelerators():
            if self._boot(program, accelerator, limit_s):
                return
            self.close()
        raise UnavailableError(f"the guest did not come up; its console ends:\n{self.console()[-2000:]}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Pull the power."""
        self._process.kill()
        self._process.wait()
        self._agent.close()
        self._console_text = self.console()
        self._folder.cleanup()

    def console(self) -> str:
        """What the kernel printed."""
        path = Path(self._folder.name) / "console"
        return path.read_text(errors="replace") if path.exists() else getattr(self, "_console_text", "")

    def start(self, script: str, env: Mapping[str, str] | None = None) -> Job:
        """Begin a shell script in the guest, as root, in this machine's files (read-only but for /run)."""
        variables = {"PATH": _PATH, "LC_ALL": "C", "TMPDIR": "/run", "PYTHONDONTWRITEBYTECODE": "1", **(env or {})}
        head = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())
        with self._lock:
            self._serial += 1
            number = str(self._serial)
            job = self._jobs[number] = Job(self, script)
            self._send(f"{number} {base64.b64encode((head + script).encode()).decode()}")
        return job

    def run(self, script: str, limit_s: float = COMMAND_LIMIT_S) -> Done:
        """A shell script in the guest, to its end."""
        return self.start(script).wait(limit_s)

    def modprobe(self, *modules: str) -> None:
        """Load kernel modules that are in the image. Raises UnavailableError."""
        with self._lock:
            job = self._jobs["modprobe"] = Job(self, f"modprobe {modules}")
            self._send(f"modprobe {' '.join(modules)}")
        done = job.wait()
        if done.code:
            raise UnavailableError(f"modprobe {' '.join(modules)}: {done.output}")

    def load(self, driver: Path) -> None:
        """Load a kernel module that is a file of this machine. Raises UnavailableError."""
        done = self.run(f"insmod {shlex.quote(str(driver))}")
        if done.code and "File exists" not in done.output:
            raise UnavailableError(f"{driver}: {done.output.strip()}")

    # -- booting -------------------------------------------------------------------------------------

    def _boot(self, program: str, accelerator: str, limit_s: float) -> bool:
        self._folder = tempfile.TemporaryDirectory(prefix="cmis-guest-")
        folder = Path(self._folder.name)
        began = time.monotonic()
        self._process = subprocess.Popen(
            [
                program,
                *("-M", "q35", "-accel", accelerator, "-cpu", "host" if accelerator == "kvm" else "max"),
                *("-smp", "1", "-m", str(self._memory_mib), "-nodefaults", "-display", "none", "-no-reboot"),
                *("-kernel", str(self.image.kernel), "-initrd", str(self.image.initramfs)),
                *("-append", "console=ttyS0 quiet panic=-1"),
                *("-serial", f"file:{folder / 'console'}"),
                *("-chardev", f"socket,id=agent,path={folder / 'agent'},server=on,wait=off"),
                *("-device", "virtio-serial-pci", "-device", "virtserialport,chardev=agent,name=agent"),
                *("-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net,romfile="),
                *("-fsdev", "local,id=host,path=/,security_model=none,readonly=on,multidevs=remap"),
                *("-device", "virtio-9p-pci,fsdev=host,mount_tag=host"),
                *self._options,
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._agent = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        ready, pause = threading.Event(), threading.Event()
        while time.monotonic() - began < limit_s and self._process.poll() is None:
            try:
                self._agent.connect(str(folder / "agent"))
            except OSError:
                pause.wait(0.05)
                continue
            threading.Thread(target=self._receive, args=(self._agent, ready), daemon=True).start()
            while not ready.wait(0.1) and time.monotonic() - began < limit_s and self._process.poll() is None:
                pass
            break
        if ready.is_set():
            self.accelerator = accelerator
            self.boot_s = time.monotonic() - began
        elif accelerator == "kvm":
            _kvm_mark().touch()
        return ready.is_set()

    def _receive(self, agent: socket.socket, ready: threading.Event) -> None:
        try:
            with agent.makefile("r", errors="replace") as lines:
                for line in lines:
                    words = line.split()
                    if words == ["@ready"]:
                        ready.set()
                    elif len(words) >= 2 and words[0].startswith("@"):
                        output = base64.b64decode(words[2]).decode(errors="replace") if len(words) > 2 else ""
                        with self._lock:
                            job = self._jobs.pop(words[0][1:], None)
                        if job is not None:
                            job.finish(Done(int(words[1]), output))
        except OSError:
            pass  # closed

    def _send(self, line: str) -> None:
        self._agent.sendall(line.encode() + b"\n")


def _accelerators() -> list[tuple[str, float]]:
    slow = [("tcg", TCG_LIMIT_S)]
    usable = os.access("/dev/kvm", os.R_OK | os.W_OK) and not _kvm_mark().exists()
    return [("kvm", KVM_LIMIT_S), *slow] if usable else slow


def _kvm_mark() -> Path:
    """Is there when KVM has hung since this machine was started."""
    return cache() / f"kvm-hangs-{Path('/proc/sys/kernel/random/boot_id').read_text().strip()}"
