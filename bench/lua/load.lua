-- What wrk sends: BENCH_WORKLOAD is constant, read, list, whoami, sign-in or write; BENCH_PATH sends all of it to one
-- path. BENCH_CREDENTIAL is the header line of who calls, BENCH_DELAY_MS a pause before each request.
-- Ids and bodies are made here from counters by the rule of lib/seed.mjs, so that any number of documents
-- needs no list of them.
local env = os.getenv
local threads = 0

function setup(thread)
  threads = threads + 1
  thread:set("number", threads)
end

local FIRST = 100000000000 -- what counts up always has twelve digits
local DOCUMENT = "/api/v1/graphs/01930000-0000-7000-8000-"
local WORKSPACE = "/api/v1/workspaces/01930000-0000-7000-8001-"

local function digits(i)
  return string.format("%.0f", FIRST + i)
end

-- A function that gives paths: the fixed one, or one of `count` at random.
local function paths(prefix, count, suffix)
  local fixed = env("BENCH_PATH")
  if fixed then
    return function() return fixed end
  end
  return function() return prefix .. digits(math.random(count)) .. suffix end
end

local function headers()
  local lines = { " HTTP/1.1", "Host: " .. env("BENCH_HOST"), "Accept: application/json" }
  lines[#lines + 1] = env("BENCH_CREDENTIAL")
  return table.concat(lines, "\r\n") .. "\r\n"
end

local function get(path)
  local rest = headers() .. "\r\n"
  return function() return "GET " .. path() .. rest end
end

-- Every body is new, so every save makes a version: twelve digits in it count up.
local function put(path)
  local file = assert(io.open(env("BENCH_BODY"), "rb"))
  local body = file:read("*a")
  file:close()
  local at = assert(string.find(body, "999999999999", 1, true))
  local before = headers() .. "Content-Type: application/json\r\nContent-Length: " .. #body .. "\r\n\r\n" ..
    string.sub(body, 1, at - 1)
  local after = string.sub(body, at + 12)
  local count = tonumber(env("BENCH_NONCE")) * 100000000 + number * 10000000
  return function()
    count = count + 1
    return "PUT " .. path() .. before .. digits(count) .. after
  end
end

-- One of the accounts of lib/signin.mjs, at random.
local function post_login()
  local before = "POST /api/v1/auth/login" .. headers() .. "Content-Type: application/json\r\nContent-Length: "
  return function()
    local body = string.format('{"email":"bench-signin-%d@example.com","password":"Correct-horse-7-battery"}', math.random(32))
    return before .. #body .. "\r\n\r\n" .. body
  end
end

-- A licence of lib/licences.mjs on its machine, at random.
local function post_validate(count)
  local before = "POST /api/v1/licenses/validate" .. headers() .. "Content-Type: application/json\r\nContent-Length: "
  return function()
    local key = "BENCH-LICENCE-" .. digits(math.random(count))
    local body = '{"license_key":"' .. key .. '","machine_id":"sha256:' .. key .. '","version":"1.4.0"}'
    return before .. #body .. "\r\n\r\n" .. body
  end
end

if env("BENCH_DELAY_MS") then
  function delay() return tonumber(env("BENCH_DELAY_MS")) end
end

function init()
  local docs = tonumber(env("BENCH_DOCS"))
  local workload = env("BENCH_WORKLOAD")
  math.randomseed(tonumber(env("BENCH_NONCE")) * 100 + number)
  if workload == "list" then
    request = get(paths(WORKSPACE, math.ceil(docs / 1000), "/graphs?limit=50"))
  elseif workload == "write" then
    request = put(paths(DOCUMENT, docs, ""))
  elseif workload == "licence" then
    request = post_validate(docs)
  elseif workload == "sign-in" then
    request = post_login()
  else
    request = get(paths(DOCUMENT, docs, ""))
  end
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format(
    '\n{"requests":%d,"us":%d,"bytes":%d,"errors":%d,"refused":%d,"p50":%d,"p99":%d}\n',
    summary.requests, summary.duration, summary.bytes, e.connect + e.read + e.write + e.status + e.timeout, e.status,
    latency:percentile(50), latency:percentile(99)))
end
