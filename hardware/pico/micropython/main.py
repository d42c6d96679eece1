"""A Raspberry Pi Pico as a CMIS module's front end, in MicroPython (v1.26 or newer): copy this file to the board.

The same as the firmware in C, in one file: the copy of the pages, what the bus does to it, the link to the host, the
lease. hardware/pico/README.md describes the protocol and the reasons; names are those of firmware/map.c, rig.c and
slave.c. What the interrupt calls allocates nothing: MicroPython forbids it there.

machine.I2CTarget sets up the I2C block and calls the handler; the bytes are taken from the block's registers, since
only there it shows which byte is the first of a message, and a message that ends before its last byte was fetched is
not torn. SDA is GP4, SCL is GP5; the pins of the side band are those of the README.
"""

import gc
import os
import select
import sys
from array import array

import machine

try:
    from time import ticks_add, ticks_diff, ticks_ms

    import micropython
except ImportError:  # CPython, for tests

    def ticks_ms():
        return machine.ticks_ms()

    def ticks_diff(a, b):
        return ((a - b + 0x20000000) & 0x3FFFFFFF) - 0x20000000

    def ticks_add(a, b):
        return (a + b) & 0x3FFFFFFF

    micropython = None

VERSION, KIND = 1, 2
HALF, SLOTS, NO_SLOT = 128, 96, 0xFF
WRITE_MAX, READ_MAX, CLEARS_MAX, PIECE_MAX = 2048, 4096, 60, 128
BANK_SELECT, PAGE_SELECT = 126, 127
END_STOP, END_RESTART, END_MORE = 0, 1, 2
IDLE, WRITING, READING = 0, 1, 2
RING, RING_ROOM = 8192, 4608
BEAT_MS, RESEND_MS, BREAK_MS, TOLD_MAX = 20, 30, 50, 8
M_WRITE, M_READ, M_SIDE, M_INFO, M_BEAT, M_STATS = 0x90, 0x91, 0x92, 0x81, 0x82, 0x84
QUERY, OPEN, ACK, ASK = 1, 2, 3, 4
SETUP, PAGE, ATTR, LOAD, MAP, PINS, ENABLE, SYNC, RESTART = range(0x10, 0x19)
S_READS, S_WRITES, S_BAD, S_GAPS, S_LATE, S_LEASES, S_OVERRUNS, S_ABORTS = range(8)
RESET_L, LP_MODE, MOD_SEL_L = 1, 2, 4


def after(a, b):
    """Is number a later than b, in 16 bits that come round?"""
    return 0 < ((a - b) & 0xFFFF) < 0x8000


