"""What of the firmware only runs on a board: compiled, and MicroPython's loop started with pins of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from rigs.arm_board import ARM_FLAGS, CROSS, needs_arm
from rigs.board import FIRMWARE
from rigs.mpy_board import MAIN

from cmis_emu.bus.pico import wire
from cmis_emu.bus.pico.wire import Kind

SDK_HEADERS = (
    "hardware/adc.h",
    "hardware/gpio.h",
    "hardware/i2c.h",
    "hardware/irq.h",
    "hardware/sync.h",
    "pico/rand.h",
    "pico/stdio/driver.h",
    "pico/stdio_usb.h",
    "pico/stdlib.h",
)
SDK = """
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
typedef unsigned uint;
typedef uint64_t absolute_time_t;
typedef struct repeating_timer { void *user_data; } repeating_timer_t;
typedef bool (*repeating_timer_callback_t)(repeating_timer_t *);
bool add_repeating_timer_ms(int32_t, repeating_timer_callback_t, void *, repeating_timer_t *);
absolute_time_t get_absolute_time(void);
uint32_t to_ms_since_boot(absolute_time_t);
void busy_wait_us_32(uint32_t);
#define count_of(a) (sizeof(a) / sizeof((a)[0]))
#define __not_in_flash_func(name) name
#define PICO_HIGHEST_IRQ_PRIORITY 0
uint32_t save_and_disable_interrupts(void);
void restore_interrupts(uint32_t);
void adc_init(void);
void adc_gpio_init(uint);
void adc_select_input(uint);
uint16_t adc_read(void);
enum gpio_function { GPIO_FUNC_I2C = 3 };
enum { GPIO_OUT = 1, GPIO_IRQ_EDGE_FALL = 4, I2C0_IRQ = 23 };
void gpio_init(uint);
void gpio_pull_up(uint);
void gpio_disable_pulls(uint);
void gpio_put(uint, bool);
bool gpio_get(uint);
void gpio_set_dir(uint, bool);
void gpio_set_function(uint, enum gpio_function);
void gpio_set_irq_enabled_with_callback(uint, uint32_t, bool, void (*)(uint, uint32_t));
typedef struct i2c_inst i2c_inst_t;
typedef struct i2c_hw i2c_hw_t;
extern i2c_inst_t i2c0_inst;
#define i2c0 (&i2c0_inst)
uint i2c_init(i2c_inst_t *, uint);
i2c_hw_t *i2c_get_hw(i2c_inst_t *);
void irq_set_exclusive_handler(uint, void (*)(void));
void irq_set_priority(uint, uint8_t);
void irq_set_enabled(uint, bool);
uint32_t get_rand_32(void);
typedef struct stdio_driver { void (*out_chars)(const char *, int); int (*in_chars)(char *, int); } stdio_driver_t;
extern stdio_driver_t stdio_usb;
bool stdio_usb_init(void);
bool stdio_usb_connected(void);
"""


@needs_arm
def test_main_compiles_against_declarations_like_the_sdks(tmp_path: Path) -> None:
    """Not the SDK: what main.c uses of it, declared as its documentation says."""
    (tmp_path / "sdk.h").write_text(SDK)
    for each in SDK_HEADERS:
        file = tmp_path / each
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text('#include "sdk.h"\n')
    command = [f"{CROSS}gcc", *ARM_FLAGS, "-I", str(tmp_path), "-c", str(FIRMWARE / "main.c"), "-o", os.devnull]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@needs_arm
@pytest.mark.parametrize("board", ["pico", "pico2"])
@pytest.mark.skipif("PICO_SDK_PATH" not in os.environ, reason="PICO_SDK_PATH names no pico-sdk")
@pytest.mark.timeout(600)
def test_the_sdk_builds_it(board: str, tmp_path: Path) -> None:
    if shutil.which("cmake") is None:
        pytest.skip("no cmake on this machine")
    generate = ["cmake", "-S", str(FIRMWARE), "-B", str(tmp_path), f"-DPICO_BOARD={board}", "-DPICO_NO_PICOTOOL=1"]
    for command in (generate, ["cmake", "--build", str(tmp_path), "-j2"]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    code = subprocess.run([f"{CROSS}nm", str(tmp_path / "cmis_pico.elf")], capture_output=True, text=True, check=True)
    places = {line.split()[2]: int(line.split()[0], 16) for line in code.stdout.splitlines() if len(line.split()) == 3}
    for name in ("slave_irq", "map_show", "map_left", "map_over", "finish_write", "report_read", "rig_answers"):
        assert 0x2000_0000 <= places[name] < 0x2004_2000, f"{name} is not in RAM"


MAIN_LOOP = """
import runpy, sys, time, types
class Pin:
    IN, OUT, PULL_UP = 0, 1, 2
    made = {}
    def __init__(self, number, mode=None, pull=None, value=None):
        self.number = number
        Pin.made[number] = self
    def value(self, level=None):
        return 1
class ADC:
    def __init__(self, number): pass
    def read_u16(self): return 40000
class I2CTarget:
    IRQ_READ_REQ, IRQ_WRITE_REQ, IRQ_END_READ, IRQ_END_WRITE = 4, 8, 16, 32
    def __init__(self, number, address, *, scl, sda):
        assert (number, address, scl.number, sda.number) == (0, 0x50, 5, 4)
    def irq(self, handler, trigger, hard): assert hard and trigger == 60
machine = types.ModuleType("machine")
machine.Pin, machine.ADC, machine.I2CTarget = Pin, ADC, I2CTarget
machine.mem32 = type("M", (), {"__getitem__": lambda s, a: 0, "__setitem__": lambda s, a, v: None})()
machine.disable_irq, machine.enable_irq = (lambda: 0), (lambda s: None)
micropython = types.ModuleType("micropython")
micropython.kbd_intr = micropython.alloc_emergency_exception_buf = lambda *_: None
time.ticks_ms = lambda: int(time.monotonic() * 1000) & 0x3FFFFFFF
time.ticks_diff, time.ticks_add = (lambda a, b: a - b), (lambda a, b: a + b)
import gc, os
gc.mem_free = lambda: 100000
class Out:
    class buffer:
        @staticmethod
        def write(data): os.write(1, data)
    @staticmethod
    def flush(): pass
keep = sys.stdin, sys.stdout
sys.stdout = Out
class In:
    class buffer:
        @staticmethod
        def read(n): return os.read(0, n)
    @staticmethod
    def fileno(): return 0
sys.stdin = In
sys.modules.update(machine=machine, micropython=micropython)
runpy.run_path(sys.argv[1], run_name="__main__")
"""


@pytest.mark.timeout(30)
def test_the_main_loop_in_micropython_says_what_it_is() -> None:
    """Under CPython, with pins and registers that are always the same."""
    with subprocess.Popen(
        [sys.executable, "-c", MAIN_LOOP, str(MAIN)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(wire.Frame(Kind.QUERY, 5, 0, 0).encode())
        process.stdin.flush()
        found = b""
        while not found.endswith(b"\0"):
            found += process.stdout.read(1)
        process.kill()
        process.stdin.close()
    frame = wire.decode(found[:-1])
    assert frame is not None
    assert frame.kind == Kind.INFO
    assert frame.body[:6] == b"CMIS\x01\x02"
