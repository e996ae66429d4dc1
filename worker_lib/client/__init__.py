"""The calling side: from a call to its outcome.

In the order of the flow:

- `client` connects the parts; `submit` encodes a call, signs it, and stores it in
  one round trip.
- `nesting` bounds the calls that jobs make.
- `handle` is `Job`, what a caller holds.
- `waiters` and `outage` wait for outcomes, also while Redis is away; `outcomes` says
  what an outcome means.
- `inspection` is the read side: what jobs and machines there are.

Importing it costs as much as redis-py does, so `worker_lib` loads it at the first call.
"""
