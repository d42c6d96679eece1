"""A Raspberry Pi's own I2C slave (BSC) as a module: a helper in C that polls it, pages in shared memory. Experimental.

`bsc_slave.c` is what happens at each look at the chip, `bsc_helper.c` the process around it; `build` compiles both,
`shared` is the memory between helper and emulator, `mirror` keeps a module and that memory alike, `board` says which
Raspberry Pi this is, and `way` is `--serve rpi-bsc:`. `pigpio` says why its daemon cannot do this.
"""
