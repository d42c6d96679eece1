"""Firmware outlives the emulator: image files, the file that names them, killed processes (RST-07, FW-12)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from firmware_bench import A_INVALID, A_RUNS, B_INVALID, B_ON_TRIAL, B_RUNS, Steps, image, load, module_file

from cmis_emu import InputError

NEW = image()


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.rule("RST-07", "FW-12")
def test_an_update_outlives_the_emulator(tmp_path: Path) -> None:
    path, nvm = module_file(tmp_path), tmp_path / "nvm"
    with load(path, nvm) as emu:
        host = Steps(emu)
        host.download(NEW)
        host.run_image(0)
        assert host.info().status == B_ON_TRIAL
    with load(path, nvm) as emu:
        host = Steps(emu)
        assert host.info().status == A_RUNS
        assert host.info().b == "9.8.7"
        assert host.versions() == ("3.4", "9.8")
        host.run_image(0)
        host.commit()
    with load(path, nvm) as emu:
        assert Steps(emu).info() == (B_RUNS, 0x07, "3.4.12", "9.8.7", "3.0.1")
        assert emu.ports["1"].module.firmware.store.kept.banks  # type: ignore[union-attr]
    data = json.loads((nvm / "1.json").read_text())
    kept = data["modules"]["updatable"]["firmware"]
    assert kept["committed"] == "B"
    assert (nvm / kept["banks"]["B"]["file"]).read_bytes() == NEW


def test_files_come_and_go_with_what_banks_hold(tmp_path: Path) -> None:
    path, nvm = module_file(tmp_path), tmp_path / "nvm"
    with load(path, nvm) as emu:
        host = Steps(emu)
        assert not nvm.exists()
        host.start(NEW)
        assert files(nvm) == ["1.json"]  # B holds nothing any more
        host.blocks(NEW, epl=True)
        assert files(nvm) == ["1.json"]
        host.complete()
        assert len(files(nvm)) == 2
        before = files(nvm)
        host.copy(0xAB)
        assert len(files(nvm)) == 2
        assert files(nvm) != before
        host.start(NEW)
        assert files(nvm) == ["1.json"]
        host.abort()
    with load(path, nvm) as emu:
        assert Steps(emu).info().status == A_RUNS | B_INVALID


def test_two_ports_and_two_products_keep_apart(tmp_path: Path) -> None:
    path, nvm = module_file(tmp_path), tmp_path / "nvm"
    for version in ("5.0.1", "6.0.1"):
        with load(path, nvm) as emu:
            host = Steps(emu)
            host.download(image(version))
            emu.ports["1"].insert("qsfpdd-400g-dr4")
            emu.settle()
            host.info()
            host.start(image(version))
            host.abort()
            emu.ports["1"].insert(str(path))
            emu.settle()
            assert host.info().b == version


@pytest.mark.parametrize("when", ["start", "block", "complete"])
def test_a_snapshot_takes_the_files_along(tmp_path: Path, when: str) -> None:
    path, nvm = module_file(tmp_path), tmp_path / "nvm"
    with load(path, nvm) as emu:
        host = Steps(emu)
        host.download(image("5.0.1"))
        if when != "complete":
            host.start(NEW)
        if when == "block":
            host.blocks(NEW, until=1000)
        kept, before = emu.snapshot(), host.info()
        host.abort()
        host.download(image("6.0.1"))
        host.run_image(0)
        host.commit()
        emu.restore(kept)
        assert host.info() == before
    with load(path, nvm) as emu:
        assert Steps(emu).info() == before


Edit = Callable[[dict[str, Any]], object]


def _set(*keys: str, value: object) -> Edit:
    def edit(data: dict[str, Any]) -> None:
        for key in keys[:-1]:
            data = data[key]
        data[keys[-1]] = value

    return edit


@pytest.mark.parametrize(
    ("edit", "found"),
    [
        (_set("banks", "C", value=None), "'C'"),
        (_set("committed", value="factory"), "'factory'"),
        (_set("colour", value="red"), "unknown key 'colour'"),
        (_set("banks", "B", "file", value="../1.bin"), "'../1.bin'"),
        (_set("banks", "B", "file", value="1.json"), "'1.json'"),
        (_set("banks", "B", "file", value="1.none.bin"), "No such file"),
        (_set("banks", "B", "sha256", value="00"), "SHA-256"),
        (_set("banks", "B", "version", value="x"), "'x'"),
        (_set("banks", "B", value=7), "another shape"),
        (_set("banks", value=7), "another shape"),
    ],
)
def test_files_that_do_not_fit_are_refused_and_left_alone(tmp_path: Path, edit: Edit, found: str) -> None:
    path, nvm = module_file(tmp_path), tmp_path / "nvm"
    with load(path, nvm) as emu:
        Steps(emu).download(NEW)
    data = json.loads((nvm / "1.json").read_text())
    edit(data["modules"]["updatable"]["firmware"])
    (nvm / "1.json").write_text(json.dumps(data))
    before = {name: (nvm / name).read_bytes() for name in files(nvm)}
    with pytest.raises(InputError) as caught:
        load(path, nvm)
    assert caught.value.file == str(nvm / "1.json")
    assert found in str(caught.value)
    assert {name: (nvm / name).read_bytes() for name in files(nvm)} == before


def test_a_full_disk_is_told_and_the_module_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, nvm = module_file(tmp_path), tmp_path / "nvm"
    with load(path, nvm) as emu:
        host = Steps(emu)
        host.download(image("5.0.1"))

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", full)
            host.download(NEW)
            assert host.info().b == "9.8.7"
        assert "No space left on device" in caplog.text
        emu.ports["1"].module.set("UserNVData", "41" + "00" * 127)  # the next change brings all of it
    with load(path, nvm) as emu:
        assert Steps(emu).info().b == "9.8.7"


# -- killed -------------------------------------------------------------------------------------------

_UPDATER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from firmware_bench import HEADER, Steps, image, load
emu = load(Path(sys.argv[1]), Path(sys.argv[2]))
host = Steps(emu)
number = host.info().status
print("ready", flush=True)
turn = int(sys.argv[4])
while True:
    turn += 1
    data = image(f"{10 + turn // 200}.{turn % 200}.1", 262144)
    print("start", turn, flush=True)
    host.start(data)
    host.blocks(data, epl=True)
    host.complete()
    print("complete", turn, flush=True)
    host.run_image(0)
    host.commit()
    print("commit", turn, flush=True)
"""


