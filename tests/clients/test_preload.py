"""Unmodified programs on `/dev/i2c-N` through the preloaded library, against a server of the test's own."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import pytest
from fake_bus_server import ABSURD, HALF, HANGS_UP, NO_ERRNO, SILENT, SUICIDE, FakeBusServer
from preloaded import OTHER_BUS, PRELUDE, PROGRAM_LIMIT_S, ROOT, Python, Run, need_compiler

from cmis_emu.bus import preload
from cmis_emu.bus.preload import wire
from cmis_emu.errors import InputError, NotAvailableError

HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def _compiler() -> None:
    need_compiler()


# ---------------------------------------------------------------- i2c-tools


def test_i2cdetect_finds_the_one_device(server: FakeBusServer, tool: Run) -> None:
    done = tool("i2cdetect", "-y", "1")
    assert (done.returncode, done.stderr) == (0, "")
    cells = [cell for line in done.stdout.splitlines()[1:] for cell in line[4:].split()]
    assert [cell for cell in cells if cell != "--"] == ["50"]
    assert len(cells) == 0x78 - 0x08


def test_i2cdetect_shows_the_functionality(server: FakeBusServer, tool: Run) -> None:
    lines = tool("i2cdetect", "-F", "1").stdout.splitlines()
    assert [line.split("  ")[0] for line in lines if line.endswith("no")] == [
        "SMBus Block Read",
        "SMBus Block Process Call",
    ]


def test_i2cget_reads(server: FakeBusServer, tool: Run) -> None:
    assert tool("i2cget", "-y", "1", "0x50", "0x10").stdout == "0x10\n"
    assert tool("i2cget", "-y", "1", "0x50", "0x20", "w").stdout == "0x2120\n"
    assert tool("i2cget", "-y", "1", "0x50", "0x30", "i", "4").stdout == "0x30 0x31 0x32 0x33\n"


def test_i2cset_writes(server: FakeBusServer, tool: Run) -> None:
    assert tool("i2cset", "-y", "1", "0x50", "0x05", "0xaa").returncode == 0
    assert tool("i2cset", "-y", "1", "0x50", "0x08", "1", "2", "3", "i").returncode == 0
    assert server.memories[1].data[4:12] == b"\x04\xaa\x06\x07\x01\x02\x03\x0b"
    assert server.memories[2].data == bytes(range(256))


@pytest.mark.parametrize("mode", ["b", "w", "i"])
def test_i2cdump_dumps(server: FakeBusServer, tool: Run, mode: str) -> None:
    done = tool("i2cdump", "-y", "1", "0x50", mode)
    assert done.returncode == 0
    rows = [line.split(":")[1].split() for line in done.stdout.splitlines()[1:]]
    if mode == "w":
        assert rows[1] == ["0908", "0a09", "0b0a", "0c0b", "0d0c", "0e0d", "0f0e", "100f"]
    else:
        assert [cell for row in rows for cell in row[:16]] == [f"{i:02x}" for i in range(256)]


def test_i2ctransfer_writes_and_reads(server: FakeBusServer, tool: Run) -> None:
    done = tool("i2ctransfer", "-y", "2", "w1@0x50", "0x80", "r4", "w3@0x50", "0x10", "0xca", "0xfe", "r1")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "0x80 0x81 0x82 0x83\n0x12\n"
    assert server.memories[2].data[0x0F:0x13] == b"\x0f\xca\xfe\x12"


def test_tools_report_an_absent_device(server: FakeBusServer, tool: Run) -> None:
    done = tool("i2cget", "-y", "1", "0x22", "0x10")
    assert (done.returncode, done.stderr) == (2, "Error: Read failed\n")
    done = tool("i2ctransfer", "-y", "1", "w1@0x22", "0x10", "r1")
    assert (done.returncode, done.stderr) == (
        1,
        "Error: Sending messages failed: No such device or address\n",
    )


def test_tools_report_an_absent_bus(server: FakeBusServer, tool: Run) -> None:
    done = tool("i2cget", "-y", "60000", "0x50", "0x10")
    assert done.returncode == 1
    assert done.stderr == "Error: Could not open file `/dev/i2c-60000' or `/dev/i2c/60000': No such file or directory\n"


# ---------------------------------------------------------------- smbus2


def test_smbus2(server: FakeBusServer, python: Python) -> None:
    assert python("""
        with SMBus(1) as bus:
            bus.write_byte_data(0x50, 3, 0x99)
            print(bus.read_byte_data(0x50, 3), bus.read_word_data(0x50, 0x10))
            print(bus.process_call(0x50, 0x20, 0x0201))
            bus.write_byte(0x50, 7)
            print(bus.read_byte(0x50), bus.read_i2c_block_data(0x50, 0x40, 5))
            bus.write_i2c_block_data(0x50, 0x60, [9, 8, 7])
            bus.write_block_data(0x50, 0x70, [5, 6])
            bus.write_quick(0x50)
            got = i2c_msg.read(0x50, 6)
            bus.i2c_rdwr(i2c_msg.write(0x50, [0x5f]), got)
            print(list(got), hex(bus.funcs))
            print(fails(bus.read_block_data, 0x50, 0))
    """) == [
        "153 4368",
        "8994",
        "7 [64, 65, 66, 67, 68]",
        f"[95, 9, 8, 7, 99, 100] {wire.FUNCTIONALITY:#x}",
        "ENOTSUP",
    ]
    assert server.memories[1].data[0x70:0x74] == b"\x02\x05\x06\x73"


def test_smbus2_meets_a_nack(server: FakeBusServer, python: Python) -> None:
    assert python("""
        with SMBus(1) as bus:
            for call in (lambda: bus.read_byte_data(0x33, 0), lambda: bus.i2c_rdwr(i2c_msg.read(0x33, 1))):
                try:
                    call()
                except OSError as error:
                    print(error.errno, error)
            print(bus.read_byte_data(0x50, 9))
    """) == ["6 [Errno 6] No such device or address"] * 2 + ["9"]


def test_packet_error_checking_and_ten_bit_flags_reach_the_server(server: FakeBusServer, python: Python) -> None:
    python("""
        with SMBus(1) as bus:
            bus.pec = 1
            bus.read_byte_data(0x50, 0)
            bus.pec = 0
            bus.read_byte_data(0x50, 0)
            fcntl.ioctl(bus.fd, 0x0704, 1)
            fcntl.ioctl(bus.fd, 0x0703, 0x3ff)
            fails(os.read, bus.fd, 1)
    """)
    byte_data = wire.SmbusSize.BYTE_DATA
    assert server.transactions == [(0x50, byte_data, wire.ClientFlag.PEC), (0x50, byte_data, 0)]
    assert server.messages == [(0x3FF, wire.MessageFlag.RD | wire.MessageFlag.TEN, 1)]


# ---------------------------------------------------------------- the limits of i2c-dev


def test_slave_address(server: FakeBusServer, python: Python) -> None:
    assert python("""
        fd = os.open("/dev/i2c-1", os.O_RDWR)
        print(fails(os.read, fd, 1))  # to address 0, as in the kernel
        for request in (0x0703, 0x0706):
            fcntl.ioctl(fd, 0x0704, 0)
            print(*(fails(fcntl.ioctl, fd, request, address) for address in (0, 0x7f, 0x80, 0x3ff)))
            fcntl.ioctl(fd, 0x0704, 1)
            print(*(fails(fcntl.ioctl, fd, request, address) for address in (0x80, 0x3ff, 0x400, -1)))
    """) == ["ENXIO", *["ok ok EINVAL EINVAL", "ok ok EINVAL EINVAL"] * 2]
    assert server.messages == [(0, wire.MessageFlag.RD, 1)]


def test_other_ioctls(server: FakeBusServer, python: Python) -> None:
    assert python("""
        fd = os.open("/dev/i2c-1", os.O_RDWR)
        for request in (0x0701, 0x0702):
            print(*(fails(fcntl.ioctl, fd, request, value) for value in (0, 100, 0x7fffffff, -1)))
        print(fails(fcntl.ioctl, fd, 0x0799, 0), fails(fcntl.ioctl, fd, 0x5401, bytes(64)), os.isatty(fd))
        print(fcntl.ioctl(fd, 0x0705, bytes(8)).hex())
        print(fails(fcntl.ioctl, fd, 0x0705, 0))
        os.set_inheritable(fd, True)
        print(os.get_inheritable(fd))
    """) == [
        "ok ok ok EINVAL",
        "ok ok ok EINVAL",
        "ENOTTY ENOTTY False",
        "0900ff0e00000000",
        "EFAULT",
        "True",
    ]


def test_rdwr_limits(server: FakeBusServer, python: Python) -> None:
    assert python("""
        fd = os.open("/dev/i2c-1", os.O_RDWR)
        one = i2c_msg.read(0x50, 1)
        print(*(fails(rdwr, fd, [one] * count) for count in (1, 42, 43)), fails(rdwr, fd, [one], 0))
        nothing = i2c_rdwr_ioctl_data(msgs=None, nmsgs=1)
        print(fails(fcntl.ioctl, fd, 0x0707, nothing), fails(fcntl.ioctl, fd, 0x0707, 0))
        print(*(fails(rdwr, fd, [i2c_msg.read(0x50, length)]) for length in (0, 8192, 8193)))
        print(*(fails(rdwr, fd, [i2c_msg.write(0x50, bytes(length))]) for length in (0, 8192, 8193)))
        memory = ctypes.create_string_buffer(b"\\x01", 40)
        buffer = ctypes.cast(memory, ctypes.POINTER(ctypes.c_char))
        lengths = ((0x0400, 33), (0x0401, 0), (0x0401, 32), (0x0401, 33))  # I2C_M_RECV_LEN
        print(*(fails(rdwr, fd, [i2c_msg(addr=0x50, flags=f, len=n, buf=buffer)]) for f, n in lengths))
        print(len(read_at(fd, 0, 8192)), read_at(fd, 3, 4) == bytes(4))  # written over above
    """) == [
        "ok ok EINVAL EINVAL",
        "EINVAL EFAULT",
        "ok ok EINVAL",
        "ok ok EINVAL",
        "EINVAL EINVAL EINVAL ENOTSUP",
        "8192 True",
    ]


def test_largest_transfer(server: FakeBusServer, python: Python) -> None:
    assert python("""
        fd = os.open("/dev/i2c-1", os.O_RDWR)
        reads = [i2c_msg.read(0x50, 8192) for _ in range(41)]
        rdwr(fd, [i2c_msg.write(0x50, [7]), *reads])
        print({bytes(message) == bytes((7 + i) % 256 for i in range(8192)) for message in reads})
        print(fails(rdwr, fd, [i2c_msg.write(0x50, bytes(8192)) for _ in range(42)]))
    """) == ["{True}", "ok"]


def test_bad_pointers_are_efault_and_do_no_lasting_harm(server: FakeBusServer, python: Python) -> None:
    assert python("""
        import mmap
        fd = os.open("/dev/i2c-1", os.O_RDWR)
        fcntl.ioctl(fd, 0x0703, 0x50)
        libc = ctypes.CDLL(None, use_errno=True)
        libc.mmap.restype = ctypes.c_void_p
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        nowhere = libc.mmap(None, ctypes.c_size_t(65536), 0, flags, -1, ctypes.c_long(0))
        def attempt(flags, address):
            buffer = ctypes.cast(address, ctypes.POINTER(ctypes.c_char))
            return fails(rdwr, fd, [i2c_msg(addr=0x50, flags=flags, len=16, buf=buffer)])
        for address in (0, 1, nowhere):
            print(attempt(0, address), attempt(1, address), read_at(fd, 5, 2))
        for call in (libc.read, libc.write):
            print(call(fd, ctypes.c_void_p(nowhere), ctypes.c_size_t(4)), errno.errorcode[ctypes.get_errno()])
        os.write(fd, b"\\x09")
        print(os.read(fd, 1))
    """) == ["EFAULT EFAULT b'\\x05\\x06'"] * 3 + ["-1 EFAULT"] * 2 + ["b'\\t'"]


def test_smbus_limits(server: FakeBusServer, python: Python) -> None:
    assert python("""
        fd = os.open("/dev/i2c-1", os.O_RDWR)
        fcntl.ioctl(fd, 0x0703, 0x50)
        def smbus(read, size, length=None):
            data = union_i2c_smbus_data()
            if length is not None:
                data.block[0] = length
            given = None if length is None else ctypes.pointer(data)
            argument = i2c_smbus_ioctl_data(read_write=read, command=0, size=size, data=given)
            return fails(fcntl.ioctl, fd, 0x0720, argument)
        print(fails(fcntl.ioctl, fd, 0x0720, 0), smbus(2, 2, 0), smbus(0, 9, 0), smbus(0, 0xffffffff, 0))
        print(*(smbus(read, size) for read in (0, 1) for size in (0, 1, 2, 3, 4, 5, 6, 8)))
        print(*(smbus(0, size, length) for size in (5, 6, 8) for length in (0, 1, 32, 33, 255)))
        print(*(smbus(1, 8, length) for length in (0, 32, 33)))
        print(smbus(1, 5, 255), smbus(1, 7, 33), smbus(1, 6, 255))
    """) == [
        "EFAULT EINVAL EINVAL EINVAL",
        "ok ok" + " EINVAL" * 6 + " ok" + " EINVAL" * 7,
        " ".join(["ok ok ok EINVAL EINVAL"] * 3),
        "ok ok EINVAL",
        "ENOTSUP EINVAL ok",
    ]


def test_plain_read_and_write(server: FakeBusServer, python: Python) -> None:
    assert python("""
        fd = os.open("/dev/i2c/1", os.O_RDWR)
        fcntl.ioctl(fd, 0x0703, 0x50)
        print(os.write(fd, b"\\x10\\xaa"), os.write(fd, b"\\x0f"), os.read(fd, 3))
        print(os.write(fd, b""), os.read(fd, 0))
        print(len(os.read(fd, 10000)), os.write(fd, bytes(10000)))
        print(fails(os.write, os.open("/dev/i2c-1", os.O_RDONLY), b"1"))
        print(fails(os.read, os.open("/dev/i2c-1", os.O_WRONLY), 1))
        print(*(fails(os.open, "/dev/i2c-1", flags) for flags in (os.O_DIRECTORY, os.O_CREAT | os.O_EXCL)))
    """) == ["2 1 b'\\x0f\\xaa\\x11'", "0 b''", "8192 8192", "EBADF", "EBADF", "ENOTDIR EEXIST"]


# ---------------------------------------------------------------- threads, processes, descriptors


def test_threads_share_a_descriptor_without_mixing(server: FakeBusServer, python: Python) -> None:
    assert python("""
        import threading
        fd = os.open("/dev/i2c-1", os.O_RDWR)
        wrong = []
        def work(k):
            for i in range(200):
                offset, length = (31 * k + i) % 200, 1 + (7 * k + i) % 40
                if read_at(fd, offset, length) != bytes(range(offset, offset + length)):
                    wrong.append((k, i))
        threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        print(wrong)
    """) == ["[]"]
    assert len(server.messages) == 8 * 200 * 2
    assert len(server.greetings) == 1


def test_fork_gives_the_child_a_stream_of_its_own(server: FakeBusServer, python: Python) -> None:
    assert python("""
        fd = os.open("/dev/i2c-1", os.O_RDWR)
        copy = os.dup(fd)
        fcntl.ioctl(fd, 0x0703, 0x50)
        def right(base):
            ways = [((fd, copy)[i % 2], base + i % 50) for i in range(300)]
            return all(read_at(number, at, 9) == bytes(range(at, at + 9)) for number, at in ways)
        inodes = os.readlink(f"/proc/self/fd/{fd}")
        child = os.fork()
        if child == 0:
            fine = right(100) and len(os.read(fd, 3)) == 3  # the slave address came along
            mine = [os.readlink(f"/proc/self/fd/{number}") for number in (fd, copy)]
            fine = fine and mine[0] == mine[1] != inodes
            fine = fine and not os.get_inheritable(fd) and os.fstat(copy).st_rdev == os.makedev(89, 1)
            grandchild = os.fork()
            if grandchild == 0:
                os._exit(0 if right(150) else 1)
            os._exit(os.waitpid(grandchild, 0)[1] or (0 if fine and right(120) else 1))
        print(right(10))
        print(os.waitpid(child, 0)[1], right(20))
    """) == ["True", "0 True"]
    assert len({process for _, process in server.greetings}) == 3


def test_starting_programs_leaves_the_descriptor_alone(server: FakeBusServer, python: Python) -> None:
    """subprocess uses vfork: its child closes descriptors of its own, but in the parent's memory."""
    assert python("""
        import subprocess
        fd = os.open("/dev/i2c-1", os.O_RDWR)
        for close in (True, False):
            subprocess.run(["true"], close_fds=close, stdin=fd, check=True)
        print(read_at(fd, 4, 2), stat.S_ISCHR(os.fstat(fd).st_mode))
    """) == ["b'\\x04\\x05' True"]


