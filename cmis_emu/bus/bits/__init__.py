"""I2C at the level of its two wires, on simulated time: for waveforms, timing, and back ends that see edges.

`wires` are the open-drain lines, `process` lets several parties act on them, `machine` turns edges into byte events
and `slave` puts it on the wires, `master` drives them, `bus` is a virtual bus made of all that; `limits` has the
numbers of the standards, `checker` judges edges by them, `vcd` records and writes waveforms, and `drawing` draws
messages that were recorded without any.
"""
