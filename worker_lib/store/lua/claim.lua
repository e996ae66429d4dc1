-- A machine that is up asks for a job.
-- ARGV: slot, machine, region, lease, known code hash, mood, near seconds
local slot = ARGV[1]
local got = redis.call('HMGET', key('slot', slot), 'pool', 'launched_at', 'machine')
if not got[1] then return {'gone'} end
if got[3] and got[3] ~= ARGV[2] then return {'gone'} end
local boot = ''
if not got[3] then
  boot = got[2] and text(now - tonumber(got[2])) or ''
  redis.call('HSET', key('slot', slot), 'machine', ARGV[2], 'region', ARGV[3])
  redis.call('HDEL', key('pool', got[1]), 'trouble', 'reason', 'hold_until', 'held_for')
end
return claim_next(slot, ARGV[5], tonumber(ARGV[4]), boot, ARGV[6])