def test_a_descriptor_works_after_exec(server: FakeBusServer, run: Run) -> None:
    script = """
        os.dup2(0, 9)
        print(os.fstat(0).st_rdev == os.makedev(89, 2), read_at(0, 8, 2), read_at(9, 6, 1))
    """
    done = run(
        "sh",
        "-c",
        'exec 3<>/dev/i2c-2; "$0" -c "$1" <&3; "$0" -c "$1" <&3',
        sys.executable,
        PRELUDE + textwrap.dedent(script),
    )
    assert (done.stdout, done.stderr) == ("True b'\\x08\\t' b'\\x06'\n" * 2, "")


def test_duplicates(server: FakeBusServer, python: Python) -> None:
    assert python("""
        fd = os.open("/dev/i2c-1", os.O_RDWR)
        copies = [os.dup(fd), os.dup2(fd, 77), os.dup2(fd, 78, inheritable=False),
                  fcntl.fcntl(fd, fcntl.F_DUPFD, 50), fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 60)]
        fcntl.ioctl(fd, 0x0703, 0x50)  # one open file, one slave address
        os.close(fd)
        print([stat.S_ISCHR(os.fstat(copy).st_mode) for copy in copies])
        print([os.write(copy, bytes([copy])) and os.read(copy, 1)[0] == copy for copy in copies])
        print([os.get_inheritable(copy) for copy in copies[1:]])
        for copy in copies:
            os.close(copy)
        print({fails(os.read, copy, 1) for copy in copies})
    """) == ["[True, True, True, True, True]"] * 2 + ["[True, False, True, False]", "{'EBADF'}"]


