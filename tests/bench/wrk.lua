-- One POST over and over; the body from WEIR_BENCH_BODY, headers from WEIR_BENCH_HEADERS ("name: value" a line).
-- Prints its counts as one JSON line behind wrk's own report.
wrk.method = os.getenv("WEIR_BENCH_METHOD") or "POST"
local body = os.getenv("WEIR_BENCH_BODY")
if body then
  local file = assert(io.open(body, "rb"))
  wrk.body = file:read("*a")
  file:close()
end
for line in (os.getenv("WEIR_BENCH_HEADERS") or ""):gmatch("[^\n]+") do
  local name, value = line:match("^(.-): (.*)$")
  wrk.headers[name] = value
end

-- One of so many users each time, at random.
local users = tonumber(os.getenv("WEIR_BENCH_USERS"))
if users then
  math.randomseed(os.time())
  request = function()
    wrk.headers["x-bench-user"] = "user-" .. math.random(users)
    return wrk.format()
  end
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests":%d,"seconds":%f,"not_2xx":%d,"socket_errors":%d,"p50_us":%f,"p99_us":%f}\n',
    summary.requests, summary.duration / 1e6, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
