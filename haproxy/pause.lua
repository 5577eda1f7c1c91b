-- Lets a request (or a connection) wait while its service is paused. HAProxy itself has no rule that waits for a change:
-- a queue needs a server that is full, and `http-request pause` (3.1) cannot be ended early.
--
-- The route map says `SERVICE:web pause/30000` while web is paused: nobody waits longer than so many milliseconds.
local states = Map.new(os.getenv("POINTSMAN_ROUTES"), Map._str)

-- How long a request may wait longer than it has to.
local every_ms = 20

core.register_action("pointsman_pause", { "http-req", "tcp-req" }, function(txn)
  local key = "SERVICE:" .. txn:get_var("txn.service")
  local from = core.now()
  while true do
    local most_ms = tonumber(string.match(states:lookup(key) or "", "^pause/(%d+)$"))
    local now = core.now()
    local waited_ms = (now.sec - from.sec) * 1000 + (now.usec - from.usec) / 1000
    if most_ms == nil or waited_ms >= most_ms then
      return
    end
    core.msleep(every_ms)
  end
end)
