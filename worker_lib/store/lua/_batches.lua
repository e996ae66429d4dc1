-- Batches: jobs that are stored together, counted together and waited for together. The
-- id of a batch is the beginning of the ids of its jobs.
local BATCH_DIGITS, MEMBER_DIGITS = 16, 24
local tallies = {}

local function batch_of(job)
  return #job == MEMBER_DIGITS and string.sub(job, 1, BATCH_DIGITS) or nil
end

local function member(batch, index) return batch .. string.format('%08x', index) end

-- Note that a job of a batch has moved; written when the script ends.
local function tally(job, from, to)
  local batch = batch_of(job)
  if not batch then return end
  local moved = tallies[batch] or {change = {}, ended = {}}
  tallies[batch] = moved
  moved.change[from] = (moved.change[from] or 0) - 1
  moved.change[to] = (moved.change[to] or 0) + 1
  if FINAL[to] then
    -- Its index, and the first letter of the status.
    moved.ended[#moved.ended + 1] = string.sub(job, BATCH_DIGITS + 1) .. string.sub(to, 1, 1)
  end
end

-- Wake those who wait until so many jobs have ended, each of them once.
local function wake_waiters(batch, ended)
  local waits = key('waits', batch)
  for _, waiter in ipairs(redis.call('ZRANGEBYSCORE', waits, '-inf', ended)) do
    redis.call('RPUSH', key('wake', waiter), '1')
    redis.call('PEXPIRE', key('wake', waiter), 60000)
    redis.call('ZREM', waits, waiter)
  end
end

local function keep_batch(batch, life)
  keep_alive(key('batch', batch), life)
  redis.call('PEXPIRE', key('done', batch), 2 * life)
end

-- Every script that has moved jobs ends with this.
local settle_batches
settle_batches = function()
  for batch, moved in pairs(tallies) do
    local about = key('batch', batch)
    local stored, forgotten = read(about, 'stored', 'forgotten')
    if stored then
      for status, change in pairs(moved.change) do
        if change ~= 0 then redis.call('HINCRBY', about, status, change) end
      end
      if #moved.ended > 0 then
        local ended = redis.call('RPUSH', key('done', batch), unpack(moved.ended))
        if ended == #moved.ended then
          redis.call('PEXPIRE', key('done', batch), redis.call('PTTL', about))
        end
        wake_waiters(batch, ended + (forgotten or 0))
      end
    end
  end
end
