local pool, code = unpack(ARGV)
-- What a job came from, for who runs it elsewhere: its pool and its code, both sealed.
-- Returns {spec or '', code or ''}.
local spec = redis.call('HGET', key('pool', pool), 'spec')
local body = code ~= '' and redis.call('HGET', key('code', code), 'body')
return {spec or '', body or ''}
