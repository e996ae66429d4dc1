local job = unpack(ARGV)
-- The whole record of a job, its sealed call included: for who runs it again or edits it.
-- Returns {field, value ...}; {} if there is none.
return redis.call('HGETALL', key('job', job))
