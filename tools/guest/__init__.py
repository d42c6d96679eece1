"""A small virtual machine with a stock Debian kernel, in which unmodified drivers meet the emulator.

`image` makes kernel and initramfs (cached), `machine` boots them under QEMU and runs commands inside, with this
machine's own files seen read-only. `python tools/guest COMMAND...` does both; the tests in `tests/guest` do, too.
"""
