"""The client of Fly's Machines API, which the emulator speaks too.

A call goes through these modules in order:

- `api` checks its arguments, sends it and reads the reply. It alone knows HTTP and
  imports `requests`, so nothing is exported from here: a process that only reads
  types does not pay for that import.
- `address` has said, once, where calls go and how they prove who they are.
- `errors` turns a refusal, or silence, into one of `worker_lib.errors`, with the
  one thing a program needs to know: what to do about it.
- `types` holds what came back.
- `protocol` has the few verbs that the launcher and the sweeper use.

Not promised: that a list is complete, or that a machine just created is found by
the next call. Fly's API is eventually consistent. Nothing here decides to try
another region or size, waits out a rate limit, or sends a create twice: that is
the launcher's business.
"""
