"""Real `/dev/i2c-N` adapters on a stock Linux kernel: each bus is a USB-I2C adapter, and USB travels over a socket.

The adapter is an i2c-tiny-usb, whose driver every distribution ships. `wire` is the USB/IP protocol, `descriptors`
and `tiny_usb` are the device, `session` is one host that has it plugged in, `hub` all of them; `server` listens on
TCP, and `vhci` is the other end of the cable: this machine's own kernel.
"""
