"""The gRPC service `emulator.SfpEmulatorService`, for test suites that were written for it."""
