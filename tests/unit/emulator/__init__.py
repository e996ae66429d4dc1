"""Parts of the emulator that need no machine."""
