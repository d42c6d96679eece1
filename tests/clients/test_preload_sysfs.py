"""Programs that look for adapters before they open one: `i2cdetect -l`, listings of /dev and /sys, globs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from preloaded import PROGRAM_LIMIT_S, ROOT, Python, Run, build, tool_path

from cmis_emu import Emulator, ManualClock
from cmis_emu.bus import preload
from cmis_emu.bus.preload.tree import plant, tree_of

DR4 = "qsfpdd-400g-dr4"
PORTS = {"a": {"profile": DR4, "bus": 1}, "b": {"profile": DR4, "bus": 2}, "empty": {"bus": 40}}
BUSES = (1, 2, 40)


@pytest.fixture
def served(folder: Path) -> Iterator[Emulator]:
    """An emulator of three ports at the socket that `run` leads to."""
    with Emulator.load({"version": 1, "ports": PORTS}, ManualClock(), seed=1) as emulator:
        emulator.settle()
        emulator.serve(folder / "socket")
        yield emulator


@pytest.fixture
def run(folder: Path, served: Emulator, run: Run) -> Run:
    """As `run`, on this emulator."""
    return run


def ours(lines: list[str]) -> list[str]:
    """Those about our buses: a machine may have adapters of its own."""
    return [line for line in lines if "CMIS-EMU" in line]


def test_i2cdetect_lists_the_adapters_by_name(tool: Run, served: Emulator) -> None:
    done = tool("i2cdetect", "-l")
    assert (done.returncode, done.stderr) == (0, "")
    assert [[cell.strip() for cell in line.split("\t")] for line in ours(done.stdout.splitlines())] == [
        ["i2c-1", "i2c", "CMIS-EMU port a", "I2C adapter"],
        ["i2c-2", "i2c", "CMIS-EMU port b", "I2C adapter"],
        ["i2c-40", "i2c", "CMIS-EMU port empty", "I2C adapter"],
    ]


def test_a_bus_is_found_by_its_name(tool: Run, served: Emulator) -> None:
    assert tool("i2cget", "-y", "CMIS-EMU port b", "0x50", "0").stdout == "0x18\n"


def test_every_tool_finds_the_module(tool: Run, served: Emulator) -> None:
    cells = [cell for line in tool("i2cdetect", "-y", "1").stdout.splitlines()[1:] for cell in line[4:].split()]
    assert [cell for cell in cells if cell != "--"] == ["50"]
    cells = [cell for line in tool("i2cdetect", "-y", "40").stdout.splitlines()[1:] for cell in line[4:].split()]
    assert set(cells) == {"--"}
    assert tool("i2cset", "-y", "1", "0x50", "127", "0x10").returncode == 0
    assert tool("i2cget", "-y", "1", "0x50", "127").stdout == "0x10\n"
    assert tool("i2ctransfer", "-y", "2", "w1@0x50", "129", "r4").stdout == "0x43 0x4d 0x49 0x53\n"  # CMIS
    assert "CMIS" in tool("i2cdump", "-y", "2", "0x50", "b").stdout


@pytest.mark.parametrize("where", ["/dev", "/sys/class/i2c-dev", "/sys/bus/i2c/devices", "/sys/class/i2c-adapter"])
def test_every_way_to_list(run: Run, folder: Path, where: str) -> None:
    done = run(build(folder, "listing"), where)
    assert (done.returncode, done.stderr) == (0, "")
    names = " ".join(sorted(f"i2c-{bus}" for bus in BUSES))
    if os.path.exists(where) and any(name.startswith("i2c-") for name in os.listdir(where)):
        pytest.skip(f"this machine has adapters of its own in {where}")
    marked = names if where == "/dev" else names.replace(" ", "/ ") + "/"  # GLOB_MARK: folders
    kinds = "chr=3 lnk=0" if where == "/dev" else "chr=0 lnk=3"
    assert done.stdout.splitlines() == [
        f"readdir: {names} {kinds} errno=0",
        f"rewinddir: {names} {kinds} errno=0",
        "seekdir: 1",
        f"fdopendir and readdir_r: {names} {kinds} errno=0",
        f"scandir: {names} {kinds} errno=0",
        f"scandirat: {names} {kinds} errno=0",
        f"glob: {names} chr=0 lnk=0 errno=0",
        f"relative glob: {marked} chr=0 lnk=0 errno=0",
    ]


def test_python_looks_around(run: Run, python: Python) -> None:
    lines = python("""
        import glob, pathlib
        mine = [1, 2, 40]
        print([f"/dev/i2c-{bus}" in glob.glob("/dev/i2c-*") for bus in mine])
        folder = pathlib.Path("/sys/class/i2c-dev")
        print([folder / f"i2c-{bus}" in folder.iterdir() for bus in mine])
        print([entry.is_dir() for entry in os.scandir("/sys/bus/i2c/devices") if entry.name in ("i2c-1", "i2c-40")])
        print(open("/sys/class/i2c-dev/i2c-40/name").read(), open("/sys/bus/i2c/devices/i2c-2/name").read())
        print(open("/sys/class/i2c-dev/i2c-1/dev").read(), os.path.exists("/sys/class/i2c-dev/i2c-3/name"))
        print(os.path.realpath("/sys/class/i2c-dev/i2c-1"), os.readlink("/sys/class/i2c-adapter/i2c-2"))
        subsystem = os.path.realpath("/sys/class/i2c-dev/i2c-1/subsystem")
        print(os.path.basename(subsystem), os.path.isdir("/sys/dev/char/89:40"))
        os.chdir("/sys/class/i2c-dev/i2c-1/device")
        print(os.getcwd(), open("name").read())
        print({"i2c-dev", "i2c-adapter"} <= set(os.listdir("/sys/class")), "i2c" in os.listdir("/sys/bus"))
        print(sorted(set(os.listdir("/sys/bus/i2c/devices/i2c-1"))))
        print(fails(os.stat, "/sys/class/i2c-dev/i2c-9"), fails(open, "/sys/bus/i2c/devices/i2c-1/new_device", "w"))
    """)
    devices = "/sys/devices/platform/cmis-emu"
    assert lines == [
        "[True, True, True]",
        "[True, True, True]",
        "[True, True]",
        *("CMIS-EMU port empty", " CMIS-EMU port b", ""),
        *("89:1", " False"),
        f"{devices}/i2c-1/i2c-dev/i2c-1 ../../devices/platform/cmis-emu/i2c-2",
        "i2c-dev True",
        *(f"{devices}/i2c-1 CMIS-EMU port a", ""),
        "True True",
        "['i2c-dev', 'name', 'subsystem', 'uevent']",
        "ENOENT ENOENT",
    ]


def test_shell_and_coreutils(run: Run) -> None:
    done = run("sh", "-c", "cd /dev && ls -l i2c-2 && echo i2c-[0-9]* && test -c i2c-40 && i=i2c-1 && stat -c %t,%T $i")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("crw-rw----")
    assert " 89, 2 " in lines[0]
    assert {f"i2c-{bus}" for bus in BUSES} <= set(lines[1].split())
    assert lines[2] == "59,1"
    done = run("ls", "-lL", "/sys/class/i2c-dev/i2c-1/", "/sys/bus/i2c/devices/i2c-40")
    assert (done.returncode, done.stderr) == (0, "")
    found = run("find", "/dev", "-maxdepth", "1", "-type", "c", "-name", "i2c-*").stdout.split()
    assert {f"/dev/i2c-{bus}" for bus in BUSES} <= set(found)
    assert run("readlink", "-f", "/sys/class/i2c-dev/i2c-2").stdout == (
        "/sys/devices/platform/cmis-emu/i2c-2/i2c-dev/i2c-2\n"
    )


def test_other_folders_are_what_they_are(run: Run, folder: Path) -> None:
    for where in ("/", "/dev/shm", "/proc/self", str(ROOT / "tests"), "/sys/devices", "/sys/kernel"):
        assert set(run("ls", "-a", where).stdout.split()) - {"net"} == set(
            subprocess.run(["ls", "-a", where], capture_output=True, text=True, check=True).stdout.split()
        ) - {"net"}


def test_the_tree_goes_with_the_server_and_replaces_one_left_behind(folder: Path) -> None:
    tree = tree_of(folder / "socket")
    plant(tree, {77: "left behind"}, ())
    with Emulator.load({"version": 1, "ports": PORTS}, ManualClock()) as emulator:
        emulator.serve(folder / "socket")
        assert sorted(path.name for path in (tree / "sys/class/i2c-dev").iterdir()) == ["i2c-1", "i2c-2", "i2c-40"]
    assert not tree.exists()


REAL = """
set -e
mount -t tmpfs none /sys
mkdir -p /sys/class/i2c-dev/i2c-0 /sys/class/i2c-dev/i2c-2 /sys/class/net
echo 'SMBus I801 adapter' > /sys/class/i2c-dev/i2c-0/name
echo 'another adapter' > /sys/class/i2c-dev/i2c-2/name
exec env LD_PRELOAD="$PRELOADED" "$@"
"""


def in_a_machine_with_adapters(env: dict[str, str], *command: str) -> subprocess.CompletedProcess[str]:
    """Run a program in a mount namespace whose /sys has adapters 0 and 2. Skips where that is not allowed."""
    if shutil.which("unshare") is None:
        pytest.skip("unshare is not installed (Debian package util-linux)")
    enter = ["unshare", "--map-root-user", "--mount", "sh", "-c", REAL, "sh"]
    plain = {**env, "PRELOADED": env["LD_PRELOAD"]}
    del plain["LD_PRELOAD"]
    allowed = subprocess.run([*enter, "true"], env=plain, capture_output=True, check=False, timeout=PROGRAM_LIMIT_S)
    if allowed.returncode != 0:
        pytest.skip("mount namespaces are not allowed here")
    return subprocess.run(
        [*enter, *command], env=plain, capture_output=True, text=True, check=False, timeout=PROGRAM_LIMIT_S
    )


def test_real_adapters_stay_visible(served: Emulator, env: dict[str, str]) -> None:
    done = in_a_machine_with_adapters(env, tool_path("i2cdetect", "i2c-tools"), "-l")
    assert [[cell.strip() for cell in line.split("\t")][::2] for line in done.stdout.splitlines()] == [
        ["i2c-0", "SMBus I801 adapter"],
        ["i2c-1", "CMIS-EMU port a"],
        ["i2c-2", "CMIS-EMU port b"],  # one number, one adapter: the one that /dev/i2c-2 opens
        ["i2c-40", "CMIS-EMU port empty"],
    ]
    done = in_a_machine_with_adapters(env, "ls", "/sys/class", "/sys/class/i2c-dev")
    assert done.stdout.split() == [
        *("/sys/class:", "i2c-adapter", "i2c-dev", "net"),
        *("/sys/class/i2c-dev:", "i2c-0", "i2c-1", "i2c-2", "i2c-40"),
    ]


def test_without_an_emulator_the_listings_are_the_machines(folder: Path, env: dict[str, str]) -> None:
    """A socket with nothing beside it."""
    listing = [sys.executable, "-c", "import os; print(sorted(os.listdir('/dev')), sorted(os.listdir('/sys/class')))"]
    plain = {name: value for name, value in env.items() if name != "LD_PRELOAD"}
    seen = [subprocess.run(listing, env=e, capture_output=True, text=True, check=True).stdout for e in (env, plain)]
    assert seen[0] == seen[1]


def test_the_library_shows_nothing_but_what_it_replaces() -> None:
    nm = tool_path("nm", "binutils")
    shown = subprocess.run(
        [nm, "-D", "--defined-only", str(preload.library())], capture_output=True, text=True, check=True
    )
    names = {line.split()[2].partition("@")[0] for line in shown.stdout.splitlines()}
    sources = "".join(path.read_text() for path in preload.sources())
    assert {"open", "readdir64", "recvmsg", "glob64", "__fxstatat64"} <= names
    assert not names & {"start", "acquire", "overlaid", "absolute", "error"}
    assert "REPLACES" in sources
