"""The only speaker of Redis.

A job's record, its place in a queue and its outcome are in Redis and nowhere else. Each
verb is one Lua script (`scripts`; one file in `lua/` for each): it runs whole or not at
all, on Redis's own clock, may be sent twice, and refuses who no longer holds the job.

- `store` has the verbs of the calling side; `connection` sends them from any thread,
  `calls` and `changes` wait for messages.
- `machine` has the verbs of a machine.
- `wire` is one connection, of either side, and `resp` its protocol: to import a client
  library would take most of a machine's cold start and of a process's first call.
- `new_job` and `replies` are what goes in and comes out; `keys` has names in Redis.
- `address`, `requirements`, `refusals` and `backoff`: which server, what it must allow,
  what its errors mean, and how long to wait before the next try.

Not promised: that jobs survive a Redis that loses its data.
"""
