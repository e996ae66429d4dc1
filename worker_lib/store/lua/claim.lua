-- A machine that is up asks for a job.
-- ARGV: slot, machine, region, lease, known code hash, mood, boot nonce, near seconds
-- Fly may restart a machine under its id: another nonce than that of the first claim.
local slot, nonce = ARGV[1], ARGV[7]
local got = redis.call('HMGET', key('slot', slot), 'pool', 'launched_at', 'machine',
  'nonce')
if not got[1] then return {'gone'} end
if got[3] and got[3] ~= ARGV[2] then return {'gone'} end
local boot = ''
if not got[3] then
  boot = got[2] and text(now - tonumber(got[2])) or ''
  if redis.call('HEXISTS', key('pool', got[1]), 'held_for') == 1 then
    look_at_pool(got[1], now)  -- others waited for what becomes of this machine
    call_launcher('due')
    redis.call('HDEL', key('pool', got[1]), 'trouble', 'reason', 'trouble_at',
      'trouble_until', 'hold_until', 'held_for', 'failed_boots', 'failed_at', 'stopped')
  end
end
local restarted = got[4] and got[4] ~= nonce
if got[4] ~= nonce then
  redis.call('HSET', key('slot', slot), 'machine', ARGV[2], 'region', ARGV[3],
    'lease', ARGV[4])
end
local reply = claim_next(slot, ARGV[5], tonumber(ARGV[4]), boot, ARGV[6], restarted)
-- Not before the interrupted job was released: this very reply may be lost.
if got[4] ~= nonce and (reply[1] == 'job' or reply[1] == 'idle') then
  redis.call('HSET', key('slot', slot), 'nonce', nonce)
end
return reply
