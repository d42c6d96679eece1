"""The MicroPython firmware under MicroPython itself, its WebAssembly build in node, behind the modelled I2C block."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from rigs.designware import DesignWare
from rigs.mpy_board import MAIN, target_class

PACKAGE = "@micropython/micropython-webassembly-pyscript"
VERSION = "1.27.0"
HERE = Path(__file__).resolve().parent
CACHE = Path(os.environ.get("CMIS_EMU_NPM_CACHE") or Path.home() / ".cache" / "cmis-emu" / "micropython")


@functools.cache
def micropython() -> Path:
    """The module of the WebAssembly build, from npm on first use; skips where there is none."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("no node and npm on this machine")
    module = CACHE / "node_modules" / PACKAGE / "micropython.mjs"
    if not module.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE.parent) as name:
            command = [
                "npm",
                "install",
                "--silent",
                "--no-audit",
                "--no-fund",
                "--prefix",
                name,
                f"{PACKAGE}@{VERSION}",
            ]
            done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
            if done.returncode or not (Path(name) / "node_modules").exists():
                pytest.skip(f"npm cannot install {PACKAGE}: {done.stderr.strip()[-200:]}")
            if not module.exists():
                (Path(name) / "node_modules").rename(CACHE / "node_modules")
    return module


class WasmBoard:
    """A board in a node process. Close it."""

    def __init__(self, nonce: int = 77) -> None:
        module = micropython()
        self.process = subprocess.Popen(
            ["node", str(HERE / "mpy_wasm.mjs"), str(module), str(MAIN), str(HERE / "mpy_driver.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.bus = DesignWare(lambda: None)
        target = target_class(self.bus)(0, 0x50)
        events = target.IRQ_READ_REQ | target.IRQ_WRITE_REQ | target.IRQ_END_READ | target.IRQ_END_WRITE
        irq = target.irq(lambda _: self.ask(f"event {irq.flags()}"), events, hard=True)
        self.ask(f"new {nonce}")

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()

    def ask(self, command: str) -> str:
        """One command; registers that it touches are those of `bus`."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(command.encode() + b"\n")
        self.process.stdin.flush()
        while True:
            line = self.process.stdout.readline().decode()
            assert line, "MicroPython ended"
            kind, _, rest = line.rstrip("\n").partition(" ")
            if kind == "=":
                return rest
            answer = ""
            if kind == "r":
                answer = str(self.bus.read(int(rest)))
            else:
                offset, value = map(int, rest.split())
                self.bus.write(offset, value)
            self.process.stdin.write(answer.encode() + b"\n")
            self.process.stdin.flush()

    def evaluate(self, expression: str) -> str:
        """What MicroPython makes of an expression, as text; `firmware` has the file's names."""
        return self.ask(f"run {expression.encode().hex()}")

    def receive(self, data: bytes) -> int:
        return int(self.ask(f"receive {data.hex()}"))

    def transmit(self) -> bytes:
        return bytes.fromhex(self.ask("transmit"))

    def tick(self, ms: int) -> None:
        self.ask(f"tick {ms & 0x3FFFFFFF}")

    def sides(self, levels: int) -> None:
        self.ask(f"sides {levels}")

    def answers(self) -> bool:
        return self.ask("answers") == "1"

    def lamps(self) -> int:
        return int(self.ask("lamps"))
