local spans = {unpack(ARGV)}
-- What was counted: `spans` are '<minutes>:<number>' of hashes, as '60:485000'.
-- Returns {'1' if more is left to be added up, time, {field, number ...} of the minutes that
--   are not over, {field, number ...} of each of the first spans, and of one at least}.
local MOST_FIELDS_TOLD = 4000
local more = add_up() and '1' or ''
local open = {}
for _, minute in ipairs(redis.call('SMEMBERS', P .. ':counting')) do
  add_lines(minute)
  local pairs_of = redis.call('HGETALL', key('counting', minute))
  for i = 1, #pairs_of do open[#open + 1] = pairs_of[i] end
end
local found = {more, NOW, open}
local told = 0
for _, span in ipairs(spans) do
  if told > MOST_FIELDS_TOLD then break end
  local fields = redis.call('HGETALL', key('counts', span))
  found[#found + 1], told = fields, told + #fields / 2
end
return found
