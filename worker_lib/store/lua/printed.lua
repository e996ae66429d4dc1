local job, fence, after, hold = unpack(ARGV)
-- What a job has printed beyond the position `after` of its attempt `fence`; `after` is
-- 'all' if nothing of that attempt is wanted any more. With a `hold` of so many seconds
-- the job counts as followed for so long: its machine sends what it prints meanwhile.
-- Returns {status, fence, attempt, past, '1' if more of a cancelled attempt may come,
-- {fence, piece ...} that machines have sent, {'fence piece' ...} of attempts that have
-- ended: all that is kept of each}, or {} if there is no such job.
local status, last_fence, attempt, slot, cause, ended, followed = read(key('job', job),
  'status', 'fence', 'attempt', 'slot', 'cause', 'ended', 'followed')
if not status then return {} end
last_fence = last_fence or '0'
local runs = status == 'running'

if tonumber(hold) > 0 and not FINAL[status] then
  local is_known = followed and tonumber(followed) > now
  redis.call('HSET', key('job', job), 'followed', text(now + tonumber(hold)))
  if runs then redis.call('PEXPIRE', key('live', job .. ':' .. last_fence), 3 * ms(hold)) end
  if runs and not is_known and redis.call('EXISTS', key('slot', slot)) == 1 then
    tell_machine(slot, 'f' .. job .. ':' .. last_fence)
  end
end

local sent, is_asked = {}, {}
local function is_wanted(its_fence)
  if its_fence == fence then return after ~= 'all' end
  return tonumber(its_fence) > tonumber(fence)
end
local function add_sent(its_fence)
  if is_asked[its_fence] or not is_wanted(its_fence) then return end
  is_asked[its_fence] = true
  local live, from = key('live', job .. ':' .. its_fence), its_fence == fence and after or '0'
  for _, piece in ipairs(redis.call('ZRANGEBYSCORE', live, '(' .. from, '+inf')) do
    sent[#sent + 1], sent[#sent + 2] = its_fence, piece
  end
end

-- Since the last time no attempt has begun or ended.
if fence == last_fence and (runs or after == 'all') then
  add_sent(last_fence)
  return {status, last_fence, attempt or '0', '', '', sent, {}}
end
local past = redis.call('HGET', key('job', job), 'past') or ''
for its_fence in string.gmatch(past, '"fence":"(%d+)"') do add_sent(its_fence) end
-- One that was cancelled has lost its fence, and what it has printed may come later.
local cancelled = status == 'cancelled' and cause == 'cancelled'
  and string.format('%d', last_fence - 1)
add_sent(cancelled or last_fence)
local kept, is_late = {}, cancelled and tonumber(ended) + 5 > now
for _, entry in ipairs(redis.call('LRANGE', key('log', job), 0, -1)) do
  local its_fence = string.match(entry, '^%d+')
  if is_wanted(its_fence) then kept[#kept + 1] = entry end
  if its_fence == cancelled then is_late = false end
end
return {status, last_fence, attempt or '0', past, is_late and '1' or '', sent, kept}
