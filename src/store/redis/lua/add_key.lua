-- KEYS: signing keys. ARGV: key, how many are expected, how many to keep. Answers all that are kept.
if redis.call('LLEN', KEYS[1]) == tonumber(ARGV[2]) then
  redis.call('RPUSH', KEYS[1], ARGV[1])
  redis.call('LTRIM', KEYS[1], -tonumber(ARGV[3]), -1)
end
return redis.call('LRANGE', KEYS[1], 0, -1)
