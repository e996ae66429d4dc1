local cursor = unpack(ARGV)
-- For how long outcomes are kept, a part of the jobs at a time (`cursor` is '0' at first).
-- Returns {cursor of the next part ('0': that was all), milliseconds for which the
--   longest is kept}.
local PART = 500
local found, life = redis.call('ZSCAN', JOBS, cursor, 'COUNT', PART), 0
for i = 1, #found[2], 2 do
  life = math.max(life, redis.call('PTTL', key('out', found[2][i])))
end
return {found[1], life}
