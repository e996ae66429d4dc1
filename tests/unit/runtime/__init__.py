"""Tests of what runs in the machine, without a machine."""
