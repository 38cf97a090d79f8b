-- KEYS: the outbox. ARGV: now, until when the errand is held; in ms. Answers the errand that was due the longest.
local due = redis.call('ZRANGE', KEYS[1], '-inf', ARGV[1], 'BYSCORE', 'LIMIT', 0, 1)
if due[1] then
  redis.call('ZADD', KEYS[1], ARGV[2], due[1])
end
return due[1]
