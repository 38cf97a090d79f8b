-- KEYS: accounts, staged rows. ARGV: how many values were staged, by threes: name, revision that was read ('' for
-- a new account), record. Answers the names that were taken, then those that were changed since; all rows are
-- written if there are none.
local rows = redis.call('LRANGE', KEYS[2], 0, -1)
redis.call('DEL', KEYS[2])
if #rows ~= tonumber(ARGV[1]) then
  return redis.error_reply('CORRUPT some staged rows are gone')
end
local taken, stale, pairs_to_set = {}, {}, {}
for i = 1, #rows, 3 do
  local name, read = rows[i], rows[i + 1]
  if read == '' then
    if redis.call('HEXISTS', KEYS[1], name) == 1 then
      taken[#taken + 1] = name
    end
  else
    local stored = redis.call('HGET', KEYS[1], name)
    local readable, account = pcall(cjson.decode, stored or '')
    if not stored then
      stale[#stale + 1] = name
    elseif not readable or type(account) ~= 'table' then
      return redis.error_reply('CORRUPT an account is no JSON object')
    elseif (account.revision or 0) ~= tonumber(read) then
      stale[#stale + 1] = name
    end
  end
  pairs_to_set[#pairs_to_set + 1] = name
  pairs_to_set[#pairs_to_set + 1] = rows[i + 2]
end
if #taken == 0 and #stale == 0 then
  for first = 1, #pairs_to_set, 1000 do
    redis.call('HSET', KEYS[1], unpack(pairs_to_set, first, math.min(first + 999, #pairs_to_set)))
  end
end
return { taken, stale }
