"""The only speaker of Redis.

A job's record, its place in line and its outcome live in Redis and nowhere else;
every move of a job is one Lua script (`scripts`, one file per verb below `lua/`),
carried out whole, on Redis's own clock, and refused to whoever lost the job. The
calling side speaks through redis-py (`connection`, `store`); the machine, whose cold
start is money, through one socket (`wire`, `worker`).

What it does not promise: survival of a Redis that loses its data.
"""