def test_a_reused_number_is_not_ours(server: FakeBusServer, python: Python, folder: Path) -> None:
    (folder / "file").write_text("plain")
    assert python(
        """
        import ctypes
        libc = ctypes.CDLL(None)
        libc.fdopen.restype = ctypes.c_void_p
        ways = [os.close, lambda fd: os.closerange(fd, fd + 1),
                lambda fd: libc.fclose(ctypes.c_void_p(libc.fdopen(fd, b"r+"))), None]
        for way in ways:
            fd = os.open("/dev/i2c-1", os.O_RDWR)
            read_at(fd, 0, 1)
            if way is None:
                other = os.open(os.environ["FILE"], os.O_RDWR)
                os.dup2(other, fd)
                os.close(other)
            else:
                way(fd)
                assert os.open(os.environ["FILE"], os.O_RDWR) == fd
            print(os.read(fd, 9), stat.S_ISREG(os.fstat(fd).st_mode), fails(fcntl.ioctl, fd, 0x0703, 0x50))
            os.close(fd)
        fd = os.open("/dev/i2c-1", os.O_RDWR)
        print(fails(os.dup2, 999, fd), read_at(fd, 1, 1))  # a dup2 that fails closes nothing
        """,
        FILE=str(folder / "file"),
    ) == ["b'plain' True ENOTTY"] * 4 + ["EBADF b'\\x01'"]


