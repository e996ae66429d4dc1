"""Tests of the protocol reader, the addresses and what a server must offer."""
