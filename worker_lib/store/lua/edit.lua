local job, fence, queue, priority, delay, first = unpack(ARGV)
local first_field = 7  -- from there on, fields of the record and their values
-- Change a job that waits, unless it has moved on since it was read with this `fence`.
-- Sent is what it is to be afterwards: its queue and priority; `delay` in seconds, '' to
-- leave its time as it is; `first` is '1' to have it run before the others of its queue.
-- Returns 'changed', 'gone', or the status that it has now.
local record = key('job', job)
local status, held_fence, pool, old_queue, order, old_priority, pending, timeout, due,
  expires = read(record, 'status', 'fence', 'pool', 'queue', 'order', 'priority', 'pending',
  'timeout', 'due', 'expires')
if not status then return 'gone' end
local is_ready = status == 'queued'
if not waits(status) or (held_fence or '0') ~= fence then return status end
local about = read_pool(pool)
order = tonumber(order) - (tonumber(priority) - tonumber(old_priority or '0')) * PRIORITY_STEP
if first == '1' then
  local ahead = redis.call('ZRANGE', ready_key(pool, queue), 0, 0, 'WITHSCORES')
  if ahead[2] and ahead[1] ~= job then order = math.min(order, tonumber(ahead[2]) - 1) end
end
order = string.format('%.0f', order)
leave_line(job, pool, old_queue)
redis.call('HSET', record, 'order', order, 'queue', queue, 'priority', priority,
  unpack(ARGV, first_field))
set_timer('j:' .. job, tonumber(expires))

local function start_later(at)
  redis.call('HSET', record, 'due', text(at))
  may_wait_until(job, at + tonumber(pending), tonumber(timeout))
  make_due(pool, about, at, {job})
end

if delay ~= '' and tonumber(delay) > 0 then
  if is_ready then move(job, 'queued', 'scheduled') else announce(job, status) end
  start_later(now + tonumber(delay))
elseif delay == '' and not is_ready then
  make_due(pool, about, tonumber(due), {job})
  announce(job, status)
else
  if is_ready then announce(job, 'queued') else move(job, status, 'queued') end
  make_ready(pool, about, queue, {order, job})
  serve_idle(pool, about)
  if not is_in(about.paused, queue) and count_ready(pool, about) > 0 then
    look_at_pool(pool, now)
    call_launcher('due')
  end
end
return 'changed'
