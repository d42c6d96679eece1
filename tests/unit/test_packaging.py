"""The wheel: every package and every data file is in it, and it runs from an empty folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def packages_in_tree() -> set[str]:
    found = set()
    for folder, prefix in ((ROOT / "cmis_emu", "cmis_emu"), (ROOT / "register_maps", "cmis_emu.register_maps")):
        for init in folder.rglob("__init__.py"):
            parts = init.parent.relative_to(folder).parts
            found.add(".".join((prefix, *parts)))
    return found


def test_every_package_is_declared() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    assert set(declared) == packages_in_tree()


def data_files() -> set[str]:
    maps = {
        f"cmis_emu/register_maps/{p.relative_to(ROOT / 'register_maps')}" for p in ROOT.glob("register_maps/**/*.yaml")
    }
    testbeds = {str(p.relative_to(ROOT)) for p in ROOT.glob("cmis_emu/testbeds/*.yaml")}
    sources = {str(p.relative_to(ROOT)) for p in (ROOT / "cmis_emu/bus/preload").glob("*.[ch]")}
    assert testbeds
    assert sources
    return maps | testbeds | sources | {"cmis_emu/py.typed"}


@pytest.mark.timeout(300)
def test_the_wheel_installs_and_runs_from_an_empty_folder(tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    source = tmp_path / "source"  # a copy, since a build leaves its files behind, which the next one would pack, too
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(".*", "build", "*.egg-info"))
    subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", str(tmp_path), str(source)], check=True)
    wheel = next(tmp_path.glob("*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert data_files() <= names
    assert not any(name.startswith(("tests/", "tools/")) for name in names)
    home = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(home)], check=True)
    python = home / "bin" / "python"
    subprocess.run([*pip, "--python", str(python), "install", str(wheel)], check=True)
    empty = tmp_path / "empty"
    empty.mkdir()
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "CMIS_EMU"))}
    command = [str(home / "bin" / "cmis-emu"), "profiles"]
    done = subprocess.run(command, cwd=empty, env=clean, capture_output=True, text=True, check=True)
    assert "qsfpdd-400g-dr4" in done.stdout
    host = "from smbus2 import SMBus; print(hex(SMBus(1).read_byte_data(0x50, 0)))"
    command = [str(home / "bin" / "cmis-emu"), "exec", "qsfpdd-400g-dr4", "--", str(python), "-c", host]
    done = subprocess.run(command, cwd=empty, env=clean, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0x18"
