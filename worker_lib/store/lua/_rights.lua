-- Asked once by each process that stores calls: may this user of Redis do all that the
-- scripts do, and does this server keep what it is given?

-- What is missing, as pairs: the command, and how Redis refused it.
local function missing_rights()
  -- A command that is refused in the middle of a script leaves it half done, so each is
  -- tried first, on a hash that is deleted in the end. Redis looks at the rights before it
  -- finds that most of these commands take no hash.
  local tried = {
    {'HSET', 'f', '1'}, {'PEXPIRE', '1000'}, {'EXISTS'}, {'GET'}, {'HDEL', 'g'},
    {'HEXISTS', 'f'}, {'HLEN'}, {'HGET', 'f'}, {'HGETALL'}, {'HINCRBY', 'f', '1'}, {'HKEYS'}, {'HSTRLEN', 'f'},
    {'HMGET', 'f'}, {'HSETNX', 'f', '1'}, {'LPUSH', '1'}, {'LRANGE', '0', '0'},
    {'LTRIM', '0', '0'}, {'PTTL'}, {'RPUSH', '1'}, {'SADD', '1'}, {'SCARD'}, {'SMEMBERS'},
    {'SPOP'}, {'SRANDMEMBER'}, {'SREM', '1'}, {'ZADD', '1', '1'}, {'ZCARD'}, {'ZPOPMIN'},
    {'ZRANGE', '0', '0'}, {'ZRANGEBYSCORE', '0', '0'}, {'ZREM', '1'},
    {'ZREVRANGE', '0', '0'}, {'ZREVRANGEBYSCORE', '0', '0'}, {'ZREVRANK', '1'},
    {'ZSCAN', '0'}, {'SSCAN', '0'},
    {'ZSCORE', '1'}, {'SET', '1'}, {'DEL'},
  }
  local probe, missing = P .. ':probe', {}
  local function try(name, ...)
    local reply = redis.pcall(name, ...)
    local refusal = type(reply) == 'table' and reply.err
    if refusal and (string.find(refusal, 'NOPERM') or string.find(refusal, 'permission')
        or string.find(refusal, "can't run this command")
        or string.find(refusal, "can't access")) then
      missing[#missing + 1], missing[#missing + 2] = name, refusal
    end
  end
  for _, words in ipairs(tried) do try(words[1], probe, unpack(words, 2)) end
  try('PUBLISH', key('changed', 'probe'), '1')
  return missing
end

-- '' where the server does not tell.
local function eviction_policy()
  local answer = redis.pcall('INFO', 'memory')
  return type(answer) == 'string' and string.match(answer, 'maxmemory_policy:([%w-]+)') or ''
end

-- Returns what is missing; else {} and the eviction policy.
local examine_server
examine_server = function()
  local missing = missing_rights()
  return missing, #missing == 0 and eviction_policy()
end
