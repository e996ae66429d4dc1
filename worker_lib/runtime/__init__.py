"""What runs in the machine: a small supervisor, and a child with the user's code.

The supervisor is one loop (`supervisor`) that waits for whatever happens first. It
claims as many jobs as end within a small budget of time (`budget`, `held`), sends them
to the child ahead, with permits that it can take back (`link`, `permits`), and sees to
it that each of them ends: it enforces the timeout, hears of a cancel (`control`),
captures what is printed (`output`), and gives back what did not begin (`runner`).
Meanwhile it reports what has ended and fetches more (`reports`, `exchange`), and renews
the lease (`lease`), so the child never waits for Redis. When the pool is empty it exits
at once, or parks (`park`).

The child (`child`) verifies, unpickles, runs and signs. It is forked before the first
claim is answered, and again whenever it has ended; a child that is killed never takes
the supervisor with it, which then reports the true cause.

Nothing here imports what a cold start can do without: no requests, no asyncio,
no logging.

Not promised: that a machine outlives whatever happens to it. The sweep finds its jobs.
"""
