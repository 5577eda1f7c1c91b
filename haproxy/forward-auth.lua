-- Forward authentication: asks another service about a request before a server gets it. The policy's section calls
-- `pointsman_forward_auth`, and refuses each request for which it did not set txn.authenticated. So an error in this script
-- refuses requests and never lets one through.
--
-- The question goes to HAProxy's own frontend `_forward-auth`, which sends it to a healthy server of the service.
local socket = "unix@" .. (os.getenv("POINTSMAN_FORWARD_AUTH") or "")

-- How many questions may wait for the answers of one service. HAProxy's threads have equal shares, because each has its own Lua
-- state.
local most = 2000
-- How many cached answers a thread keeps: up to twice as many, because it forgets half of them at once.
local most_cached = 500
-- HAProxy sends an answer from one buffer (tune.bufsize, 16 KiB), and keeps 1 KiB of it.
local longest_answer = 14 * 1024

local most_of_thread
local of_service = {}

local function leave(place)
  if place.left then
    return
  end
  place.left = true
  local rest = of_service[place.service] - 1
  of_service[place.service] = rest > 0 and rest or nil
end

-- HAProxy never resumes the function of a client that disconnected. Lua calls this when it collects that function's objects.
local place_type = { __gc = leave }

local full_until = 0

local function ms()
  local now = core.now()
  return now.sec * 1000 + now.usec / 1000
end

local function enter(service)
  most_of_thread = most_of_thread or math.ceil(most / math.max(1, tonumber(core.get_info().Nbthread) or 1))
  if (of_service[service] or 0) >= most_of_thread then
    -- Some may belong to disconnected clients. Finding them takes time, so it happens once a second.
    local now_ms = ms()
    if now_ms >= full_until then
      full_until = now_ms + 1000
      collectgarbage()
    end
    if (of_service[service] or 0) >= most_of_thread then
      return nil
    end
  end
  of_service[service] = (of_service[service] or 0) + 1
  return setmetatable({ service = service, left = false }, place_type)
end

-- Two generations: when the newer one is full, it becomes the older one, and the older one is forgotten.
local newer, older, newer_count = {}, {}, 0

local function cached(key)
  local found = newer[key] or older[key]
  return found and found.until_ms > ms() and found or nil
end

local function remember(key, answer)
  if newer_count >= most_cached then
    older, newer, newer_count = newer, {}, 0
  end
  newer[key] = answer
  newer_count = newer_count + 1
end

local lists = {}

