local pool = unpack(ARGV)
-- What a pool's jobs and boots took of late, and how many of its machines are parked:
-- {seconds or '', seconds or '', number}.
local run_s, boot_s = read(key('pool', pool), 'run_s', 'boot_s')
return {run_s or '', boot_s or '', tostring(redis.call('ZCARD', key('parked', pool)))}
