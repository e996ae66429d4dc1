local pool = unpack(ARGV)
-- What a pool's jobs and boots took of late: {seconds or '', seconds or ''}.
local run_s, boot_s = read(key('pool', pool), 'run_s', 'boot_s')
return {run_s or '', boot_s or ''}
