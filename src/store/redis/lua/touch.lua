-- KEYS: a session's last action. ARGV: a later one, ms. Answers 0 when there is none: it is not made again.
local last = redis.call('GET', KEYS[1])
if not last then
  return 0
end
if tonumber(ARGV[1]) > tonumber(last) then
  redis.call('SET', KEYS[1], ARGV[1], 'KEEPTTL')
end
return 1
