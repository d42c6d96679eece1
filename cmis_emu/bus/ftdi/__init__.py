"""An FT232H on USB: as the host of a real module, and as a module for a real host.

`commands` has what its engine (MPSSE) understands, `follower` turns streams of such commands into an I2C slave,
`chip` reaches a real one through pyftdi, `slave` is the way onto a bus; `host` is an I2C host with side-band pins,
and `loop` measures what is at the other end of one.
"""
