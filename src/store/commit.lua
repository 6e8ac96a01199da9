-- Runs one commit: checks the preconditions and the capacity, and writes all records. A sequenced commit also advances the
-- shard's sequence and publishes the invalidation message. All keys are in one slot, so the script is atomic.
--
-- KEYS: sequence, operation, counters of the capacity's windows, the counter to enter, the counter to leave, then the keys of
--       preconditions, put and reencrypt, delete, index_add, index_remove
-- ARGV: token, lifetime of the operation's outcome in ms, channel ('' for an unsequenced commit), shard, message body,
--       the counts of preconditions, put and reencrypt, delete, index_add, index_remove, windows, entered, left,
--       the capacity's limit, the lifetime of the entered counter in ms,
--       then expected versions ('' for absent), (value, ttl in ms, 0 or kept)*, (member added, ttl in ms or 0)*,
--       members removed
-- Returns {1, version} if the commit was written, also by an earlier attempt; {0} on a conflict; {2} without capacity.
local sequenced = ARGV[3] ~= ''
local entered = 3 + tonumber(ARGV[11])
local left = entered + tonumber(ARGV[12])
local k, a = left + tonumber(ARGV[13]), 16

local version = '0:' .. ARGV[1]
if sequenced then
  local done = redis.call('GET', KEYS[2])
  if done then
    -- A write, because WAIT in later versions of Redis counts only connections that have written.
    redis.call('PEXPIRE', KEYS[2], ARGV[2])
    return {1, done}
  end
elseif tonumber(ARGV[7]) > 0 then
  local first = KEYS[k + tonumber(ARGV[6])]
  if redis.call('GETRANGE', first, 0, #version) == version .. ':' then return {1, version} end
end

for _ = 1, tonumber(ARGV[6]) do
  local expected = ARGV[a]
  if expected == '' then
    if redis.call('EXISTS', KEYS[k]) == 1 then return {0} end
  elseif redis.call('GETRANGE', KEYS[k], 0, #expected - 1) ~= expected then
    return {0}
  end
  k, a = k + 1, a + 1
end

if ARGV[12] == '1' then
  local used = 0
  for window = 3, entered - 1 do
    used = used + (tonumber(redis.call('GET', KEYS[window])) or 0)
  end
  if used >= tonumber(ARGV[14]) then return {2} end
  if redis.call('INCR', KEYS[entered]) == 1 then redis.call('PEXPIRE', KEYS[entered], ARGV[15]) end
end
if ARGV[13] == '1' then
  local count = tonumber(redis.call('GET', KEYS[left])) or 0
  if count > 0 then redis.call('SET', KEYS[left], string.format('%.0f', count - 1), 'KEEPTTL') end
end

local previous = '0000000000000000'
if sequenced then
  local number, current = 0, redis.call('GET', KEYS[1])
  if current then
    local colon = string.find(current, ':', 1, true)
    number, previous = tonumber(string.sub(current, 1, colon - 1)), string.sub(current, colon + 1)
  end
  -- tostring would write large numbers as 7.96e+14.
  version = string.format('%.0f', number + 1) .. ':' .. ARGV[1]
end

for _ = 1, tonumber(ARGV[7]) do
  local value = version .. ':' .. ARGV[a]
  if ARGV[a + 1] == '0' then
    redis.call('SET', KEYS[k], value)
  elseif ARGV[a + 1] == 'kept' then
    -- The value contains its unchanged version, so concurrent changes of the record meet no conflict.
    redis.call('SET', KEYS[k], ARGV[a], 'KEEPTTL')
  else
    redis.call('SET', KEYS[k], value, 'PX', ARGV[a + 1])
  end
  k, a = k + 1, a + 2
end
for _ = 1, tonumber(ARGV[8]) do
  redis.call('DEL', KEYS[k])
  k = k + 1
end
for _ = 1, tonumber(ARGV[9]) do
  -- An index expires with the member that expires last.
  local remaining, ttl = redis.call('PTTL', KEYS[k]), tonumber(ARGV[a + 1])
  redis.call('ZADD', KEYS[k], 0, ARGV[a])
  if ttl == 0 then
    redis.call('PERSIST', KEYS[k])
  elseif remaining ~= -1 and remaining < ttl then
    redis.call('PEXPIRE', KEYS[k], ARGV[a + 1])
  end
  k, a = k + 1, a + 2
end
for _ = 1, tonumber(ARGV[10]) do
  redis.call('ZREM', KEYS[k], ARGV[a])
  k, a = k + 1, a + 1
end

if sequenced then
  redis.call('SET', KEYS[1], version)
  redis.call('SET', KEYS[2], version, 'PX', ARGV[2])
  redis.call('PUBLISH', ARGV[3], ARGV[4] .. ':' .. previous .. ':' .. version .. ':' .. ARGV[5])
end
return {1, version}
