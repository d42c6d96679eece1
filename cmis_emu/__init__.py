"""cmis-emu: software that is a CMIS optical module."""
