-- KEYS: a counter. ARGV: now, max, lockout, grows (1 or 0), longest, memory; times in ms.
-- Answers { 1, count } when the try may be made, { 0, time left in ms } when it may not.
-- The same arithmetic as `Tally` in store/tally.rs.
local now, max, lockout = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local grows, longest, memory = ARGV[4] == '1', tonumber(ARGV[5]), tonumber(ARGV[6])

local stored = redis.call('HMGET', KEYS[1], 'count', 'locked_until', 'forget_at')
local count, locked_until, forget_at = 0, 0, 0
if stored[1] or stored[2] or stored[3] then
  count, locked_until, forget_at = tonumber(stored[1]), tonumber(stored[2]), tonumber(stored[3])
  if not (count and locked_until and forget_at) then
    return redis.error_reply('CORRUPT a counter holds no numbers')
  end
end

if now < locked_until then
  return { 0, locked_until - now }
end
if now >= forget_at or (locked_until > 0 and not grows) then
  count = 0
end
count = math.min(count + 1, 4294967295)
local lock = 0
if count >= max then
  lock = lockout
  if grows then
    lock = lockout * 2 ^ math.min(count - max, 62)
  end
  lock = math.min(lock, longest)
end
locked_until = 0
if count >= max then
  locked_until = now + lock
end
redis.call('HSET', KEYS[1], 'count', string.format('%.0f', count),
  'locked_until', string.format('%.0f', locked_until), 'forget_at', string.format('%.0f', now + memory))
-- Decides nothing: a minute more than what matters.
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.max(lock, memory) + 60000))
return { 1, count }
