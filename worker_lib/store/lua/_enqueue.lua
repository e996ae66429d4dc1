-- What `enqueue` returns.

local function stored(id, status, pool, about, policy, given, since)
  local first = redis.call('ZRANGE', TIMERS, 0, 0, 'WITHSCORES')[2]
  local next_in = text(tonumber(first or now + 3600) - now)
  local trouble = trouble_in(pool, about, since)
  return table.concat({id, status, next_in, policy, table.concat(given, ','), trouble}, ' ')
end

-- The same of a job that is there already, nil if it is not. Its slots are those of the
-- `slots` offered that an earlier answer gave away.
local stored_before
stored_before = function(id, pool, about, policy, slots)
  local status, since = read(key('job', id), 'status', 'created')
  if not status then return nil end
  local given = {}
  for candidate in each(slots) do
    local slot = owed_as(candidate)
    if slot ~= '' then given[#given + 1] = slot end
  end
  return stored(id, status, pool, about, policy, given, since)
end