def version(turn: int) -> str:
    return f"{10 + turn // 200}.{turn % 200}.1"


@pytest.mark.rule("RST-07", "FW-12")
def test_a_killed_process_leaves_one_good_image_at_every_moment(tmp_path: Path) -> None:
    """Updates without end in a process that is killed at any moment; what it has said must be there."""
    path, nvm, turn = module_file(tmp_path), tmp_path / "nvm", 0
    tests = str(Path(__file__).resolve().parents[1])
    runs, other = "3.4.12", "3.2.0"  # what the module had when the process began
    outcomes = set()
    for attempt in range(15):
        first = turn + 1
        command = [sys.executable, "-c", _UPDATER, str(path), str(nvm), tests, str(turn)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            said = [process.stdout.readline() for _ in range(2 + attempt % 5)]
            threading.Event().wait(0.0037 * (attempt % 7))  # so that it dies in the middle of something
            os.kill(process.pid, signal.SIGKILL)
            said += process.stdout.read().splitlines()
        steps = [line.split() for line in said if line.startswith(("start ", "complete ", "commit "))]
        last, turn = steps[-1][0], int(steps[-1][1])
        for done in range(first, turn):
            runs, other = version(done), runs
        new, empty = version(turn), "0.0.0"
        allowed = {
            "start": {(runs, other), (runs, empty), (runs, new)},
            "complete": {(runs, new), (new, runs)},
            "commit": {(new, runs), (new, empty)},  # and the next one may have begun
        }[last]
        with load(path, nvm) as emu:
            host = Steps(emu)
            info = host.info()
            assert info.status in (A_RUNS, A_RUNS | B_INVALID, B_RUNS, B_RUNS | A_INVALID)
            runs, other = (info.a, info.b) if info.status & 1 else (info.b, info.a)
            assert (runs, other) in allowed, (last, turn, info)
            outcomes.add((last, info.status & 0x44 != 0))
            store = host.module.firmware.store
            if runs != "3.4.12":
                assert store.image(store.running).data == image(runs, 262144)
    assert len(outcomes) > 1
