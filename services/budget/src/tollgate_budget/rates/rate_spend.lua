-- Spends and refunds of one tenant, many calls at once, as gcra.py says: for each call all
-- dimensions or none, calls in their order, on this server's clock. Atomic: Redis runs it whole.
--
-- KEYS: the buckets that are named, all with the hash tag of the tenant.
-- ARGV[1]: JSON [[refund, key, take_us, window_us, key, take_us, window_us, ...], ...]
--          refund is 1 or 0; key is an index into KEYS.
-- Returns for each call "dimension wait_us ahead_us ahead_us ...": dimension 0 if it was spent, else
-- the number of the strictest dimension; how far each of its buckets lies ahead of now afterwards,
-- nothing of a refund; joined by ",".
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local tats = redis.call('MGET', unpack(KEYS))
for i = 1, #KEYS do
  tats[i] = tonumber(tats[i] or now)
end

local function level(key, window)
  return math.min(math.max(tats[key], now), now + window)
end

local answers = {}
local changed = {}
for n, call in ipairs(cjson.decode(ARGV[1])) do
  local strictest, longest = 0, 0
  local ahead = {}
  if call[1] == 0 then
    for d = 2, #call, 3 do
      local at = level(call[d], call[d + 2]) - now
      local wait = at + call[d + 1] - call[d + 2]
      ahead[(d + 1) / 3] = at
      if wait > longest then
        strictest, longest = (d + 1) / 3, wait
      end
    end
  end
  if strictest == 0 then
    for d = 2, #call, 3 do
      local key, at = call[d], level(call[d], call[d + 2])
      if call[1] == 0 then
        tats[key] = at + call[d + 1]
        ahead[(d + 1) / 3] = tats[key] - now
      else
        tats[key] = math.max(now, at - call[d + 1])
      end
      changed[key] = true
    end
  end
  local answer = string.format('%d %.0f', strictest, longest)
  for d = 1, #ahead do
    answer = answer .. string.format(' %.0f', ahead[d])
  end
  answers[n] = answer
end

for key in pairs(changed) do
  -- A bucket that is empty again needs no row; the millisecond more is for rounding.
  local ttl_ms = math.floor((tats[key] - now) / 1000) + 1
  redis.call('SET', KEYS[key], string.format('%.0f', tats[key]), 'PX', ttl_ms)
end
return table.concat(answers, ',')
