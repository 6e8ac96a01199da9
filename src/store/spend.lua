-- Counts one use in the window that the first use started. Returns {uses, remaining time of the window in ms}.
local uses = redis.call('INCR', KEYS[1])
if uses == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
return {uses, redis.call('PTTL', KEYS[1])}
