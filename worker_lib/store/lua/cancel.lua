local job, canceller = unpack(ARGV)
-- End a job that is not final yet. Its machine is told; a late success is refused.
-- Asked twice by the same canceller, it says the same.
-- Returns 1 if this call cancelled it, 0 if it was final, -1 if there is no such job.
local record = key('job', job)
local status, pool, slot, by = read(record, 'status', 'pool', 'slot', 'canceller')
if not status then return -1 end
if FINAL[status] then return by == canceller and 1 or 0 end
redis.call('HINCRBY', record, 'fence', 1)
redis.call('HSET', record, 'canceller', canceller)
finish(job, 'cancelled', '', {cause = status == 'running' and 'cancelled' or ''})
if slot and redis.call('EXISTS', key('slot', slot)) == 1 then tell_machine(slot, 'c') end
promote(pool, read_pool(pool))
return 1
