"""The guest's driver for vhost-user-i2c, which Debian's kernels leave out: built from Debian's own kernel source.

Owns how it is built, once for each kernel: source and headers come by `apt-get download`, which needs no root, and
nothing is installed. What is built is kept in the cache beside the images; it is GPL and no part of the project.
"""

from __future__ import annotations

import re
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import IO, cast

from guest.image import UnavailableError, cache, download, kernel_package, need, run

NAME = "i2c-virtio"
_SOURCE = f"drivers/i2c/busses/{NAME}.c"
_BUILD_LIMIT_S = 300


def driver() -> Path:
    """The kernel module for the kernel of the guest's image, from the cache if it is there. Raises UnavailableError."""
    image = kernel_package()
    name, version, _ = image.stem.split("_")
    abi = name.removeprefix("linux-image-")
    built = cache() / f"{NAME}-{abi}_{version}.ko"
    if not built.exists():
        for program, package in (("make", "make"), ("dpkg-deb", "dpkg"), ("cc", "gcc")):
            need(program, package)
        with tempfile.TemporaryDirectory(prefix="build-", dir=cache()) as folder:
            _build(Path(folder), abi, version).replace(built)
    return built


def _build(folder: Path, abi: str, version: str) -> Path:
    headers = download(f"linux-headers-{abi}={version}", folder)
    wanted = run("dpkg-deb", "-f", str(headers), "Depends")
    needed = re.findall(r"linux-(?:headers|kbuild)-[^\s,]+", wanted)
    for package in [headers, *(download(each, folder) for each in needed)]:
        run("dpkg-deb", "-x", str(package), str(folder))
    tree = folder / "usr/src" / f"linux-headers-{abi}"
    makefile = tree / "Makefile"  # it includes the common one by where it would be installed
    makefile.write_text(re.sub(r"/usr/src/", f"{folder}/usr/src/", makefile.read_text()))
    compiler = re.search(r"gcc-[0-9]+", (tree / ".kernelvariables").read_text())
    if compiler is not None:
        need(compiler[0], compiler[0])
    source = folder / "module"
    source.mkdir()
    series = ".".join(abi.split(".")[:2])
    (source / f"{NAME}.c").write_bytes(_source(series, version, folder))
    (source / "Kbuild").write_text(f"obj-m := {NAME}.o\n")
    run("make", "-C", str(tree), f"M={source}", "modules", limit_s=_BUILD_LIMIT_S)
    return source / f"{NAME}.ko"


def _source(series: str, version: str, folder: Path) -> bytes:
    """The driver's source, out of the archive in the package of all of the kernel's."""
    package = download(f"linux-source-{series}={version}", folder)
    unpack = ["dpkg-deb", "--fsys-tarfile", str(package)]
    with subprocess.Popen(unpack, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            for outer in _members(cast("IO[bytes]", process.stdout), "r|"):
                if not outer[0].endswith(".tar.xz"):
                    continue
                for name, file in _members(outer[1], "r|xz"):
                    if name.endswith(_SOURCE):
                        return file.read()
        finally:
            process.kill()
    raise UnavailableError(f"found no {_SOURCE} in {package.name}, expected it in the source of a kernel")


def _members(archive: IO[bytes], mode: str):
    """Names and contents of an archive's files, as they come."""
    with tarfile.open(fileobj=archive, mode=mode) as members:
        for member in members:
            file = members.extractfile(member) if member.isfile() else None
            if file is not None:
                yield member.name, file
