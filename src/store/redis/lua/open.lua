-- KEYS: session. ARGV: record, last action in ms, time to keep in ms.
redis.call('HSET', KEYS[1], 'record', ARGV[1], 'last', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
