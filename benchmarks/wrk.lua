-- Asks the bodies of a file in turn, each numbered by X-Request-Id, and keeps every answer beside its number.
-- Arguments: a file with one JSON body a line, and the file to write "status <tab> number <tab> answer" to.

local requests, answers, last = {}, nil, 0

function init(args)
  for body in io.lines(args[1]) do
    local headers = { ["Content-Type"] = "application/json", ["X-Request-Id"] = tostring(#requests) }
    requests[#requests + 1] = wrk.format("POST", nil, headers, body)
  end
  answers = io.open(args[2], "w")
  answers:setvbuf("line") -- wrk ends without closing it
end

function request()
  last = last % #requests + 1
  return requests[last]
end

function response(status, headers, body)
  answers:write(status, "\t", headers["x-request-id"] or "", "\t", body, "\n")
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\n{"seconds": %f, "requests": %d, "errors": %d, "p50_ms": %f, "p99_ms": %f}\n',
    summary.duration / 1e6, summary.requests,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