def test_many_descriptors_come_and_go(server: FakeBusServer, python: Python) -> None:
    assert python("""
        for _ in range(3):
            fds = [os.open(f"/dev/i2c-{1 + i % 2}", os.O_RDWR) for i in range(40)]
            assert all(read_at(fd, i, 1) == bytes([i]) for i, fd in enumerate(fds))
            assert [os.minor(os.fstat(fd).st_rdev) for fd in fds] == [1, 2] * 20
            for fd in fds[::2] + fds[1::2]:
                os.close(fd)
        print("fine")
    """) == ["fine"]


def test_close_on_exec_is_honoured(server: FakeBusServer, python: Python) -> None:
    assert python("""
        libc = ctypes.CDLL(None)
        print([os.get_inheritable(libc.open(b"/dev/i2c-1", os.O_RDWR | flag)) for flag in (0, os.O_CLOEXEC)])
        print([stat.S_ISCHR(os.fstat(libc.openat(-100, b"/dev/i2c-1", os.O_RDWR)).st_mode)])
    """) == ["[True, False]", "[True]"]


def test_non_blocking_changes_nothing(server: FakeBusServer, python: Python) -> None:
    assert python("""
        fd = os.open("/dev/i2c-1", os.O_RDWR | os.O_NONBLOCK)
        os.set_blocking(fd, False)
        print({read_at(fd, 5, 3) for _ in range(50)})
    """) == ["{b'\\x05\\x06\\x07'}"]


