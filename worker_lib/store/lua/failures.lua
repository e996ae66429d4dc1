local status, before, most = unpack(ARGV)
-- Jobs that ended with this status, the latest stored first, `most` of them that were stored
-- before `before` ('+inf': from the newest on).
-- Returns {when the last one was stored ('' if that was all), {job, task, cause, error,
--   ended} ...}.
local listed = redis.call('ZREVRANGEBYSCORE', key('ended', status), before, '-inf',
  'WITHSCORES', 'LIMIT', 0, most)
local found = {#listed == 2 * tonumber(most) and listed[#listed] or ''}
for i = 1, #listed, 2 do
  local task, cause, error_line, ended = read(key('job', listed[i]), 'task', 'cause',
    'error', 'ended')
  if task then
    found[#found + 1] = {listed[i], task, cause or '', error_line or '', ended or ''}
  end
end
return found
