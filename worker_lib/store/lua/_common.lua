-- What every script shares. KEYS[1] is the namespace; all other keys follow from it.
--   job:<id>             hash   the job's record; job.py has the list of its fields
--   out:<id>             list   its outcome: waiters rotate it, so it never empties
--   log:<id>             list   what each attempt printed, sealed
--   live:<id>:<fence>    zset   pieces of what an attempt prints, sealed, by where they
--                               end; while somebody follows the job, and if it was lost
--   code:<hash>          hash   code of a function that no image has; how many jobs need it
--   ready:<pool>:<queue> zset   jobs that may run now, by priority and order of arrival
--   due:<pool>           zset   jobs that may run later, by time
--   pool:<id>            hash   what its machines are, its queues; why none can be had
--   pools                set    all pools
--   paused               hash   queues that are paused, and since when
--   slots:<pool>         set    rights to a machine; busy:<pool> those with a job
--   idle:<pool>          set    slots whose machine waits for a call
--   slot:<id>            hash   pool, state (owed, launching, starting, idle, woken, busy,
--                               parked), machine, the jobs that it holds
--   parked:<pool>        zset   slots whose machine is parked, by since when
--   parking              set    pools that have parked machines
--   ctl:<slot>           list   words for its machine, which blocks on it
--   stray:<slot>         hash   machine that may live though its slot is free
--   timers               zset   's:<slot>', 'p:<pool>', 'm:<stray>' and 'j:<job>' (a job
--                               that waits, by when it expires), by when somebody must
--                               look at them
--   calls                list   slots that somebody with a token should launch
--   jobs                 zset   all jobs, by time of creation
--   ended:<status>       zset   jobs that failed, were cancelled or expired, likewise
--   tag:<name>=<value>   zset   jobs with this tag, likewise
--   pruned               hash   up to where these lists were freed of forgotten jobs
--   unique:<task>:<key>  string the job that holds this key
--   batch:<id>           hash   jobs stored together: how many are in which status
--   done:<batch>         list   those that ended: index, first letter of the status; the
--                               first ones may be `forgotten`, as the batch tells
--   waits:<batch>        zset   who waits for it, by how many jobs must have ended
--   wake:<waiter>        list   what wakes it
--   bucket, nested       hash   tokens for creates, and for jobs that jobs make
--   counted:<minute>     list   what scripts counted in it, until that is in `counting`
--   counting:<minute>    hash   what was counted in it, until it is added to `counts`
--   counting             set    those minutes
--   counts:<span>:<n>    hash   the same of 1, 15, 60 and 1440 minutes, and of all time (0)
--   exits                list   machines that have ended, as JSON, newest first
--   audit                list   what people did, as JSON, newest first
local P = KEYS[1]
local function key(kind, id) return P .. ':' .. kind .. ':' .. id end
local TIMERS, CALLS, JOBS = P .. ':timers', P .. ':calls', P .. ':jobs'
local FINAL = {succeeded = true, failed = true, cancelled = true, expired = true}
local function waits(status) return status ~= 'running' and not FINAL[status] end
local DAY_MS = 86400000
-- For what empties itself: longer than any job waits.
local LONG_MS = 400 * DAY_MS
local clock = redis.call('TIME')
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1e6

local function text(number) return string.format('%.6f', number) end

local NOW = text(now)

-- What makes a job unique: a key that its caller gave, among the jobs of its task.
local function unique_key(task, wanted)
  return P .. ':unique:' .. task .. ':' .. wanted
end

local function ms(seconds) return math.max(1, math.floor(tonumber(seconds) * 1000)) end

-- Fields of a hash, in order; false for those that it has not.
local function read(name, ...) return unpack(redis.call('HMGET', name, ...)) end

-- Every write is sent to the append-only file, so a life is given twice and renewed
-- half-way: what a job needs never ends before the job.
local function keep_alive(name, life)
  if redis.call('PTTL', name) >= life then return true end
  return redis.call('PEXPIRE', name, 2 * life) == 1
end

-- `news` is the job's status, or 'trouble' if its pool has some.
-- Protected: a user of Redis without a right to the channel must not stop a script that
-- has begun to write.
local function announce(job, news)
  redis.pcall('PUBLISH', P .. ':changed:' .. job, news)
end

local function set_timer(member, at) redis.call('ZADD', TIMERS, at, member) end

-- Have somebody look at a pool; an earlier look that is due already stays.
local function look_at_pool(pool, at)
  redis.call('ZADD', TIMERS, 'LT', at, 'p:' .. pool)
end

-- Ask whoever holds a token and listens to come and look.
local function call_launcher(what)
  redis.call('RPUSH', CALLS, what)
  redis.call('PEXPIRE', CALLS, 60000)
end

-- Tell a machine, which blocks on this list: 'c', a job was cancelled; 'w', there is work;
-- 'j' and a job, that it was begun for this machine.
local function tell_machine(slot, word)
  redis.call('RPUSH', key('ctl', slot), word)
  redis.call('PEXPIRE', key('ctl', slot), 60000)
end
