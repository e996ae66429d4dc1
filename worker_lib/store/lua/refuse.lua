local slot, reason, hold, tell, who, unsure = unpack(ARGV)
-- No machine could be had: note why (JSON), hold the pool's launches so many seconds for
-- those with the refused credentials `who`, and if only a person can help (`tell` '1'),
-- wake those who wait for its jobs to tell them. `unsure` is '1' if an earlier request
-- may have made the machine all the same.
-- Returns 1, or 0 if nothing was done: the machine has come, or the slot is gone.
local pool, state, machine, made = read(key('slot', slot), 'pool', 'state', 'machine',
  'made')
if not is_in('owed,launching,starting', state or '-') then return 0 end
count(1, 'e', cjson.decode(reason).error or 'unknown')
hold_pool(pool, tonumber(hold), who, reason, tell == '1')
if machine then  -- it is parked, and stays so
  park_again(pool, slot)
  return 1
end
if unsure == '1' then remember_stray(slot, made or '') end
free_slot(pool, slot)
return 1
