local slot, machine, region, lease, known_code, intent, nonce, near, want, holds, park_most,
  park_for = unpack(ARGV)
-- A machine that is up asks for jobs; returns what `claim_next` does. `holds` are those
-- that it has, 'job:fence' with a comma between them.
-- Fly may restart a machine under its id: another nonce than that of the first claim.
-- `park_most` is how many machines of the pool may be parked, each so many seconds.
local pool, owed_at, launched_at, known, known_nonce, state = read(key('slot', slot),
  'pool', 'owed_at', 'launched_at', 'machine', 'nonce', 'state')
if not pool or (known and known ~= machine) then return {'gone'} end
local says = {known_code = known_code, lease = lease, intent = intent, near = near,
  want = want, holds = {}, restarted = known_nonce and known_nonce ~= nonce}
for entry in each(holds) do says.holds[entry] = true end
if state == 'launching' or state == 'starting' then
  local boot = now - tonumber(launched_at or now)
  says.boot = string.format('%.3f', boot)
  says.launch = string.format('%.3f', tonumber(launched_at or now) - tonumber(owed_at or now))
  redis.call('HSET', key('slot', slot), 'up_at', NOW, 'boot', says.boot)
  count(1, 'b', known and 'started' or 'created', class(boot))
  count(milliseconds(boot), 'B', known and 'started' or 'created')
  measured(pool, read_pool(pool), known and 'wake_s' or 'boot_s', boot, 1)
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
  if park_most ~= '0' then
    redis.call('HSET', key('slot', slot), 'park', park_most, 'park_for', park_for)
    redis.call('DEL', key('ctl', slot))  -- what an earlier boot was told
  end
end
local reply = claim_next(slot, says, {})
-- Not before the interrupted jobs were released: this very reply may be lost.
if known_nonce ~= nonce and (reply[1] == 'jobs' or reply[1] == 'idle') then
  redis.call('HSET', key('slot', slot), 'nonce', nonce)
end
return reply
