-- KEYS: establishments, staged rows. ARGV: how many values were staged, by threes: entry by SIRET, entry by
-- identifiant ('' for none), record ('' for one that goes).
-- Whatever shares an entry with a new one goes, with its other entry; even what cannot be read.
local rows = redis.call('LRANGE', KEYS[2], 0, -1)
redis.call('DEL', KEYS[2])
if #rows ~= tonumber(ARGV[1]) then
  return redis.error_reply('CORRUPT some staged rows are gone')
end

local function remove(entry)
  local stored = redis.call('HGET', KEYS[1], entry)
  if not stored then
    return
  end
  redis.call('HDEL', KEYS[1], entry)
  local readable, known = pcall(cjson.decode, stored)
  if not readable or type(known) ~= 'table' or type(known.caf) ~= 'string' then
    return
  end
  if type(known.siret) == 'string' then
    redis.call('HDEL', KEYS[1], known.caf .. ':s:' .. known.siret)
  end
  if type(known.identifiant_communication) == 'string' then
    redis.call('HDEL', KEYS[1], known.caf .. ':c:' .. known.identifiant_communication)
  end
end

for i = 1, #rows, 3 do
  for entry = i, i + 1 do
    if rows[entry] ~= '' then
      remove(rows[entry])
    end
  end
  for entry = i, i + 1 do
    if rows[entry] ~= '' and rows[i + 2] ~= '' then
      redis.call('HSET', KEYS[1], rows[entry], rows[i + 2])
    end
  end
end
return 1
