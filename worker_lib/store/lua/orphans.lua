local slots = {unpack(ARGV)}
-- Which of these slots does nobody know any more?
-- Returns {Redis's time, unknown slots ...}.
local found = {text(now)}
for _, slot in ipairs(slots) do
  if redis.call('EXISTS', key('slot', slot)) == 0 then found[#found + 1] = slot end
end
return found
