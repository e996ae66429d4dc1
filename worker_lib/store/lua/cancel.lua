local job, canceller = unpack(ARGV)
-- End a job that is not final yet. Its machine is told; a late success is refused.
-- Asked twice by the same canceller, it says the same.
-- Returns 1 if this call cancelled it, 0 if it was final, -1 if there is no such job.
return cancel(job, canceller)