-- The names of a list joined by commas, in lower case. `-` is none.
local function names_of(text)
  local known = lists[text]
  if known == nil then
    known = {}
    for name in string.gmatch(text, "[^,]+") do
      if name ~= "-" then
        known[#known + 1] = string.lower(name)
      end
    end
    lists[text] = known
  end
  return known
end

-- The values of a header of a message, as a list. HAProxy counts them from 0.
local function values_of(headers, name)
  local values, found = {}, headers[name]
  if type(found) == "table" then
    for at = 0, #found do
      values[#values + 1] = found[at]
    end
  elseif found ~= nil then
    values[1] = found
  end
  return values
end

-- The values of a header as one text, for the key of the cache. No value has a line break.
local function text_of(values)
  if values == nil then
    return ""
  end
  return values[1] == nil and values[0] or table.concat(values, "\n", values[0] and 0 or 1)
end

local function let_through(txn, copied, answer)
  for _, name in ipairs(copied) do
    for _, value in ipairs(answer[name] or {}) do
      txn.http:req_add_header(name, value)
    end
  end
  txn:set_var("txn.authenticated", true)
end

-- Headers that belong to one connection, or that HAProxy writes itself.
local not_for_client = {
  ["connection"] = true, ["keep-alive"] = true, ["proxy-connection"] = true, ["te"] = true, ["trailer"] = true,
  ["transfer-encoding"] = true, ["upgrade"] = true, ["content-length"] = true, ["alt-svc"] = true,
}

local function refuse(txn, response)
  local reply = txn:reply({ status = response.status, reason = response.reason })
  local size = 0
  for name, values in pairs(response.headers or {}) do
    name = string.lower(name)
    if not not_for_client[name] then
      for _, value in ipairs(values_of({ [name] = values }, name)) do
        size = size + #name + #value + 16
        reply:add_header(name, value)
      end
    end
  end
  local body = response.body or ""
  if txn.sf:method() ~= "HEAD" and size + #body <= longest_answer then
    reply:set_body(body)
  end
  if size <= longest_answer then
    txn:done(reply)
  end
  -- The policy's next rule answers 503.
end

local function fail(txn, on_error)
  if on_error == "allow" then
    txn:set_var("txn.authenticated", true)
  end
end

core.register_action("pointsman_forward_auth", { "http-req" }, function(
  txn, service, path, timeout_ms, on_error, cache_ms, cache_by, sent_text, copied_text
)
  local sent, copied = names_of(sent_text), names_of(copied_text)
  local headers = txn.http:req_get_headers()
  local client, method, uri = txn.sf:src(), txn.sf:method(), txn.sf:pathq()
  -- Only a trusted proxy, or the frontend itself, has set this header.
  local proto = headers["x-forwarded-proto"] or { txn.f:ssl_fc() == 1 and "https" or "http" }
  local by_client = client ~= "" and { client } or nil

  cache_ms = tonumber(cache_ms)
  local key
  if cache_ms > 0 then
    local parts = { service, path, sent_text, copied_text, text_of(proto), text_of(headers["host"]) }
    for _, name in ipairs(sent) do
      parts[#parts + 1] = text_of(headers[name])
    end
    if cache_by == "question" then
      parts[#parts + 1] = table.concat({ method, uri, text_of(headers["x-forwarded-for"]), client }, "\0")
    end
    key = table.concat(parts, "\0")
    local known = cached(key)
    if known then
      return let_through(txn, copied, known.headers)
    end
  end

  local question = {
    ["host"] = headers["host"],
    ["x-forwarded-host"] = headers["host"],
    ["x-forwarded-method"] = { method },
    ["x-forwarded-proto"] = proto,
    ["x-forwarded-uri"] = { uri },
    ["x-forwarded-for"] = headers["x-forwarded-for"],
    ["x-real-ip"] = by_client,
    ["x-pointsman-client"] = by_client,
    ["x-pointsman-service"] = { service },
  }
  for _, name in ipairs(sent) do
    question[name] = headers[name]
  end

  local place = enter(service)
  if place == nil then
    return fail(txn, on_error)
  end
  local http = core.httpclient()
  -- Before 2.9, HAProxy repeats a question up to three times after the timeout, and has no setting against it.
  local asked, response = pcall(http.get, http, {
    url = "http://forward-auth" .. path, dst = socket, headers = question, timeout = tonumber(timeout_ms),
  })
  leave(place)

  if not asked or type(response) ~= "table" or (response.status or 0) < 200 then
    return fail(txn, on_error)
  end
  -- A circle of services is a mistake in policies, and never lets a request through.
  if response.status == 508 then
    return refuse(txn, response)
  end
  if response.status >= 500 then
    return fail(txn, on_error)
  end
  if response.status >= 300 then
    return refuse(txn, response)
  end

  local given = {}
  for _, name in ipairs(copied) do
    given[name] = values_of(response.headers, name)
  end
  if key then
    remember(key, { headers = given, until_ms = ms() + cache_ms })
  end
  local cookies = values_of(response.headers, "set-cookie")
  if #cookies > 0 then
    txn:set_var("txn.auth_cookies", table.concat(cookies, "\n"))
  end
  let_through(txn, copied, given)
end, 8)

-- Gives the client the cookies of an answer that let its request through, such as a renewed session.
core.register_action("pointsman_auth_cookies", { "http-res" }, function(txn)
  for cookie in string.gmatch(txn:get_var("txn.auth_cookies") or "", "[^\n]+") do
    txn.http:res_add_header("Set-Cookie", cookie)
  end
end)