def test_signals_do_not_break_transfers(server: FakeBusServer, python: Python) -> None:
    assert python("""
        import signal
        heard = []
        signal.signal(signal.SIGALRM, lambda *_: heard.append(1))
        signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
        fd = os.open("/dev/i2c-1", os.O_RDWR)
        rounds = 0
        while len(heard) < 50 or rounds < 500:
            assert read_at(fd, rounds % 200, 20) == bytes(range(rounds % 200, rounds % 200 + 20))
            rounds += 1
        signal.setitimer(signal.ITIMER_REAL, 0)
        print("fine")
    """) == ["fine"]


FORTIFIED = r"""
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    char buffer[64];
    struct stat status;
    int flags = argc > 5 ? O_RDONLY : O_RDWR; /* not a constant: __open_2, __openat_2 */
    int fd = open(argv[1], flags), at = openat(AT_FDCWD, argv[1], flags);
    long length = strtol(argv[2], NULL, 0); /* not a constant: __read_chk */
    ioctl(fd, 0x0703, 0x50L);
    ioctl(at, 0x0703, 0x50L);
    (void)!write(fd, "A", 1);
    ssize_t got = read(at, buffer, (size_t)length);
    printf("%zd %.*s %d\n", got, (int)got, buffer, fstat(at, &status) == 0 && S_ISCHR(status.st_mode));
    return 0;
}
"""


