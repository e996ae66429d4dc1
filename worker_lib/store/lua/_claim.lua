-- What a machine takes next, and what is handed to one that waits.
-- A slot `holds` jobs, 'job:fence' with a comma between them, in the order in which its
-- machine runs them: the first one runs, or has just ended.

local MOST_TAKEN = 64
-- A machine that is handed a job while it waits says so by then, or is looked at.
local HANDED_OVER_S = 10

local function each_held(holds) return string.gmatch(holds or '', '([^:,]+):(%d+)') end

local function read_job(job)
  local v = redis.call('HMGET', key('job', job), 'status', 'expires', 'alone', 'fence',
    'attempt', 'timeout', 'task', 'code', 'policy', 'call', 'lost', 'followed')
  return {id = job, status = v[1], expires = v[2], alone = v[3], fence = v[4],
    attempt = v[5], timeout = v[6], task = v[7], code = v[8], policy = v[9], call = v[10],
    lost = v[11], followed = v[12]}
end

-- May not run twice, or was on a machine that vanished: on no machine together with others.
local function goes_alone(got)
  return got.alone == '1' or string.find(got.policy, '"on_lost": "fail"', 1, true)
end

local function is_alike(got, other)
  return got.task == other.task and got.code == other.code
    and got.timeout == other.timeout and got.policy == other.policy
end

