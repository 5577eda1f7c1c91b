-- Lets a request (or a connection) wait while its service is paused. HAProxy has no rule that waits for a change:
-- a queue needs a server that is full, and `http-request pause` (3.1) cannot be ended early.
--
-- The route map has `SERVICE:web pause/30000` while web is paused: a request waits at most that many milliseconds.
local states = Map.new(os.getenv("POINTSMAN_ROUTES"), Map._str)

-- How long a request may wait after the pause ends. With more than `usual` waiting requests in a thread it is longer, so that they
-- leave the processor to other requests.
local every_ms = 20
local usual = 100
-- How many requests may wait for one service. HAProxy's threads have equal shares, because each has its own Lua state.
local most = 10000

local most_of_thread
local all = 0
local of_service = {}

local function leave(place)
  if place.left then
    return
  end
  place.left = true
  all = all - 1
  local rest = of_service[place.service] - 1
  of_service[place.service] = rest > 0 and rest or nil
end

-- HAProxy never resumes the function of a client that disconnected. Lua calls this when it collects that function's objects.
local place_type = { __gc = leave }

local full_until = 0

local function enter(service, now_ms)
  most_of_thread = most_of_thread or math.ceil(most / math.max(1, tonumber(core.get_info().Nbthread) or 1))
  if (of_service[service] or 0) >= most_of_thread then
    -- Some may belong to disconnected clients. Finding them takes time, so it happens once a second.
    if now_ms < full_until then
      return nil
    end
    full_until = now_ms + 1000
    collectgarbage()
    if (of_service[service] or 0) >= most_of_thread then
      return nil
    end
  end
  all = all + 1
  of_service[service] = (of_service[service] or 0) + 1
  return setmetatable({ service = service, left = false }, place_type)
end

local function ms()
  local now = core.now()
  return now.sec * 1000 + now.usec / 1000
end

core.register_action("pointsman_pause", { "http-req", "tcp-req" }, function(txn)
  local service = txn:get_var("txn.service")
  local key = "SERVICE:" .. service
  local from = ms()
  local place
  while true do
    local most_ms = tonumber(string.match(states:lookup(key) or "", "^pause/(%d+)$"))
    local left_ms = most_ms and from + most_ms - ms() or 0
    if left_ms <= 0 then
      break
    end
    place = place or enter(service, from)
    if place == nil then
      txn:set_var("txn.state", "full")
      return
    end
    core.msleep(math.ceil(math.min(left_ms, every_ms * math.max(1, all / usual))))
  end
  if place then
    leave(place)
  end
end)
