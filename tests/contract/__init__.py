"""What every runtime of the emulator has to do, asked over HTTP."""
