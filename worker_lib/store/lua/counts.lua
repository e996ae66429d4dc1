local spans = {unpack(ARGV)}
-- What was counted: `spans` are '<minutes>:<number>' of hashes, as '60:485000'.
-- Returns {'1' if more is left to be added up, time, {field, number ...} of the minutes that
--   are not over, {field, number ...} of each span}.
local more = add_up() and '1' or ''
local open = {}
for _, minute in ipairs(redis.call('SMEMBERS', P .. ':counting')) do
  local pairs_of = redis.call('HGETALL', key('counting', minute))
  for i = 1, #pairs_of do open[#open + 1] = pairs_of[i] end
end
local found = {more, NOW, open}
for _, span in ipairs(spans) do found[#found + 1] = redis.call('HGETALL', key('counts', span)) end
return found
