"""An open conformance judge for CMIS modules: rules in, verdicts out, over any bus.

Owns what is checked and how a verdict is reported. It shares nothing with the emulated module but the field
map: what a module has is compiled from the advertisement that was read from it.
"""