@pytest.mark.parametrize("flags", [(), ("-D_FILE_OFFSET_BITS=64",), ("-O2", "-D_FORTIFY_SOURCE=2")])
def test_c_programs(server: FakeBusServer, run: Run, folder: Path, flags: tuple[str, ...]) -> None:
    (folder / "program.c").write_text(FORTIFIED)
    program = str(folder / "program")
    subprocess.run(["cc", *flags, "-o", program, str(folder / "program.c")], check=True, timeout=PROGRAM_LIMIT_S)
    assert run(program, "/dev/i2c-1", "5").stdout == "5 ABCDE 1\n"


HANDLER = r"""
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <unistd.h>

static int fd;
static volatile sig_atomic_t busy, closed = -2;

static void handle(int number)
{
    (void)number;
    if (closed == -2 && ioctl(fd, 0x0703, 0x51L) < 0 && errno == EBUSY) {
        busy = 1;
        closed = close(fd);
    }
}

int main(void)
{
    struct itimerval often = {{0, 5000}, {0, 5000}}, never = {{0, 0}, {0, 0}};
    char byte;
    fd = open("/dev/i2c-3", O_RDWR);
    ioctl(fd, 0x0703, 0x51L); /* never answers */
    signal(SIGALRM, handle);
    setitimer(ITIMER_REAL, &often, NULL);
    ssize_t got = read(fd, &byte, 1);
    int error = errno;
    setitimer(ITIMER_REAL, &never, NULL);
    int again = open("/dev/i2c-1", O_RDWR);
    ioctl(again, 0x0703, 0x50L);
    printf("%d %d %zd %d %zd\n", busy, closed, got, error == ENODEV, read(again, &byte, 1));
    return 0;
}
"""


def test_a_signal_handler_may_close_what_it_interrupted(server: FakeBusServer, run: Run, folder: Path) -> None:
    (folder / "program.c").write_text(HANDLER)
    program = str(folder / "program")
    subprocess.run(["cc", "-o", program, str(folder / "program.c")], check=True, timeout=PROGRAM_LIMIT_S)
    assert run(program).stdout == "1 0 -1 1 1\n"


# ---------------------------------------------------------------- servers that go wrong


@pytest.mark.parametrize("address", [HANGS_UP, HALF])
def test_a_connection_that_ends_is_enodev(server: FakeBusServer, python: Python, address: int) -> None:
    assert python(
        """
        with SMBus(3) as bus, SMBus(3) as other:
            print(*(fails(bus.read_byte_data, address, 0) for address in (int(os.environ["ADDRESS"]), 0x50)))
            print(stat.S_ISCHR(os.fstat(bus.fd).st_mode), other.read_byte_data(0x50, 6))
        """,
        ADDRESS=str(address),
    ) == ["ENODEV ENODEV", "True 6"]


@pytest.mark.parametrize("address", [ABSURD, NO_ERRNO])
def test_a_malformed_reply_is_eio(server: FakeBusServer, python: Python, address: int) -> None:
    script = """
        with SMBus(3) as bus:
            print(*(fails(bus.read_byte_data, address, 0) for address in (int(os.environ["ADDRESS"]), 0x50)))
    """
    assert python(script, ADDRESS=str(address)) == ["EIO ENODEV"]


