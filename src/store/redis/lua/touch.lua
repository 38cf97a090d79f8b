-- KEYS: session. ARGV: last action, ms. Answers 0 when there is no such session: it is not made again.
local last = redis.call('HGET', KEYS[1], 'last')
if not last then
  return 0
end
if tonumber(ARGV[1]) > tonumber(last) then
  redis.call('HSET', KEYS[1], 'last', ARGV[1])
end
return 1
