"""Kernel and initramfs of the guest: from Debian's kernel package and busybox, built once, kept in a cache.

Owns what is in them. The package comes by `apt-get download`, which needs no root; nothing is installed. The cache
is $CMIS_EMU_GUEST_CACHE, or ~/.cache/cmis-emu/guest; nothing of it belongs into the project (it is GPL).
"""

from __future__ import annotations

import gzip
import hashlib
import lzma
import os
import platform
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

MODULES = (
    *("virtio_pci", "virtio_console", "virtio_net", "9pnet_virtio", "9p"),  # the guest's own
    *("vhci-hcd", "i2c-tiny-usb", "i2c-dev"),  # USB/IP
    "at24",  # EEPROM driver
    "i2c-mux",  # what drivers of muxes need; those themselves: drivers.py
)
"""Kernel modules that are in the initramfs, each with what it depends on. Tests load what they need."""

PACKAGE = "linux-image-amd64"
BUSYBOX = Path("/bin/busybox")
INIT = Path(__file__).with_name("init")
_PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
_DOWNLOAD_LIMIT_S = 600


class UnavailableError(Exception):
    """No guest can be had on this machine; says why."""


@dataclass(frozen=True)
class Image:
    """What QEMU boots."""

    kernel: Path
    initramfs: Path
    release: str  # as `uname -r` has it


def cache() -> Path:
    """Folder that keeps packages and images."""
    chosen = os.environ.get("CMIS_EMU_GUEST_CACHE")
    folder = Path(chosen) if chosen else Path.home() / ".cache/cmis-emu/guest"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UnavailableError(f"{folder}: {error.strerror}") from None
    return folder


def build() -> Image:
    """The image, from the cache if it is there. Raises UnavailableError."""
    if platform.machine() != "x86_64":
        raise UnavailableError(f"found a {platform.machine()} machine, expected x86_64")
    for program, owner in (("dpkg-deb", "dpkg"), ("cpio", "cpio"), ("depmod", "kmod"), ("modprobe", "kmod")):
        need(program, owner)
    if not BUSYBOX.exists() or _interpreter(BUSYBOX):
        raise UnavailableError(f"found no static {BUSYBOX}, expected the Debian package busybox-static")
    package = kernel_package()
    recipe = hashlib.sha256(INIT.read_bytes() + Path(__file__).read_bytes() + BUSYBOX.read_bytes())
    recipe.update(package.name.encode())
    stem = f"{package.name.split('_')[0]}-{recipe.hexdigest()[:12]}"
    release = package.name.split("_")[0].removeprefix("linux-image-")
    image = Image(cache() / f"{stem}.vmlinuz", cache() / f"{stem}.initramfs", release)
    if not (image.kernel.exists() and image.initramfs.exists()):
        with tempfile.TemporaryDirectory(prefix="build-", dir=cache()) as folder:
            _build(package, Path(folder), image)
    return image


def need(program: str, package: str) -> str:
    """Where a program is. Raises UnavailableError that names the package it comes in."""
    found = shutil.which(program, path=_PATH)
    if found is None:
        raise UnavailableError(f"found no {program}, expected the Debian package {package}")
    return found


def _interpreter(program: Path) -> bool:
    """Does a program need a loader: is it dynamically linked?"""
    head = program.read_bytes()[:4096]
    return b"/ld-linux" in head or b"/ld-musl" in head


def run(*command: str, cwd: Path | None = None, limit_s: float = 120) -> str:
    """What a program prints. Raises UnavailableError when it fails."""
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            capture_output=True,
            text=True,
            check=False,
            timeout=limit_s,
            env={**os.environ, "PATH": _PATH},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnavailableError(f"{command[0]}: {error}") from None
    if done.returncode:
        raise UnavailableError(f"{' '.join(command[:3])}: {(done.stderr or done.stdout).strip().splitlines()[-1:]}")
    return done.stdout


def kernel_package() -> Path:
    """The .deb of the newest kernel that this machine's package lists have; else the newest in the cache."""
    have = sorted(cache().glob("linux-image-*.deb"), key=lambda path: path.stat().st_mtime)
    try:
        need("apt-get", "apt")
        lines = run("apt-cache", "depends", PACKAGE).splitlines()
        name = next((line.split()[-1] for line in lines if "Depends: linux-image-" in line), None)
        if name is None:
            raise UnavailableError(f"found no Debian package {PACKAGE}, expected one in the package lists")
        uri = run("apt-get", "download", "--print-uris", name).split()
        file = cache() / uri[1]
        if not file.exists():
            with tempfile.TemporaryDirectory(prefix="download-", dir=cache()) as folder:
                download(Path(folder), name)
                next(Path(folder).glob("*.deb")).replace(file)
    except UnavailableError:
        if not have:
            raise
        return have[-1]
    return file


def download(folder: Path, *packages: str) -> None:
    """Bring Debian packages into `folder`. Raises UnavailableError."""
    run("apt-get", "-qq", "download", *packages, cwd=folder, limit_s=_DOWNLOAD_LIMIT_S)


def _build(package: Path, folder: Path, image: Image) -> None:
    unpacked, tree = folder / "package", folder / "tree"
    run("dpkg-deb", "-x", str(package), str(unpacked))
    kernel = next((unpacked / "boot").glob("vmlinuz-*"))
    version = kernel.name.removeprefix("vmlinuz-")
    run("depmod", "-b", str(unpacked), version)
    modules = tree / "lib/modules" / version
    modules.mkdir(parents=True)
    for path in _closure(unpacked, version):
        _unpack(path, modules / path.relative_to(unpacked / "lib/modules" / version))
    for name in ("modules.order", "modules.builtin", "modules.builtin.modinfo"):
        shutil.copy(unpacked / "lib/modules" / version / name, modules)
    run("depmod", "-b", str(tree), version)
    (tree / "bin").mkdir()
    shutil.copy(BUSYBOX, tree / "bin/busybox")
    shutil.copy(INIT, tree / "init")
    (tree / "init").chmod(0o755)
    names = "\n".join(str(path.relative_to(tree)) for path in sorted(tree.rglob("*")))
    archive = subprocess.run(
        ["cpio", "--quiet", "-o", "-H", "newc"], cwd=tree, input=names.encode(), capture_output=True, check=True
    ).stdout
    (folder / "initramfs").write_bytes(gzip.compress(archive, 6))
    (folder / "initramfs").replace(image.initramfs)
    shutil.move(kernel, image.kernel)


def _closure(unpacked: Path, version: str) -> list[Path]:
    found: dict[Path, None] = {}
    for name in MODULES:
        for line in run("modprobe", "-d", str(unpacked), "-S", version, "--show-depends", name).splitlines():
            words = line.split()
            if words[0] == "insmod":
                found[Path(words[1])] = None
    return list(found)


def _unpack(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.suffix == ".xz":
        target.with_suffix("").write_bytes(lzma.decompress(source.read_bytes()))
    else:
        shutil.copy(source, target)