def test_a_silent_server_is_etimedout(server: FakeBusServer, python: Python) -> None:
    script = """
        import signal
        fd = os.open("/dev/i2c-3", os.O_RDWR)
        if "BELL" in os.environ:  # signals do not stretch the time
            signal.signal(signal.SIGALRM, lambda *_: None)
            signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
        silent = [i2c_msg.read(int(os.environ["ADDRESS"]), 1)]
        print(fails(rdwr, fd, silent), fails(rdwr, fd, silent))
        signal.setitimer(signal.ITIMER_REAL, 0)  # at its end, Python has no handler any more
    """
    settings = {"ADDRESS": str(SILENT), "CMIS_EMU_TIMEOUT_MS": "300"}
    assert python(script, **settings) == ["ETIMEDOUT ENODEV"]
    assert python(script, BELL="1", **settings) == ["ETIMEDOUT ENODEV"]


def test_a_server_killed_in_a_request_is_enodev(env: dict[str, str], run: Run, folder: Path) -> None:
    plain = {name: value for name, value in env.items() if name not in ("LD_PRELOAD", "CMIS_EMU_SOCKET")}
    command = [sys.executable, str(HERE / "fake_bus_server.py"), str(folder / "socket")]
    with subprocess.Popen(command, env=plain, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == "ready\n"
        script = f"""
            bus = SMBus(3)
            print(bus.read_byte_data(0x50, 1))
            print(*(fails(bus.read_byte_data, address, 0) for address in ({SUICIDE}, 0x50)))
            print(fails(os.open, "/dev/i2c-3", os.O_RDWR), fails(os.open, "/dev/i2c-3", os.O_RDWR))
            print(fails(os.stat, "/dev/i2c-{OTHER_BUS}"))
        """
        done = run(sys.executable, "-c", PRELUDE + textwrap.dedent(script))
        assert server.wait(timeout=PROGRAM_LIMIT_S) == -9
    assert done.stdout.splitlines() == ["1", "ENODEV ENODEV", "ENODEV ENODEV", "ENOENT"]
    assert done.stderr == f"cmis-emu: no emulator answers at {folder / 'socket'}\n"


def test_an_absent_server_is_enodev(run: Run, folder: Path) -> None:
    done = run(
        sys.executable,
        "-c",
        PRELUDE + 'print(fails(os.open, "/dev/i2c-1", 0), fails(os.open, "/dev/i2c/1", 0))',
    )
    assert done.stdout == "ENODEV ENODEV\n"
    assert done.stderr == f"cmis-emu: no emulator answers at {folder / 'socket'}\n"


# ---------------------------------------------------------------- everything else stays as it was


def test_the_node_is_a_character_device(server: FakeBusServer, python: Python, run: Run) -> None:
    assert python("""
        fd = os.open("/dev/i2c-1", os.O_RDWR)
        here = "/dev/i2c-1"
        for status in (os.stat(here), os.lstat("/dev/i2c/1"), os.stat(fd), os.stat(here, dir_fd=fd)):
            number = os.major(status.st_rdev), os.minor(status.st_rdev)
            print(stat.filemode(status.st_mode), *number, status.st_nlink)
        print([os.access("/dev/i2c-1", mode) for mode in (os.F_OK, os.R_OK | os.W_OK, os.X_OK)])
        print(os.access("/dev/i2c-1", os.R_OK, effective_ids=True), os.access("/dev/i2c-60000", os.F_OK))
        for name in ("i2c-60000", "i2c-", "i2c-01", "i2c-1x", "i2c-99999999999", "i2c-+1", "i2c--1"):
            print(fails(os.stat, f"/dev/{name}"), fails(os.open, f"/dev/{name}", os.O_RDWR))
    """) == [
        *["crw-rw---- 89 1 1"] * 4,
        "[True, True, False]",
        "True False",
        *["ENOENT ENOENT"] * 7,
    ]
    shown = run("stat", "-c", "%F %t,%T %a", "/dev/i2c-1", "/dev/i2c/2")  # statx
    assert shown.stdout == "character special file 59,1 660\ncharacter special file 59,2 660\n"
    assert run("sh", "-c", "test -c /dev/i2c-1 && test -r /dev/i2c-1").returncode == 0


def test_other_programs_run_as_ever(server: FakeBusServer, run: Run, folder: Path) -> None:
    (folder / "file").write_text("one\ntwo\n")
    assert run("cat", str(folder / "file")).stdout == "one\ntwo\n"
    assert (
        run(
            "sh",
            "-c",
            f"cd {folder}; cat < file | sort -r > out; cat out; exec 5< file; read a <&5; echo $a $(ls)",
        ).stdout
        == "two\none\none file out socket\n"
    )
    done = run("cat", str(folder / "absent"))
    assert (done.returncode, "No such file" in done.stderr) == (1, True)
    assert run("cat", "/dev/i2c-1").stderr == "cat: /dev/i2c-1: No such device or address\n"
    assert run(sys.executable, "-c", "import os; print(stat := os.stat('/dev/null').st_rdev)").stdout == "259\n"


def test_without_a_socket_everything_passes_through(server: FakeBusServer, env: dict[str, str], python: Python) -> None:
    script = f"""
        print(fails(os.open, "/dev/i2c-{OTHER_BUS}", os.O_RDWR), fails(os.stat, "/dev/i2c-{OTHER_BUS}"))
    """
    assert python(script) == ["ok ok"]
    assert python(script, CMIS_EMU_SOCKET="") == ["ENOENT ENOENT"]
    del env["CMIS_EMU_SOCKET"]
    assert python(script) == ["ENOENT ENOENT"]


# ---------------------------------------------------------------- the build


def test_concurrent_first_uses_make_one_library(folder: Path) -> None:
    env = {**os.environ, "XDG_CACHE_HOME": str(folder), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", "from cmis_emu.bus.preload import library; print(library())"]
    started = [subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=PROGRAM_LIMIT_S)[0] for process in started]
    assert [process.returncode for process in started] == [0, 0]
    assert said[0] == said[1]
    assert [str(path) for path in (folder / "cmis-emu").iterdir()] == [said[0].strip()]


def test_the_source_compiles_without_warnings(folder: Path) -> None:
    flags = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-O2", "-fPIC", "-fvisibility=hidden", "-shared"]
    sources = [str(path) for path in preload.sources()]
    subprocess.run(["cc", *flags, "-o", str(folder / "it.so"), *sources, "-ldl", "-lpthread"], check=True)


def test_a_compiled_library_is_used_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    first = preload.library()
    made = first.stat()
    assert preload.library() == first
    assert first.stat().st_mtime_ns == made.st_mtime_ns
    assert stat.S_IMODE(first.parent.stat().st_mode) == 0o700


def test_no_compiler_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler -O1")
    with pytest.raises(NotAvailableError) as caught:
        preload.library()
    assert str(caught.value) == (
        "preload library: C compiler no-such-compiler: not found; install gcc, or name one in CC"
    )


def test_a_failed_compile_tells_the_first_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiler = folder / "cc"
    compiler.write_text(
        '#!/bin/sh\n[ "$1" = --version ] && exit 0\necho note >&2\necho "x.c:1: error: boom" >&2\nexit 1\n'
    )
    compiler.chmod(0o755)
    monkeypatch.setenv("CC", str(compiler))
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    with pytest.raises(NotAvailableError) as caught:
        preload.library()
    assert str(caught.value) == f"preload library: {compiler} cannot compile it: x.c:1: error: boom"
    assert list((folder / "cmis-emu").iterdir()) == []


def test_the_library_goes_elsewhere_when_the_cache_is_unfit(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spare = folder / "tmp"
    spare.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(spare))
    for unfit in (folder / "a space", folder / "file" / "below"):
        (folder / "file").touch()
        monkeypatch.setenv("XDG_CACHE_HOME", str(unfit))
        assert preload.library().parent == spare / f"cmis-emu-{os.getuid()}"
    (spare / f"cmis-emu-{os.getuid()}").chmod(0o777)  # anybody could put code there
    with pytest.raises(NotAvailableError, match="only you can write to"):
        preload.library()


def test_environment_keeps_other_preloads(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    ours = str(preload.library())
    base = {"LD_PRELOAD": f"/a.so {ours}:/b.so", "HOME": "/h"}
    assert preload.environment(Path("socket"), base) == {
        "LD_PRELOAD": f"{ours}:/a.so:/b.so",
        "CMIS_EMU_SOCKET": str(folder / "socket"),
        "HOME": "/h",
    }
    assert preload.environment(Path("/s"), {})["LD_PRELOAD"] == ours
    with pytest.raises(InputError, match="at most 107"):
        preload.environment(Path("/" + "x" * 107), {})
