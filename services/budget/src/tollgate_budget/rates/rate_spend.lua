-- Spends and refunds of one tenant, many calls at once, as gcra.py says: for each call all
-- dimensions or none, calls in their order, on this server's clock. Atomic: Redis runs it whole.
--
-- KEYS: the buckets that are named, all with the hash tag of the tenant.
-- ARGV[1]: JSON [[refund, key, take_us, window_us, key, take_us, window_us, ...], ...]
--          refund is 1 or 0; key is an index into KEYS.
-- Returns for each call "dimension wait_us left_us": dimension 0 if it was spent, else the number
-- of the strictest dimension; joined by ",".
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
  local strictest, longest, left = 0, 0, 0
  if call[1] == 0 then
    for d = 2, #call, 3 do
      local at = level(call[d], call[d + 2])
      local wait = at + call[d + 1] - now - call[d + 2]
      if wait > longest then
        strictest, longest, left = (d + 1) / 3, wait, now + call[d + 2] - at
      end
    end
  end
  if strictest == 0 then
    for d = 2, #call, 3 do
      local key, at = call[d], level(call[d], call[d + 2])
      if call[1] == 0 then
        tats[key] = at + call[d + 1]
      else
        tats[key] = math.max(now, at - call[d + 1])
      end
      changed[key] = true
    end
  end
  answers[n] = string.format('%d %.0f %.0f', strictest, longest, left)
end

for key in pairs(changed) do
  -- A bucket that is empty again needs no row; the millisecond more is for rounding.
  local ttl_ms = math.floor((tats[key] - now) / 1000) + 1
  redis.call('SET', KEYS[key], string.format('%.0f', tats[key]), 'PX', ttl_ms)
end
return table.concat(answers, ',')
