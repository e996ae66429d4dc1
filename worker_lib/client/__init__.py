"""The calling side: from a call to its outcome.

In the order of the flow:

- `client` connects the parts; `submit` stores a call in one round trip.
- `encoding` plans, pickles and signs it.
- `nesting` bounds the calls that jobs make.
- `handle` is `Job`, what a caller holds.
- `waiters` and `outage` wait for outcomes, also while Redis is away; `outcomes` says
  what an outcome means.
- `events` calls the hooks of this side.
- `inspection` is the read side: what jobs and machines there are; `output` has what a
  job printed.
- `configuration` shows the settings, without secrets.
- `edits` runs a stored job again, changes or deletes it; `queues` pauses and resumes.

Machines hardly ever need it, so `worker_lib` loads it at the first call.
"""
