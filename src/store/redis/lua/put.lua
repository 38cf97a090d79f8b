-- KEYS: establishments. ARGV: entry by SIRET, entry by identifiant ('' for none), record, and so on by three.
-- Whatever shares an entry with a new one goes, with its other entry; even what cannot be read.
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

for i = 1, #ARGV, 3 do
  for entry = i, i + 1 do
    if ARGV[entry] ~= '' then
      remove(ARGV[entry])
    end
  end
  for entry = i, i + 1 do
    if ARGV[entry] ~= '' then
      redis.call('HSET', KEYS[1], ARGV[entry], ARGV[i + 2])
    end
  end
end
return 1