-- Jobs as their machine needs them (`ClaimedJob` in machine.py), after the names of what
-- is told; `body` is the code of its function, `known_code` names what the machine has.
-- Of a job that is like the one before, `task` and what follows is left out.
local function told(jobs, known_code)
  local found = {'id,fence,attempt,call,lost,followed,task,code,timeout,policy,body'}
  for i, got in ipairs(jobs) do
    local body = ''
    if got.code and got.code ~= known_code then
      body = redis.call('HGET', key('code', got.code), 'body') or ''
      known_code = got.code
    end
    local values = {got.id, got.fence, got.attempt, got.call, got.lost or '',
      got.followed or ''}
    if i == 1 or not is_alike(got, jobs[i - 1]) then
      values = {got.id, got.fence, got.attempt, got.call, got.lost or '',
        got.followed or '', got.task, got.code or '', got.timeout, got.policy, body}
    end
    found[#found + 1] = values
  end
  return found
end

local begun = {}

local function begin(slot, held, got)
  got.fence = string.format('%d', (got.fence or 0) + 1)
  got.attempt = string.format('%d', (got.attempt or 0) + 1)
  move(got.id, 'queued', 'running', 'fence', got.fence, 'attempt', got.attempt,
    'slot', slot, 'started', NOW, 'machine', held.machine or '',
    'region', held.region or '', 'lease', held.lease)
  if held.boot then
    redis.call('HSET', key('job', got.id), 'boot', held.boot, 'launch', held.launch)
  end
  held.jobs[#held.jobs + 1] = got.id .. ':' .. got.fence
  begun[got.id] = true
end

-- By weights: any of the queues comes first, the more often the heavier it is.
local dice = clock[2]
local function by_weight(entries)
  local order = {}
  while #entries > 0 do
    local sum, at = 0, 1
    for _, entry in ipairs(entries) do sum = sum + entry.weight end
    -- Redis seeds math.random anew, and alike, for each script.
    dice = (dice * 7919 + 104729) % 1000003
    local thrown = dice / 1000003 * sum
    while at < #entries and thrown >= entries[at].weight do
      thrown, at = thrown - entries[at].weight, at + 1
    end
    order[#order + 1] = table.remove(entries, at).name
  end
  return order
end

-- The queues of a pool in the order in which a machine looks into them: those of the
-- rule ('high,default,low', or 'high=5,low=1' by weights), then the others by name. And
-- whether they have weights, and so another order each time.
local function in_order(about)
  if not string.find(about.queues, ',', 1, true) then return {about.queues} end
  local listed, order = {}, {}
  for entry in each(about.rule) do
    local name, weight = string.match(entry, '^([^=]+)=?(%d*)$')
    if is_in(about.queues, name) then
      listed[name], order[#order + 1] = true, {name = name, weight = tonumber(weight)}
    end
  end
  local has_weights = order[1] and order[1].weight
  if has_weights then
    order = by_weight(order)
  else
    for i, entry in ipairs(order) do order[i] = entry.name end
  end
  local others = {}
  for name in each(about.queues) do
    if not listed[name] then others[#others + 1] = name end
  end
  table.sort(others)
  for _, name in ipairs(others) do order[#order + 1] = name end
  return order, has_weights
end

-- Take up to `most` jobs that are next, of one queue: {job, order ...}; {} if none may
-- run. By weights each job has its own throw. Queues found empty are forgotten.
local function pop_ready(pool, about, most)
  if not about.queues or about.queues == '' then return {} end
  local paused, order, has_weights = {}, in_order(about)
  for _, queue in ipairs(order) do
    if is_in(about.paused, queue) then
      paused[#paused + 1] = queue
    else
      local found = redis.call('ZPOPMIN', ready_key(pool, queue), has_weights and 1 or most)
      if found[1] then return found, queue end
    end
  end
  about.queues = table.concat(paused, ',')
  redis.call('HSET', key('pool', pool), 'queues', about.queues)
  return {}
end

-- Put jobs that were popped back to where they were, from the pair at `from` on.
local function put_back(pool, about, queue, popped, from)
  local lines = {}
  for i = from, #popped, 2 do
    lines[#lines + 1], lines[#lines + 2] = popped[i + 1], popped[i]
  end
  if lines[1] then make_ready(pool, about, queue, lines) end
end

-- A script passes over so many jobs that have expired, or are gone.
local MOST_PASSED_OVER = 32
local passed_over = 0

-- Begin up to `want` jobs for the machine of a slot, beside those that it holds. Where
-- `may_start` is given, it is asked before each.
local function take(slot, held, about, want, may_start)
  local taken, gone = {}, {}
  while #taken < want do
    local may_pass_over = MOST_PASSED_OVER - passed_over
    if may_pass_over == 0 then
      about.is_cut_short = true
      look_at_pool(held.pool, now)
      break
    end
    local popped, queue = pop_ready(held.pool, about, math.min(may_pass_over, want - #taken))
    if not popped[1] then break end
    for i = 1, #popped, 2 do
      local got = read_job(popped[i])
      if got.status ~= 'queued' then
        passed_over = passed_over + 1
      elseif tonumber(got.expires or '0') < now then
        passed_over = passed_over + 1
        let_expire(got.id)
      else
        local alone = goes_alone(got)
        if (alone and held.jobs[1]) or (may_start and not may_start(got)) then
          put_back(held.pool, about, queue, popped, i)
          want = 0
          break
        end
        begin(slot, held, got)
        taken[#taken + 1], gone[#gone + 1] = got, 'j:' .. got.id
        if alone then
          put_back(held.pool, about, queue, popped, i + 2)
          want = 0
          break
        end
      end
    end
  end
  if gone[1] then redis.call('ZREM', TIMERS, unpack(gone)) end
  return taken
end

-- Note what the machine of a slot has, which makes it busy.
local function hold(slot, held, look_at)
  redis.call('HSET', key('slot', slot), 'state', 'busy', 'holds',
    table.concat(held.jobs, ','), 'ran', '1')
  if held.state ~= 'busy' then
    redis.call('SADD', key('busy', held.pool), slot)
    keep_alive(key('busy', held.pool), LONG_MS)
    redis.call('SREM', key('idle', held.pool), slot)
  end
  set_timer('s:' .. slot, look_at)
end

-- Leave, or wait a while: as long as the pool lingers, unless that time is over, or
-- until a retry that is near.
local function wait_idle(slot, pool, about, says)
  local linger = says.intent == 'stay' and tonumber(about.linger or '0') or 0
  local due_in = about.due_at and math.max(0, tonumber(about.due_at) - now)
  local wait = linger
  if due_in and due_in <= math.max(linger, tonumber(says.near)) then
    wait = math.max(wait, due_in + 0.001)
  end
  if about.is_cut_short then wait = math.max(wait, 0.001) end
  if wait == 0 then
    if due_in then call_launcher('due') else redis.call('ZREM', TIMERS, 'p:' .. pool) end
    if park(pool, slot) then return {'park'} end
    let_go(pool, slot, 'empty')
    return {'empty'}
  end
  redis.call('HSET', key('slot', slot), 'state', 'idle', 'holds', '', 'known_code',
    says.known_code)
  redis.call('SREM', key('busy', pool), slot)
  redis.call('SADD', key('idle', pool), slot)
  keep_alive(key('idle', pool), LONG_MS)
  set_timer('s:' .. slot, now + wait + says.lease)
  return {'idle', text(wait)}
end

-- The machine leaves although jobs may be ready: another one is to take them.
local function leave(pool, about, slot)
  redis.call('SREM', key('idle', pool), slot)
  if count_ready(pool, about) > 0 then
    look_at_pool(pool, now)
    call_launcher('due')
    serve_idle(pool, about)
  end
  let_go(pool, slot, 'empty')
  return {'empty'}
end

-- A fair share of what is ready: other machines are there, or on their way.
local function share(pool, about, want)
  if want <= 1 then return want end
  local slots = math.max(1, redis.call('SCARD', key('slots', pool)))
  return math.max(1, math.min(want, MOST_TAKEN, math.ceil(count_ready(pool, about) / slots)))
end

-- What a machine is given. `says` is what it tells: the code it knows, its `lease` in
-- seconds, whether it was `restarted`, `boot` (seconds, with its first claim), its
-- `intent` ('stay', 'leave_if_idle' as it has lingered long enough, or 'leave'), how many
-- jobs it wants, and those that it `holds` (a set of 'job:fence'); `settled` are those that
-- it has just reported or given back.
-- Returns {'jobs', names, {values} ...}, {'interrupted', names, {values} ...} (what it held
-- when it was restarted), {'none'} (nothing new: it holds jobs still), {'idle', seconds},
-- {'park'}, {'empty'} or {'gone'}. What the slot holds and the machine has not is given again: an
-- earlier reply was lost.
local function claim_next(slot, says, settled)
  local pool, holds, state, machine, region, ran = read(key('slot', slot), 'pool', 'holds',
    'state', 'machine', 'region', 'ran')
  if not pool then return {'gone'} end
  local held = {pool = pool, state = state, machine = machine, region = region,
    lease = says.lease, boot = says.boot, launch = says.launch, jobs = {}}
  local again = {}
  for entry in each(holds) do
    if says.holds[entry] then
      held.jobs[#held.jobs + 1] = entry
    elseif not settled[entry] then
      local job, fence = string.match(entry, '(.+):(.+)')
      local got = read_job(job)
      if got.status == 'running' and got.fence == fence then
        held.jobs[#held.jobs + 1], again[#again + 1] = entry, got
      end
    end
  end
  local look_at = now + says.lease
  if again[1] then
    hold(slot, held, look_at)
    return {says.restarted and 'interrupted' or 'jobs', unpack(told(again, says.known_code))}
  end
  local about = read_pool(pool)
  if state == 'parked' and stays_parked(pool, slot, about, says.intent) then
    return {'park'}
  end
  if says.runs then measured(pool, about, 'run_s', says.seconds / says.runs, says.runs) end
  local leaves = says.intent == 'leave' or (about.isolate == '1' and ran)
  if leaves and not held.jobs[1] then return leave(pool, about, slot) end
  local want = leaves and 0 or about.isolate == '1' and 1 or tonumber(says.want)
  local taken = {}
  if want > 0 then
    if state ~= 'busy' then redis.call('SREM', key('idle', pool), slot) end
    if about.due_at and tonumber(about.due_at) <= now then promote(pool, about) end
    taken = take(slot, held, about, share(pool, about, want))
    if not taken[1] and not held.jobs[1] then return wait_idle(slot, pool, about, says) end
  end
  hold(slot, held, look_at)
  if not taken[1] then return {'none'} end
  return {'jobs', unpack(told(taken, says.known_code))}
end

-- As text: the length of each part before it.
local function packed(parts)
  for i, part in ipairs(parts) do
    local one = type(part) == 'table' and packed(part) or part
    parts[i] = #one .. ':' .. one
  end
  return table.concat(parts)
end

-- Begin a job for a machine that waits, and send it along with the word that wakes it; a
-- job that goes alone is fetched by its machine, which may be dead. False if no job is
-- ready.
local function hand_over(slot, pool, about)
  local state, machine, region, lease, known_code = read(key('slot', slot), 'state',
    'machine', 'region', 'lease', 'known_code')
  if not state then return drop_vanished(pool, slot) end
  local held, alone = {pool = pool, state = state, machine = machine, region = region,
    lease = lease, jobs = {}}, false
  local taken = take(slot, held, about, 1, function(got)
    alone = goes_alone(got)
    return not alone
  end)
  if alone then
    -- No longer merely idle: if it does not come, it is replaced.
    redis.call('HSET', key('slot', slot), 'state', 'woken')
    set_timer('s:' .. slot, now + HANDED_OVER_S)
    tell_machine(slot, 'w')
    return true
  end
  if not taken[1] then return false end
  hold(slot, held, now + HANDED_OVER_S)
  tell_machine(slot, 'j' .. packed(told(taken, known_code)))
  return true
end

-- A script serves so many machines; a sweep, which is due at once then, the others.
local MOST_SERVED = 50
local served = 0

serve_idle = function(pool, about)
  while about.queues and about.queues ~= '' do
    if served == MOST_SERVED then
      look_at_pool(pool, now)
      return
    end
    local slot = redis.call('SPOP', key('idle', pool))
    if not slot then return end
    if not hand_over(slot, pool, about) then
      redis.call('SADD', key('idle', pool), slot)
      return
    end
    served = served + 1
  end
end

-- Take slots for as many more machines as are owed; returns their ids.
local give_slots
give_slots = function(pool, about, candidates, look_at)
  local given = {}
  for slot in each(candidates) do
    if not slot_owed(pool, about) then break end
    given[#given + 1] = owe_slot(pool, slot, look_at)
  end
  return given
end

-- Hand what is ready to machines that wait, and take slots for as many more as are owed.
local function serve(pool, about, candidates, look_at)
  if redis.call('SCARD', key('idle', pool)) > 0 then serve_idle(pool, about) end
  local is_full = redis.call('SCARD', key('slots', pool)) >= tonumber(about.max or '1')
  -- Now and then a look at one of them: slots that vanished must not fill the pool.
  if is_full and clock[2] % 16 ~= 1 then return {} end
  return give_slots(pool, about, candidates, look_at)
end
