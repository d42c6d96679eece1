"""A Raspberry Pi Pico as the module's front end on real wires: the host's side of it.

The board holds a copy of the module's pages and answers the bus from it, so that no read waits for USB. `wire` is
what frames look like, `link` gets them across in order whatever is lost, `replica` is what the board does with them,
byte for byte, `mirror` keeps board and module in step, and `way` is `--serve pico:DEVICE`. The board's firmware, the
protocol and the reasons are in `hardware/pico`.
"""
