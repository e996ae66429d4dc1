local batch, position, limit, waiter, at_least, forget = unpack(ARGV)
-- A batch as it is, and which of its jobs have ended, from `position` in the order of
-- their end. Fewer than `at_least` of them: `waiter` ('' for nobody) is woken once, when
-- so many have, or all. One who waits for several numbers is woken by the lowest.
-- With `forget` '1', nobody asks again for those before `position`: they are dropped.
-- Returns {{field, value ...}, trouble of its pool, {index and first letter of the status
--   ...}}, or {} if there is none.
local record = key('batch', batch)
local fields = redis.call('HGETALL', record)
if #fields == 0 then return {} end
local about = {}
for i = 1, #fields, 2 do about[fields[i]] = fields[i + 1] end
local ended = 0
for status in pairs(FINAL) do ended = ended + (about[status] or 0) end
local wanted = math.min(position + at_least, tonumber(about.total) or math.huge)
if waiter ~= '' and ended < wanted then
  redis.call('ZADD', key('waits', batch), 'LT', wanted, waiter)
  redis.call('PEXPIRE', key('waits', batch), redis.call('PTTL', record))
end
local done, forgotten = key('done', batch), tonumber(about.forgotten or '0')
position = tonumber(position)
if forget == '1' and position > forgotten then
  redis.call('LTRIM', done, position - forgotten, -1)
  redis.call('HSET', record, 'forgotten', position)
  forgotten = position
end
local first = math.max(0, position - forgotten)
local trouble = trouble_in(about.pool, read_pool(about.pool), about.created)
return {fields, trouble, redis.call('LRANGE', done, first, first + limit - 1)}
