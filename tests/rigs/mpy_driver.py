# Inside MicroPython: a `machine` module whose registers are the parent's, the firmware, and commands line by line.
import binascii
import sys

import js

I2C0 = 0x40044000


class Memory:
    def __getitem__(self, address):
        return js.readRegister(address - I2C0)

    def __setitem__(self, address, value):
        js.writeRegister(address - I2C0, value)


class Irq:
    now = 0

    def flags(self):
        return self.now


class I2CTarget:
    IRQ_READ_REQ, IRQ_WRITE_REQ, IRQ_END_READ, IRQ_END_WRITE = 4, 8, 16, 32
    handler = None

    def __init__(self, number, address, *, scl=None, sda=None):
        I2CTarget.irq_object = Irq()

    def irq(self, handler, trigger, hard=False):
        assert hard
        I2CTarget.handler = handler
        return I2CTarget.irq_object


class machine:
    mem32 = Memory()
    I2CTarget = I2CTarget

    @staticmethod
    def disable_irq():
        return 0

    @staticmethod
    def enable_irq(state):
        pass


sys.modules["machine"] = machine
names = {"__name__": "firmware"}
exec(js.firmware, names)
rig = slave = None
while True:
    command, _, rest = js.hear().partition(" ")
    answer = ""
    if command == "new":
        rig = names["Rig"](int(rest))
        slave = names["Slave"](rig, None, None)
    elif command == "event":
        I2CTarget.irq_object.now = int(rest)
        I2CTarget.handler(None)
    elif command == "receive":
        answer = str(rig.receive(binascii.unhexlify(rest)))
    elif command == "transmit":
        answer = binascii.hexlify(rig.transmit()).decode()
    elif command == "tick":
        rig.tick(int(rest))
        slave.poll()
    elif command == "sides":
        rig.set_sides(int(rest))
    elif command == "answers":
        answer = str(int(rig.answers()))
    elif command == "lamps":
        answer = str(rig.shown_lamps())
    elif command == "run":
        answer = str(eval(binascii.unhexlify(rest).decode(), {"firmware": names, "machine": machine}))
    js.say("= " + answer)
