"""Thousands of calls at once under Fly's limits, on a virtual clock.

The launcher, the sweeper, the store, its scripts and the emulator are the real ones; in
place of a machine's process stands a model that calls the machine's real verbs. Time
passes only when nobody has anything to do, so hours take seconds.
"""
