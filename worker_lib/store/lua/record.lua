local max_bytes = unpack(ARGV)
local jobs = {unpack(ARGV, 2)}
-- The whole records of jobs, their sealed calls included: for who runs them again or edits
-- one. Fewer than asked for, but one at least, when they are larger than `max_bytes`.
-- Returns {field, value ...} for each; {} if there is none.
local found, size = {}, 0
for i, job in ipairs(jobs) do
  local record = redis.call('HGETALL', key('job', job))
  for _, word in ipairs(record) do size = size + #word end
  if i > 1 and size > tonumber(max_bytes) then break end
  found[i] = record
end
return found
