local batch, start, most, canceller = unpack(ARGV)
-- Cancel jobs of a batch that are not final: `most` of them are looked at, from the index
-- `start` on. Asked twice by the same canceller, it says the same.
-- Returns {how many this canceller cancelled, index to go on with or ''}, or {} if there
-- is no such batch.
local stored = redis.call('HGET', key('batch', batch), 'stored')
if not stored then return {} end
local stop, cancelled = math.min(tonumber(stored), start + most), 0
for index = tonumber(start), stop - 1 do
  if cancel(member(batch, index), canceller) == 1 then cancelled = cancelled + 1 end
end
return {cancelled, stop < tonumber(stored) and stop or ''}
