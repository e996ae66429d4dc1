"""What runs in the machine: a small supervisor, and a child with the user's code.

The supervisor (`supervisor`) claims a job from Redis, hands it to the child, renews
the lease, enforces the timeout, watches for a cancel, captures what is printed,
reports the outcome and takes the next job in the same step; when the pool is empty it
exits at once. The child (`child`) verifies, unpickles, runs and signs. It is forked
before the first claim is answered, and again whenever it has ended; a child that is
killed never takes the supervisor with it, which then reports the true cause.

Nothing here imports what a cold start can do without: no requests, no asyncio,
no logging.

Not promised: that a machine outlives whatever happens to it. The sweep finds its jobs.
"""
