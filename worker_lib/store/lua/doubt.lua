local slot, machine = unpack(ARGV)
-- Somebody did away with the machine of this slot: the next sweep looks for it, as if it
-- had been silent for the time of its lease.
-- Returns 1 if the slot is this machine's, else 0.
local present, made = read(key('slot', slot), 'machine', 'made')
if (present or made) ~= machine then return 0 end
set_timer('s:' .. slot, now)
return 1
