-- KEYS: the outbox. ARGV: errand, until when it was held in ms, when it is due again in ms or '' to strike it out.
-- Answers 0 when another has claimed it since.
local held = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not held or tonumber(held) ~= tonumber(ARGV[2]) then
  return 0
end
if ARGV[3] == '' then
  redis.call('ZREM', KEYS[1], ARGV[1])
else
  redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1])
end
return 1