class Page:
    def __init__(self, number, bank, banked, following, limit):
        self.number = number
        self.bank = bank
        self.banked = banked
        self.next = following
        self.limit = limit
        self.data = bytearray(HALF)
        self.write = bytearray(HALF)
        self.clear = bytearray(HALF)
        self.hold = bytearray(HALF // 8)
        self.marks = bytearray(HALF)
        self.touch = array("H", bytearray(2 * HALF))
        self.newest = 0
        self.touched = False


class Rig:
    """Map and link. `ms` is the time of the last tick."""

    def __init__(self, nonce):
        self.nonce = nonce
        self.stats = array("I", bytearray(4 * 8))
        self.sides = RESET_L
        self.buffer = bytearray(WRITE_MAX)
        self.clears = bytearray(2 * CLEARS_MAX)
        self.ring = bytearray(RING)
        self.rx = bytearray(160)
        self.rx_length = 0
        self.rx_spoilt = False
        self.stalled = None
        self.want_info = False
        self.ms = 0
        self.forget(False, 0)

    def forget(self, is_open, session):
        """A new session: nothing is left of the last one but counters and the levels of pins."""
        self.open = is_open
        self.session = session
        self.pages = [None] * SLOTS
        self.index = [bytearray(b"\xff" * 256) for _ in range(4)]
        self.banks = 1
        self.flat = False
        self.read_limit = READ_MAX
        self.upper = 0
        self.map_touch = 0
        self.map_touched = False
        self.pointer = 0
        self.mode = IDLE
        self.pending = False
        self.origin = self.origin_slot = self.length = self.limit = 0
        self.read_slot = self.read_offset = self.read_count = self.read_total = self.cleared = 0
        self.hold = False
        self.hold_report = 0
        self.expected = self.told = 1
        self.head = self.tail = self.send = 0
        self.next = self.sending = 1
        self.acked = 0
        self.progress_ms = self.beat_ms = self.ms
        self.want_beat = self.want_stats = self.gap = False
        self.synced = self.leased = self.holding = self.enabled = self.resetting = False
        self.sync_ms = self.held_ms = self.reset_report = self.lamps = self.pin_set = 0
        self.lease_ms, self.hold_ms = 500, 10

    # -- the bus: called by the interrupt, allocates nothing -------------------------------------------------

    def first(self, value):
        self.mode = WRITING
        self.pointer = self.origin = value
        self.origin_slot = self.upper if value & HALF else 0
        self.limit = self.pages[self.origin_slot].limit
        self.length = 0

    def more(self, value):
        if self.mode != WRITING or self.length >= self.limit:
            return  # I2C-06
        self.buffer[self.length] = value
        self.length += 1
        self.pointer = (self.pointer & HALF) | ((self.pointer + 1) & 127)

    def touch(self, page, index, report):
        page.marks[index] = 1
        page.touch[index] = report
        page.newest = report
        page.touched = True

    def touch_select(self, report):
        self.touch(self.pages[0], BANK_SELECT, report)
        self.touch(self.pages[0], PAGE_SELECT, report)
        self.map_touched = True
        self.map_touch = report

    def select(self, number, bank):
        """Rules PAGE-02 to PAGE-06."""
        lower = self.pages[0].data
        slot = self.index[0][number]
        if slot != NO_SLOT and self.pages[slot].banked:
            slot = self.index[bank][number] if bank < 4 else NO_SLOT
        elif slot != NO_SLOT and bank >= self.banks:
            bank = 0
        if slot == NO_SLOT:
            number = bank = 0
            slot = self.index[0][0]
        lower[BANK_SELECT] = bank
        lower[PAGE_SELECT] = number
        if slot != NO_SLOT:
            self.upper = slot

    def finish_write(self, end):
        self.mode = IDLE
        length = self.length
        if length == 0:
            return
        done = report = 0
        while done < length:
            size = length - done
            size = min(size, PIECE_MAX)
            report = self.begin(M_WRITE, size + 3)
            self.put(self.origin_slot)
            self.put(self.origin)
            self.put(END_MORE if done + size < length else end)
            for i in range(done, done + size):
                self.put(self.buffer[i])
            done += size
            self.stats[S_WRITES] += 1
        slot = self.origin_slot
        start = index = self.origin & 127
        page = self.pages[slot]
        selected = False
        for i in range(length):
            mask = page.write[index]
            if mask and not (slot == 0 and index >= BANK_SELECT):
                page.data[index] = (page.data[index] & (0xFF ^ mask)) | (self.buffer[i] & mask)
                self.touch(page, index, report)
            if page.hold[index >> 3] >> (index & 7) & 1:
                self.hold = True
                self.hold_report = report
            index += 1
            if index == HALF:
                index = 0
                if slot and page.next != NO_SLOT:  # CDB-13
                    slot = page.next
                    page = self.pages[slot]
                    self.select(page.number, page.bank)
                    selected = True
        if selected:
            self.touch_select(report)
        if self.origin_slot == 0 and not self.flat:
            stop = start + length
            bank_written = start <= BANK_SELECT < stop
            page_written = start <= PAGE_SELECT < stop
            if bank_written or page_written:
                lower = self.pages[0].data
                bank = self.buffer[BANK_SELECT - start] if bank_written else lower[BANK_SELECT]
                if page_written:
                    self.select(self.buffer[PAGE_SELECT - start], bank)
                else:
                    lower[BANK_SELECT] = bank
                self.touch_select(report)
        self.length = 0

    def tell_read(self, end):
        if self.read_count == 0:
            return 0
        report = self.begin(M_READ, 5 + 2 * self.cleared)
        self.put(self.read_slot)
        self.put(self.read_offset)
        self.put(end)
        self.put(self.read_count & 0xFF)
        self.put(self.read_count >> 8)
        for i in range(2 * self.cleared):
            self.put(self.clears[i])
        for i in range(self.cleared):
            self.touch(self.pages[self.read_slot], self.clears[2 * i], report)
        self.stats[S_READS] += 1
        self.cleared = 0
        self.read_count = 0
        return report

    def show(self):
        if self.mode == WRITING:
            self.finish_write(END_RESTART)
        if self.mode != READING:
            self.mode = READING
            self.read_count = self.read_total = self.cleared = 0
        self.pending = True
        if self.read_total >= self.read_limit:
            return 0xFF  # I2C-05
        address = self.pointer
        return self.pages[self.upper if address & HALF else 0].data[address & 127]

    def left(self):
        if not self.pending:
            return
        self.pending = False
        if self.mode != READING or self.read_total >= self.read_limit:
            return
        address = self.pointer
        index = address & 127
        slot = self.upper if address & HALF else 0
        page = self.pages[slot]
        if self.read_count == 0:
            self.read_slot = slot
            self.read_offset = address
        self.read_count += 1
        self.read_total += 1
        gone = page.data[index] & page.clear[index]
        if gone:  # FLG-04
            page.data[index] &= 0xFF ^ gone
            self.clears[2 * self.cleared] = index
            self.clears[2 * self.cleared + 1] = gone
            self.cleared += 1
        self.pointer = (address & HALF) | ((address + 1) & 127)
        if index == 127 and slot and page.next != NO_SLOT:  # CDB-13
            report = self.tell_read(END_MORE)
            page = self.pages[page.next]
            self.select(page.number, page.bank)
            self.touch_select(report)
        elif self.cleared == CLEARS_MAX:
            self.tell_read(END_MORE)

    def over(self, end):
        if self.mode == WRITING:
            self.finish_write(end)
        elif self.mode == READING:
            self.tell_read(end)
        self.pending = False
        self.mode = IDLE

    def abort(self):
        if self.mode == READING:
            self.tell_read(END_STOP)
        self.pending = False
        self.length = 0
        self.mode = IDLE

    def put(self, value):
        self.ring[self.head] = value
        self.head = (self.head + 1) & (RING - 1)

    def begin(self, kind, length):
        applied = (self.expected - 1) & 0xFFFF
        self.put(length + 2)
        self.put(kind)
        self.put(applied & 0xFF)
        self.put(applied >> 8)
        number = self.next
        self.next = (number + 1) & 0xFFFF
        return number

    def room(self):
        return RING - 1 - ((self.head - self.tail) & (RING - 1)) >= RING_ROOM

    def answers(self):
        if not self.open or not self.enabled or not self.leased or self.hold or self.resetting or not self.room():
            return False
        return not self.pin_set or self.sides & (RESET_L | MOD_SEL_L) == RESET_L

    # -- the main loop ---------------------------------------------------------------------------------------

    def breaks_off(self):
        if self.open and self.pin_set and not self.sides & RESET_L:
            return True
        return not self.open or ticks_diff(self.ms, self.sync_ms) >= self.lease_ms + BREAK_MS

    def shown_lamps(self):
        return self.lamps if self.open and self.leased else 0

    def tick(self, ms):
        self.ms = ms
        leased = self.open and self.synced and ticks_diff(ms, self.sync_ms) < self.lease_ms
        if self.leased and not leased:
            self.stats[S_LEASES] += 1
        self.leased = leased
        if not self.hold:
            self.holding = False
        elif not self.holding:
            self.holding = True
            self.held_ms = ms
        elif ticks_diff(ms, self.held_ms) >= self.hold_ms:
            self.hold = self.holding = False
            self.stats[S_LATE] += 1

    def set_sides(self, levels):
        if levels == self.sides:
            return
        self.sides = levels
        if self.open and self.pin_set:
            self.report_sides()

    def report_sides(self):
        state = machine.disable_irq()
        number = self.begin(M_SIDE, 1)
        self.put(self.sides)
        machine.enable_irq(state)
        if not self.sides & RESET_L:
            self.reset_report = number
            self.resetting = True

    def acknowledged(self, number):
        if after(number, (self.next - 1) & 0xFFFF):
            return
        while after(number, self.acked):
            step = self.ring[self.tail] + 2
            if self.sending == (self.acked + 1) & 0xFFFF:
                self.sending = (self.sending + 1) & 0xFFFF
                self.send = (self.send + step) & (RING - 1)
            self.tail = (self.tail + step) & (RING - 1)
            self.acked = (self.acked + 1) & 0xFFFF
            self.progress_ms = self.ms

    def send_again(self):
        self.send = self.tail
        self.sending = (self.acked + 1) & 0xFFFF
        self.progress_ms = self.ms

    def seen(self, report):
        for page in self.pages:
            if page is not None and page.touched:
                for index in range(HALF):
                    if page.marks[index]:
                        state = machine.disable_irq()
                        if not after(page.touch[index], report):
                            page.marks[index] = 0
                        machine.enable_irq(state)
                state = machine.disable_irq()
                page.touched = after(page.newest, report)
                machine.enable_irq(state)
        state = machine.disable_irq()
        if self.map_touched and not after(self.map_touch, report):
            self.map_touched = False
        if self.hold and not after(self.hold_report, report):
            self.hold = False
        machine.enable_irq(state)
        if self.resetting and not after(self.reset_report, report):
            self.resetting = False

    def load(self, slot, offset, seen, data):
        page = self.pages[slot]
        if page is None or offset + len(data) > HALF:
            return
        if page.touched:
            for i in range(len(data)):
                if page.marks[offset + i] and after(page.touch[offset + i], seen):
                    data[i] = page.data[offset + i]
        page.data[offset : offset + len(data)] = data

    def take(self, kind, body, data=None):
        """One message of the stream, with interrupts held off unless it is slow and harms nobody."""
        if kind == SETUP:
            self.flat = bool(body[0] & 1)
            self.banks = body[1]
            self.lease_ms = body[3] | body[4] << 8
            self.hold_ms = body[5] | body[6] << 8
            self.read_limit = (body[7] | body[8] << 8) or READ_MAX
            self.pin_set = body[2]
            if self.pin_set:
                self.report_sides()
        elif kind == PAGE and body[0] < SLOTS and body[2] < 4:
            slot, number, bank = body[0], body[1], body[2]
            limit = body[5] | body[6] << 8
            self.pages[slot] = Page(number, bank, body[3] & 1, body[4], limit if limit < WRITE_MAX else WRITE_MAX)
            if slot:
                self.index[bank][number] = slot
                if number == 0 and self.upper == 0:
                    self.upper = slot
        elif kind == ATTR:
            page = self.pages[body[0]]
            table = (page.write, page.clear, page.hold)[body[1]]
            if body[2] + len(body) - 3 <= len(table):
                table[body[2] : body[2] + len(body) - 3] = body[3:]
        elif kind == LOAD:
            self.load(body[0], body[1], body[2] | body[3] << 8, data)
        elif kind == MAP:
            if not (self.map_touched and after(self.map_touch, body[1] | body[2] << 8)):
                self.upper = body[0]
        elif kind == PINS:
            self.lamps = body[0]
        elif kind == ENABLE:
            self.enabled = bool(body[0])
        elif kind == SYNC:
            self.seen(body[0] | body[1] << 8)
            age = (self.ms - (body[2] | body[3] << 8 | body[4] << 16 | body[5] << 24)) & 0x3FFFFFFF
            at = ticks_add(self.ms, -age)
            if not self.synced or ticks_diff(at, self.sync_ms) > 0:
                self.sync_ms = at
            self.synced = True
        elif kind == RESTART:
            self.pointer = 0

    def handle(self, frame):
        """A decoded frame. False when it has to wait until no message is under way on the bus."""
        kind = frame[0]
        session = frame[1] | frame[2] << 8
        number = frame[3] | frame[4] << 8
        body = frame[7:]
        if kind == QUERY:
            self.want_info = True
            return True
        if kind == OPEN:
            if len(body) >= 4 and body[0] | body[1] << 8 | body[2] << 16 | body[3] << 24 == self.nonce:
                if self.mode != IDLE:
                    return False
                self.nonce = (self.nonce + 1) & 0xFFFFFFFF
                self.forget(True, session)
            self.want_info = True
            return True
        if not self.open or session != self.session:
            self.want_info = True
            return True
        self.acknowledged(frame[5] | frame[6] << 8)
        if kind == ACK:
            if body and body[0] and self.sending != (self.acked + 1) & 0xFFFF:
                self.send_again()
            return True
        if kind == ASK:
            self.want_stats = True
            return True
        if number != self.expected:
            if after(number, self.expected):
                self.stats[S_GAPS] += 1
                self.gap = True
            self.want_beat = True
            return True
        if kind in (PINS, ENABLE, SYNC):
            self.expected = (number + 1) & 0xFFFF
            self.take(kind, body)
        else:
            data = body[4:]
            state = machine.disable_irq()
            if self.mode != IDLE:
                machine.enable_irq(state)
                return False
            self.expected = (number + 1) & 0xFFFF
            try:
                self.take(kind, body, data)
            except (IndexError, AttributeError):
                self.stats[S_BAD] += 1
            machine.enable_irq(state)
        self.gap = False
        if (self.expected - self.told) & 0xFFFF >= TOLD_MAX:
            self.want_beat = True
        return True

    def receive(self, data):
        """Bytes from the host; how many were taken."""
        if self.stalled is not None and self.handle(self.stalled):
            self.stalled = None
        taken = 0
        for value in data:
            if self.stalled is not None:
                break
            taken += 1
            if value:
                if self.rx_length < len(self.rx):
                    self.rx[self.rx_length] = value
                    self.rx_length += 1
                else:
                    self.rx_spoilt = True
                continue
            frame = None if self.rx_spoilt else decode(self.rx, self.rx_length)
            if frame is None and self.rx_length:
                self.stats[S_BAD] += 1
            self.rx_length = 0
            self.rx_spoilt = False
            if frame is not None and not self.handle(frame):
                self.stalled = frame
        return taken

    def transmit(self):
        """One frame for the host, or nothing."""
        if self.want_info:
            self.want_info = False
            body = b"CMIS" + bytes([VERSION, KIND]) + self.nonce.to_bytes(4, "little") + bytes([SLOTS])
            return self.frame(M_INFO, 0, body + WRITE_MAX.to_bytes(2, "little"))
        if not self.open:
            return b""
        if ticks_diff(self.ms, self.beat_ms) >= BEAT_MS:
            self.want_beat = True
        if self.sending != (self.acked + 1) & 0xFFFF and ticks_diff(self.ms, self.progress_ms) >= RESEND_MS:
            self.send_again()
        if self.want_beat:
            self.want_beat = False
            self.beat_ms = self.ms
            self.told = self.expected
            flags = bool(self.answers()) | self.leased << 1 | self.hold << 2 | self.gap << 3 | (not self.room()) << 4
            self.gap = False
            last = (self.next - 1) & 0xFFFF
            return self.frame(M_BEAT, 0, self.ms.to_bytes(4, "little") + last.to_bytes(2, "little") + bytes([flags]))
        if self.sending != self.next:
            if self.sending == (self.acked + 1) & 0xFFFF:
                self.progress_ms = self.ms
            at = self.send
            length = self.ring[at]
            body = bytes(self.ring[(at + 2 + i) & (RING - 1)] for i in range(length))
            number = self.sending
            self.send = (at + 2 + length) & (RING - 1)
            self.sending = (number + 1) & 0xFFFF
            return self.frame(self.ring[(at + 1) & (RING - 1)], number, body)
        if self.want_stats:
            self.want_stats = False
            return self.frame(M_STATS, 0, b"".join(each.to_bytes(4, "little") for each in self.stats))
        return b""

    def frame(self, kind, number, body):
        raw = bytearray([kind])
        for value in (self.session, number, (self.expected - 1) & 0xFFFF):
            raw += value.to_bytes(2, "little")
        raw += body
        raw += crc16(raw, len(raw)).to_bytes(2, "little")
        coded = bytearray(1)
        at = 0
        for value in raw:
            if value:
                coded.append(value)
            if not value or len(coded) - at == 255:
                coded[at] = len(coded) - at
                at = len(coded)
                coded.append(0)
        coded[at] = len(coded) - at
        coded.append(0)
        return bytes(coded)


def crc16(data, length):
    """CRC-16/CCITT-FALSE."""
    crc = 0xFFFF
    for i in range(length):
        x = (crc >> 8) ^ data[i]
        x ^= x >> 4
        crc = ((crc << 8) ^ (x << 12) ^ (x << 5) ^ x) & 0xFFFF
    return crc


def decode(coded, length):
    """A frame without its CRC, or None for a broken one."""
    raw = bytearray()
    at = 0
    while at < length:
        run = coded[at]
        if run == 0 or at + run > length:
            return None
        raw += coded[at + 1 : at + run]
        at += run
        if run != 0xFF and at < length:
            raw.append(0)
    size = len(raw) - 2
    if size < 7 or crc16(raw, size) != raw[size] | raw[size + 1] << 8:
        return None
    return raw[:size]


RX_DONE, STOP_DET, RD_REQ, RX_FULL = 1 << 7, 1 << 9, 1 << 5, 1 << 2
RFNE, SLV_ACTIVITY, FIRST = 1 << 3, 1 << 6, 1 << 11


class Slave:
    """The I2C block behind machine.I2CTarget. Its handler is a hard interrupt and allocates nothing."""

    def __init__(self, rig, scl, sda):
        self.rig = rig
        base = 0x40090000 if "RP2350" in getattr(sys.implementation, "_machine", "") else 0x40044000
        self.data = base + 0x10
        self.raw = base + 0x34
        self.clear_done = base + 0x58
        self.enable = base + 0x6C
        self.status = base + 0x70
        self.memory = machine.mem32
        self.on = True
        self.done = False
        target = machine.I2CTarget
        self.want = target.IRQ_READ_REQ
        self.target = target(0, 0x50, scl=scl, sda=sda)
        trigger = target.IRQ_READ_REQ | target.IRQ_WRITE_REQ | target.IRQ_END_READ | target.IRQ_END_WRITE
        self.switch(False)
        self.handler = self.interrupt  # bound once: binding allocates
        self.irq = self.target.irq(self.handler, trigger, hard=True)

    def switch(self, on):
        self.memory[self.enable] = 1 if on else 0
        self.on = on

    def drain(self):
        rig = self.rig
        memory = self.memory
        while memory[self.status] & RFNE:
            value = memory[self.data]
            if value & FIRST:
                if rig.mode:
                    rig.over(END_RESTART)
                self.done = False
                rig.first(value & 0xFF)
            else:
                rig.more(value & 0xFF)

    def interrupt(self, _):
        rig = self.rig
        memory = self.memory
        reading = self.irq.flags() & self.want
        if memory[self.raw] & RX_DONE:  # comes before whatever waits in the FIFO
            memory[self.clear_done]
            rig.left()
            self.done = True
        if not reading and rig.pending:
            rig.pending = False  # END without a refused byte: it was cut off
        self.drain()
        if reading:
            if self.done or (rig.mode == READING and not rig.pending):
                rig.over(END_RESTART)
                self.done = False
            rig.left()
            memory[self.data] = rig.show()
        elif not memory[self.status] & SLV_ACTIVITY:
            self.drain()
            rig.over(END_STOP)
            self.done = False
            if self.on and not rig.answers():
                self.switch(False)

    def poll(self):
        rig = self.rig
        memory = self.memory
        state = machine.disable_irq()
        quiet = not memory[self.status] & (SLV_ACTIVITY | RFNE)
        if self.on and rig.mode and rig.breaks_off():
            self.switch(False)
            rig.abort()
            rig.stats[S_ABORTS] += 1
        elif quiet:
            if rig.mode and not memory[self.raw] & (RD_REQ | RX_FULL | STOP_DET):
                if memory[self.raw] & RX_DONE:
                    memory[self.clear_done]
                    rig.left()
                rig.over(END_STOP)
                self.done = False
            if self.on != bool(rig.answers()) and not rig.mode:
                self.switch(not self.on)
        elif not self.on and rig.answers():
            self.switch(True)
        machine.enable_irq(state)


class SideBand:
    """The pins beside the bus, as the README wires them; which ones there are the host says.

    QSFP-DD: ResetL, LPMode and ModSelL come in, IntL and ModPrsL are pulled low through a transistor each. OSFP: two
    lines of three levels come in through the ADC, and INT is driven through a transistor; not proven on a bench.
    """

    LOW = 1250 * 65535 // 3300  # of an OSFP line, below which the host pulls it

    def __init__(self, rig):
        self.rig = rig
        pin = machine.Pin
        self.inputs = [pin(number, pin.IN, pin.PULL_UP) for number in (10, 11, 12)]
        self.outputs = [pin(number, pin.OUT, value=0) for number in (13, 14)]
        self.lines = [machine.ADC(26), machine.ADC(27)]

    def poll(self):
        rig = self.rig
        levels = 0
        if rig.pin_set == 1:
            for i in range(3):
                levels |= self.inputs[i].value() << i
            rig.set_sides(levels)
        elif rig.pin_set == 2:
            if self.lines[0].read_u16() >= self.LOW:
                levels = RESET_L
            if self.lines[1].read_u16() < self.LOW:
                levels |= LP_MODE
            rig.set_sides(levels)
        lamps = rig.shown_lamps()
        for i in range(2):
            self.outputs[i].value(lamps >> i & 1)


def main():
    micropython.kbd_intr(-1)  # Ctrl-C is a byte like any other
    micropython.alloc_emergency_exception_buf(100)
    rig = Rig(int.from_bytes(os.urandom(4), "little") & 0x3FFFFFFF)
    slave = Slave(rig, machine.Pin(5), machine.Pin(4))
    band = SideBand(rig)
    poll = select.poll()
    poll.register(sys.stdin, select.POLLIN)
    pending = bytearray()
    while True:
        rig.tick(ticks_ms())
        slave.poll()
        band.poll()
        for _ in range(64):
            if not poll.poll(0):
                break
            pending += sys.stdin.buffer.read(1)
        taken = rig.receive(pending)
        pending = pending[taken:]
        frame = rig.transmit()
        if frame:
            sys.stdout.buffer.write(frame)
        if gc.mem_free() < 30000:
            gc.collect()  # here, and not while interrupts are held off


if __name__ == "__main__":
    main()
