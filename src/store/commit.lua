-- Runs one commit: checks the preconditions, writes all records, advances the shard's sequence and publishes the
-- invalidation message. All keys are in one slot, so the script is atomic.
--
-- KEYS: sequence, operation, then the keys of preconditions, put and reencrypt, delete, index_add, index_remove
-- ARGV: token, lifetime of the operation's outcome in ms, channel, shard, message body, the five counts,
--       then expected versions ('' for absent), (value, ttl in ms, 0 or kept)*, (member added, ttl in ms or 0)*,
--       members removed
-- Returns {1, sequence} if the commit was written, also by an earlier attempt; {0} on a conflict.
local done = redis.call('GET', KEYS[2])
if done then
  -- A write, because WAIT in later versions of Redis counts only connections that have written.
  redis.call('PEXPIRE', KEYS[2], ARGV[2])
  return {1, done}
end

local k, a = 3, 11
for _ = 1, tonumber(ARGV[6]) do
  local expected = ARGV[a]
  if expected == '' then
    if redis.call('EXISTS', KEYS[k]) == 1 then return {0} end
  elseif redis.call('GETRANGE', KEYS[k], 0, #expected - 1) ~= expected then
    return {0}
  end
  k, a = k + 1, a + 1
end

local number, previous = 0, '0000000000000000'
local current = redis.call('GET', KEYS[1])
if current then
  local colon = string.find(current, ':', 1, true)
  number, previous = tonumber(string.sub(current, 1, colon - 1)), string.sub(current, colon + 1)
end
-- tostring would write large numbers as 7.96e+14.
local sequence = string.format('%.0f', number + 1) .. ':' .. ARGV[1]

for _ = 1, tonumber(ARGV[7]) do
  local value = sequence .. ':' .. ARGV[a]
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
  local left, ttl = redis.call('PTTL', KEYS[k]), tonumber(ARGV[a + 1])
  redis.call('ZADD', KEYS[k], 0, ARGV[a])
  if ttl == 0 then
    redis.call('PERSIST', KEYS[k])
  elseif left ~= -1 and left < ttl then
    redis.call('PEXPIRE', KEYS[k], ARGV[a + 1])
  end
  k, a = k + 1, a + 2
end
for _ = 1, tonumber(ARGV[10]) do
  redis.call('ZREM', KEYS[k], ARGV[a])
  k, a = k + 1, a + 1
end

redis.call('SET', KEYS[1], sequence)
redis.call('SET', KEYS[2], sequence, 'PX', ARGV[2])
redis.call('PUBLISH', ARGV[3], ARGV[4] .. ':' .. previous .. ':' .. sequence .. ':' .. ARGV[5])
return {1, sequence}
