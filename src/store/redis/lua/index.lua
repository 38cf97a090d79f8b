-- KEYS: an account's sessions. ARGV: session, instant of signing in in ms, time to keep in ms.
-- The score is the instant times 1024 plus a rank, so that sessions of one instant keep the order in which
-- they came; it stays below 2^53, where a double is exact.
local first = tonumber(ARGV[2]) * 1024
local last = redis.call('ZRANGE', KEYS[1], string.format('%.0f', first + 1023),
  string.format('%.0f', first), 'BYSCORE', 'REV', 'LIMIT', 0, 1, 'WITHSCORES')
local score = first
if last[2] then
  score = math.min(tonumber(last[2]) + 1, first + 1023)
end
redis.call('ZADD', KEYS[1], string.format('%.0f', score), ARGV[1])
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[3]) then
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
return 1
