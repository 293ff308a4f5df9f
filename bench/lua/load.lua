-- What wrk sends: BENCH_WORKLOAD is constant, read, list, whoami, sign-in, licence, device, webhook or write; BENCH_PATH
-- sends all of it to one path. BENCH_CREDENTIAL is the header line of who calls, BENCH_DELAY_MS a pause before each
-- request; answers without BENCH_MARK are counted.
-- Ids and bodies are made here from counters by the rule of lib/seed.mjs, so that any number of documents
-- needs no list of them.
local env = os.getenv
local threads = {}

function setup(thread)
  threads[#threads + 1] = thread
  thread:set("number", #threads)
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

-- A licence of lib/licences.mjs, at random, on the machine that `machine` gives for its key.
local function post_validate(prefix, count, machine)
  local before = "POST /api/v1/licenses/validate" .. headers() .. "Content-Type: application/json\r\nContent-Length: "
  return function()
    local key = prefix .. digits(math.random(count))
    local body = '{"license_key":"' .. key .. '","machine_id":"' .. machine(key) .. '","version":"1.4.0"}'
    return before .. #body .. "\r\n\r\n" .. body
  end
end

local function its_machine(key)
  return "sha256:" .. key
end

local machines = 0
local function new_machine()
  machines = machines + 1
  return string.format("bench-machine-%s-%d-%d", env("BENCH_NONCE"), number, machines)
end

-- The events of BENCH_EVENTS, lines of an id and its signature: each thread has its share. When they run out the last
-- is sent without a signature, which is an error.
local function post_event(path)
  local file = assert(io.open(env("BENCH_BODY"), "rb"))
  local template = file:read("*a")
  file:close()
  local at = assert(string.find(template, "evt_0", 1, true))
  local before, after = string.sub(template, 1, at - 1), string.sub(template, at + 28)
  local lines, at_line = {}, 0
  for line in io.lines(env("BENCH_EVENTS")) do
    at_line = at_line + 1
    if at_line % tonumber(env("BENCH_THREADS")) == number - 1 then lines[#lines + 1] = line end
  end
  local head = "POST " .. path() .. headers() .. "Content-Type: application/json; charset=utf-8\r\nContent-Length: " .. #template .. "\r\n"
  local sent = 0
  return function()
    sent = sent + 1
    local id, signature = string.match(lines[sent] or lines[#lines] .. "gone", "^(%S+) (%S+)$")
    return head .. "Stripe-Signature: " .. signature .. "\r\n\r\n" .. before .. id .. after
  end
end

local mark = env("BENCH_MARK")
if mark then
  unmarked = 0
  function response(_, _, body)
    if not string.find(body, mark, 1, true) then unmarked = unmarked + 1 end
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
    request = post_validate("BENCH-LICENCE-", docs, its_machine)
  elseif workload == "device" then
    request = post_validate("BENCH-ROOM-", docs, new_machine)
  elseif workload == "webhook" then
    request = post_event(paths("", 1, ""))
  elseif workload == "sign-in" then
    request = post_login()
  else
    request = get(paths(DOCUMENT, docs, ""))
  end
end

function done(summary, latency)
  local e = summary.errors
  local without = 0
  for _, thread in ipairs(threads) do without = without + (thread:get("unmarked") or 0) end
  io.write(string.format(
    '\n{"requests":%d,"us":%d,"bytes":%d,"errors":%d,"refused":%d,"unmarked":%d,"p50":%d,"p99":%d}\n',
    summary.requests, summary.duration, summary.bytes, e.connect + e.read + e.write + e.status + e.timeout, e.status, without,
    latency:percentile(50), latency:percentile(99)))
end
