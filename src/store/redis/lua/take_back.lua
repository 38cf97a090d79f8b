-- KEYS: a counter. ARGV: max. Takes one allowed try back, and the lock where fewer than max are left.
-- Answers the count. The same arithmetic as `Tally` in store/tally.rs.
local stored = redis.call('HGET', KEYS[1], 'count')
if not stored then
  return 0
end
local count = tonumber(stored)
if not count then
  return redis.error_reply('CORRUPT a counter holds no numbers')
end
count = math.max(count - 1, 0)
redis.call('HSET', KEYS[1], 'count', string.format('%.0f', count))
if count < tonumber(ARGV[1]) then
  redis.call('HSET', KEYS[1], 'locked_until', '0')
end
return count
