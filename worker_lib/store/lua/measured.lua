local pool = unpack(ARGV)
-- What a pool's jobs, boots and wake-ups took of late, in seconds, or ''; and how many of
-- its machines are parked.
local run_s, boot_s, wake_s = read(key('pool', pool), 'run_s', 'boot_s', 'wake_s')
return {run_s or '', boot_s or '', wake_s or '',
  tostring(redis.call('ZCARD', key('parked', pool)))}
