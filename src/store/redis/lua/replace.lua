-- KEYS: accounts. ARGV: name, revision that was read, record. The stored record is only looked at: what is
-- written is the caller's own JSON.
local stored = redis.call('HGET', KEYS[1], ARGV[1])
if not stored then
  return 0
end
local readable, account = pcall(cjson.decode, stored)
if not readable or type(account) ~= 'table' then
  return redis.error_reply('CORRUPT an account is no JSON object')
end
if (account.revision or 0) ~= tonumber(ARGV[2]) then
  return 0
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1
