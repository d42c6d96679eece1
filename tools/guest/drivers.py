"""Drivers that Debian's kernel leaves out: built, unmodified, from Debian's own kernel sources for that very kernel.

Debian's amd64 kernel has CONFIG_I2C_MUX_PCA954x, CONFIG_GPIO_PCA953X and CONFIG_I2C_VIRTIO unset; the kernels of
switches have the first two. The sources come by `apt-get download` (linux-source, linux-headers, linux-kbuild; nothing
is installed) and go again; the cache keeps the modules alone. They are GPL and no part of the project.
"""

from __future__ import annotations

import os
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import IO

from guest.image import Image, UnavailableError, cache, download, need, run

SOURCES = {
    "i2c-mux-pca954x": "drivers/i2c/muxes/i2c-mux-pca954x.c",
    "gpio-pca953x": "drivers/gpio/gpio-pca953x.c",
    "i2c-virtio": "drivers/i2c/busses/i2c-virtio.c",
}
"""Module to its one source file."""


def driver(image: Image, name: str) -> Path:
    """The file of a kernel module for the kernel of `image`. Raises UnavailableError."""
    folder = cache() / f"drivers-{image.release}"
    if not (folder / f"{name}.ko").exists():
        for program, package in (("make", "make"), ("gcc", "gcc"), ("dpkg-deb", "dpkg"), ("apt-get", "apt")):
            need(program, package)
        with tempfile.TemporaryDirectory(prefix="drivers-", dir=cache()) as work:
            _build(Path(work), image.release, folder)
    return folder / f"{name}.ko"


def _build(work: Path, release: str, folder: Path) -> None:
    headers, packages, modules = work / "headers", work / "packages", work / "modules"
    for each in (headers, packages, modules):
        each.mkdir()
    source = f"linux-source-{'.'.join(release.split('.')[:2])}"
    needs = [line.split()[-1] for line in run("apt-cache", "depends", f"linux-headers-{release}").splitlines()]
    download(packages, source, f"linux-headers-{release}", *(each for each in needs if each.startswith("linux-")))
    for package in packages.glob("*.deb"):
        if package.name.startswith(source):
            _extract(package, modules)
        else:
            run("dpkg-deb", "-x", str(package), str(headers))
    tree = headers / f"usr/src/linux-headers-{release}"
    makefile = tree / "Makefile"
    makefile.write_text(makefile.read_text().replace("/usr/src", f"{headers}/usr/src"))
    (modules / "Kbuild").write_text("".join(f"obj-m += {name}.o\n" for name in SOURCES))
    run("make", "-C", str(tree), f"M={modules}", "CC=gcc", "modules", limit_s=300)
    folder.mkdir(exist_ok=True)
    for name in SOURCES:
        (modules / f"{name}.ko").replace(folder / f"{name}.ko")


def _extract(package: Path, target: Path) -> None:
    """The source files, from the archive in the package of the kernel's sources."""
    missing = {path: name for name, path in SOURCES.items()}
    with subprocess.Popen(
        ["dpkg-deb", "--fsys-tarfile", str(package)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=os.environ
    ) as unpacking:
        assert unpacking.stdout is not None
        with tarfile.open(fileobj=unpacking.stdout, mode="r|") as outer:
            archive = next((outer.extractfile(member) for member in outer if member.name.endswith(".tar.xz")), None)
            if archive is not None:
                _pick(archive, missing, target)
        unpacking.kill()
    if missing:
        raise UnavailableError(f"{package.name}: found no {', '.join(missing)}")


def _pick(archive: IO[bytes], missing: dict[str, str], target: Path) -> None:
    with tarfile.open(fileobj=archive, mode="r|xz") as inner:
        for member in inner:
            path = member.name.partition("/")[2]
            if path in missing:
                found = inner.extractfile(member)
                assert found is not None
                (target / f"{missing.pop(path)}.c").write_bytes(found.read())
                if not missing:
                    return
