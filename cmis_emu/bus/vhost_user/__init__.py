"""An I2C adapter for guests of QEMU: each bus is a vhost-user-i2c device, driven by the guest's i2c-virtio.

The guest's memory is shared with this process, and nothing of a transfer travels over a socket. `wire` is the
vhost-user protocol, by which QEMU hands over memory and ring; `memory`, `ring` and `requests` are a virtio device's
view of them; `adapter` runs the messages on a bus; `carrier` is the thread of one ring that runs, `session` one QEMU;
`server` listens.
"""
