-- Finds the route of a request where routes have a match: conditions on its method, headers, cookies and query. HAProxy has no rule
-- that tests a header whose name is in a map.
--
-- The route map has, for a host and a path, the matches in their order and what is there when none fits, `?/web/2/<id>,<id>` (with `-`
-- instead of segments: nothing is), and for each match `<host><path>?<id> web/0/m:GET,HEAD&he:x-version:2`. A condition is a letter
-- for its source (h, c, q), one for its test (e: equal, p: begins with, r: regular expression), a name and a value, with %XX.
local routes = Map.new(os.getenv("POINTSMAN_ROUTES"), Map._str)

-- A regular expression is not tried with a longer value, and not more of the header lines with one name are read.
local longest = 2048
local most_lines = 16
-- A blocked thread delays all requests. So the values that one request compares with regular expressions have this many characters
-- together at most, and a short value counts as if it had 128 more: the expressions of a policy take 64 steps for each of them.
local most_tested = 32768
local least_tested = 128
-- No route has a longer path.
local longest_path = 256

-- The parsed values of the map. It is emptied when it has too many, so that values that are gone do not stay.
local parsed = {}
local parsed_count = 0
local most_parsed = 4096

local function unescape(text)
  return (string.gsub(text, "%%(%x%x)", function(hex)
    return string.char(tonumber(hex, 16))
  end))
end

local function parse_match(text)
  local target, conditions = string.match(text, "^([^/]+/%d)/(.*)$")
  if not target then
    return nil
  end
  local match = { target = string.gsub(target, "/0$", ""), conditions = {} }
  for part in string.gmatch(conditions, "[^&]+") do
    local methods = string.match(part, "^m:(.*)$")
    if methods then
      match.methods = {}
      for method in string.gmatch(methods, "[^,]+") do
        match.methods[method] = true
      end
    else
      local source, test, name, value = string.match(part, "^(%l)(%l):([^:]*):(.*)$")
      match.conditions[#match.conditions + 1] = { source = source, test = test, name = unescape(name), value = unescape(value) }
    end
  end
  return match
end

local function parse_choice(text)
  local service, stripped, ids = string.match(text, "^%?/([^/]+)/([^/]+)/(.*)$")
  if not service then
    return nil
  end
  local choice = { ids = {} }
  if stripped == "0" then
    choice.otherwise = service
  elseif stripped ~= "-" then
    choice.otherwise = service .. "/" .. stripped
  end
  for id in string.gmatch(ids, "[^,]+") do
    choice.ids[#choice.ids + 1] = id
  end
  return choice
end

local function parse(text, how)
  local known = parsed[text]
  if known == nil then
    if parsed_count >= most_parsed then
      parsed = {}
      parsed_count = 0
    end
    known = how(text) or false
    parsed[text] = known
    parsed_count = parsed_count + 1
  end
  return known
end

local function fits(txn, condition, value)
  if condition.test == "e" then
    return value == condition.value
  end
  if condition.test == "p" then
    return string.sub(value, 1, #condition.value) == condition.value
  end
  -- HAProxy's own engine. A control character in the value could not be told from the replacement.
  if #value > longest or string.find(value, "%c") then
    return false
  end
  -- Kept with the request, because it can come here twice.
  local tested = (txn:get_priv() or 0) + #value + least_tested
  if tested > most_tested then
    return false
  end
  txn:set_priv(tested)
  return string.find(txn.c:regsub(value, condition.value, "\1"), "\1", 1, true) ~= nil
end

local function holds(txn, condition)
  local source, name = condition.source, condition.name
  if source == "h" then
    for line = 1, most_lines do
      local value = txn.f:req_fhdr(name, line)
      if not value then
        return false
      end
      if fits(txn, condition, value) then
        return true
      end
    end
    return false
  end
  local value
  if source == "c" then
    value = txn.f:req_cook(name)
  else
    value = txn.f:url_param(name)
    if value and string.find(value, "[%%+]") then
      value = unescape(string.gsub(value, "%+", " "))
    end
  end
  return value ~= nil and fits(txn, condition, value)
end

local function matches(txn, match)
  if match.methods and not match.methods[txn.f:method()] then
    return false
  end
  for _, condition in ipairs(match.conditions) do
    if not holds(txn, condition) then
      return false
    end
  end
  return true
end

-- The target at one key of the map: nil if nothing is there for this request.
local function at(txn, key)
  local value = routes:lookup(key)
  if not value then
    return nil
  end
  if string.sub(value, 1, 2) ~= "?/" then
    return value
  end
  local choice = parse(value, parse_choice)
  if not choice then
    return nil
  end
  for _, id in ipairs(choice.ids) do
    -- The service of a match may wait for a reload, and then its match is not in the map yet.
    local text = routes:lookup(key .. "?" .. id)
    local match = text and parse(text, parse_match)
    if match and matches(txn, match) then
      return match.target
    end
  end
  return choice.otherwise
end

-- The same order in which haproxy.cfg looks for routes: the more exact host first, then the longer path.
local function find(txn, host, path)
  if string.sub(path, -1) ~= "/" then
    path = path .. "/"
  end
  local domain = string.match(host, "^[^.]*%.(.*)$")
  if #path > longest_path then
    path = string.match(string.sub(path, 1, longest_path), "^(.*/)") or "/"
  end
  local patterns = { host, "*." .. (domain or ""), string.match(host, "^[^.]*") .. ".*", "*" }
  for _, pattern in ipairs(patterns) do
    local prefix = path
    while true do
      local target = at(txn, pattern .. prefix)
      if target then
        return target
      end
      local shorter = string.match(prefix, "^(.*/)[^/]*/$")
      if not shorter then
        break
      end
      prefix = shorter
    end
  end
  return nil
end

-- For a request whose host and path have the form of the routes: the service and how many segments its route strips. Without
-- a route, the rules for all other requests answer.
core.register_action("pointsman_match_early", { "http-req" }, function(txn)
  local target = find(txn, txn.f:req_fhdr("host") or "", txn.f:path() or "/")
  if target then
    local service, stripped = string.match(target, "^([^/]*)/?(.*)$")
    txn:set_var("txn.target", service)
    txn:set_var("txn.strip", stripped == "" and "0" or stripped)
  end
end)

core.register_action("pointsman_match", { "http-req" }, function(txn)
  local target = find(txn, txn:get_var("txn.host") or "", txn:get_var("txn.path") or "/")
  if target then
    txn:set_var("txn.target", target)
  else
    txn:unset_var("txn.target")
  end
end)
