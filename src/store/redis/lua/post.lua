-- KEYS: the outbox. ARGV: errand, instant from which it is due in ms, how many may wait. Answers 0 when it is full.
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[3]) and not redis.call('ZSCORE', KEYS[1], ARGV[1]) then
  return 0
end
redis.call('ZADD', KEYS[1], 'NX', ARGV[2], ARGV[1])
return 1
