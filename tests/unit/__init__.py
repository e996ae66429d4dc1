"""Tests of single modules, alone: no server, no machine."""
