"""What the library costs, beside other job queues and the limit of the computer.

`make bench` prints tables and exits; nothing is asserted, since times on a shared
computer are no promise. What may be compared are figures of one run: all libraries are
measured in turn, so that a slow moment slows all.

`rig` starts a Valkey server and an emulator of its own; `libraries` installs peers,
each in an environment of its own, and starts `contenders/serve.py` in it, which times
them; `rounds` asks these in turn, `rows` says what our figures are to reach, `report`
prints them. `bare` measures what the computer can do at all, `counting` counts
commands. `imports` and `server` measure what concerns this library alone: what
importing costs, and what a job costs the Redis server (`make bench ARGS=--server`, a
few seconds).

What this does not tell: how long Fly takes. Its machines boot elsewhere.
"""
