// Runs the MicroPython firmware under MicroPython's WebAssembly build: node mpy_wasm.mjs PACKAGE MAIN.PY DRIVER.PY
// The registers of the I2C block are the parent process's; lines go both ways over stdin and stdout.
import fs from "node:fs";

const { loadMicroPython } = await import(process.argv[2]);
let pending = "";

function hear() {
  for (;;) {
    const end = pending.indexOf("\n");
    if (end >= 0) {
      const line = pending.slice(0, end);
      pending = pending.slice(end + 1);
      return line;
    }
    const room = Buffer.alloc(65536);
    let size = 0;
    try {
      size = fs.readSync(0, room, 0, room.length, null);
    } catch (error) {
      if (error.code === "EAGAIN") continue;
      throw error;
    }
    if (size === 0) process.exit(0);
    pending += room.toString("latin1", 0, size);
  }
}

function say(line) {
  fs.writeSync(1, line + "\n");
}

globalThis.readRegister = (offset) => {
  say("r " + offset);
  return parseInt(hear(), 10);
};
globalThis.writeRegister = (offset, value) => {
  say("w " + offset + " " + value);
  hear();
};
globalThis.hear = hear;
globalThis.say = say;
globalThis.firmware = fs.readFileSync(process.argv[3], "utf8");

const mp = await loadMicroPython({ heapsize: 2 * 1024 * 1024, stdout: (line) => process.stderr.write(line + "\n") });
mp.runPython(fs.readFileSync(process.argv[4], "utf8"));
