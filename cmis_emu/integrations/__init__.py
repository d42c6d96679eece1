"""Other people's frameworks on this emulator. Each module needs its framework, which is imported with it."""
