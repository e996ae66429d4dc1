local cursor, fields = unpack(ARGV)
-- The machines that there are, or are on their way, a part of the pools at a time
-- (`cursor` is '0' at first); `fields` are those of a slot to tell, a comma between them.
-- Returns {cursor of the next part ('0': that was all), time, {{slot, pool, size, when
--   somebody looks at it, field values ...} ...}}.
local PART, MOST = 50, 500
local names, found = {}, {}
for name in each(fields) do names[#names + 1] = name end

local function tell(pool, size, slot)
  local values = redis.call('HMGET', key('slot', slot), 'state', unpack(names))
  if not values[1] then return end
  local told = {slot, pool, size, redis.call('ZSCORE', TIMERS, 's:' .. slot) or ''}
  for i = 1, #names do told[i + 4] = values[i + 1] or '' end
  found[#found + 1] = told
end

local part = redis.call('SSCAN', P .. ':pools', cursor, 'COUNT', PART)
for _, pool in ipairs(part[2]) do
  for _, slot in ipairs(redis.call('SRANDMEMBER', key('slots', pool), MOST)) do
    tell(pool, size_of(pool), slot)
  end
  for _, slot in ipairs(redis.call('ZRANGE', key('parked', pool), 0, MOST - 1)) do
    tell(pool, size_of(pool), slot)
  end
end
return {part[1], NOW, found}
