local slot, machine, region, lease, known_code, intent, nonce, near = unpack(ARGV)
-- A machine that is up asks for a job; returns what `claim_next` does.
-- Fly may restart a machine under its id: another nonce than that of the first claim.
local pool, launched_at, known, known_nonce = read(key('slot', slot), 'pool',
  'launched_at', 'machine', 'nonce')
if not pool or (known and known ~= machine) then return {'gone'} end
local boot = ''
if not known then
  boot = launched_at and string.format('%.3f', now - tonumber(launched_at)) or ''
  if redis.call('HEXISTS', key('pool', pool), 'held_for') == 1 then
    look_at_pool(pool, now)  -- others waited for what becomes of this machine
    call_launcher('due')
    redis.call('HDEL', key('pool', pool), 'trouble', 'reason', 'trouble_at',
      'trouble_until', 'hold_until', 'held_for', 'failed_boots', 'failed_at', 'stopped')
  end
end
if known_nonce ~= nonce then
  redis.call('HSET', key('slot', slot), 'machine', machine, 'region', region,
    'lease', lease)
end
local restarted = known_nonce and known_nonce ~= nonce
local reply = claim_next(slot, known_code, lease, boot, intent, near, restarted)
-- Not before the interrupted job was released: this very reply may be lost.
if known_nonce ~= nonce and (reply[1] == 'job' or reply[1] == 'idle') then
  redis.call('HSET', key('slot', slot), 'nonce', nonce)
end
return reply
