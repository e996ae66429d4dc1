local cursor, soon = unpack(ARGV)
-- What is left to do, a part of it at a time (`cursor` is '0' at first; little at once).
-- What is due within `soon` seconds is due soon, unless its queue is paused.
-- Returns {cursor of the next part ('0': that was all), jobs that run, that wait or are
--   due soon, that are due later}.
local PART = 500
local running, near, later = 0, 0, 0
local paused = {}
for _, name in ipairs(redis.call('HKEYS', P .. ':paused')) do paused[name] = true end

local function part()
  if cursor == '0' and redis.call('ZCARD', TIMERS) <= PART then
    return '0', redis.call('ZRANGE', TIMERS, 0, -1)
  end
  local found, members = redis.call('ZSCAN', TIMERS, cursor, 'COUNT', PART), {}
  for i = 1, #found[2], 2 do members[#members + 1] = found[2][i] end
  return found[1], members
end

local further, members = part()
for _, member in ipairs(members) do
  local kind, id = string.sub(member, 1, 1), string.sub(member, 3)
  if kind == 's' then
    local state, holds = read(key('slot', id), 'state', 'holds')
    for _ in each(state == 'busy' and holds) do running = running + 1 end
  elseif kind == 'j' then
    local due, queue = read(key('job', id), 'due', 'queue')
    if paused[queue or 'default'] or tonumber(due or '0') - now > tonumber(soon) then
      later = later + 1
    else
      near = near + 1
    end
  end
end
return {further, running, near, later}
