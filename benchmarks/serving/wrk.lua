-- Asks the bodies of a file in turn, and keeps every answer beside the number of its question.
-- Arguments: a file with one JSON body a line, the file to append "number <tab> status <tab> answer" to, and how many
-- threads there are. Each thread must have one connection only: then an answer is to the thread's last question, and
-- no server has to send anything back by which to tell. Each begins at another text.

local threads = 0

function setup(thread)
  thread:set("thread_number", threads)
  threads = threads + 1
end

local headers = { ["Content-Type"] = "application/json" }
local bodies, requests, answers, last = {}, {}, nil, 0

function init(args)
  for body in io.lines(args[1]) do
    bodies[#bodies + 1] = body
  end
  last = math.floor(thread_number * #bodies / tonumber(args[3]))
  answers = io.open(args[2], "a") -- one write a line, so that threads may share it
  answers:setvbuf("line") -- wrk ends without closing it
end

function request()
  last = last % #bodies + 1
  requests[last] = requests[last] or wrk.format("POST", nil, headers, bodies[last])
  return requests[last]
end

function response(status, headers, body)
  local line = body:gsub("%s*[\r\n]%s*", " ") -- JSON has line breaks between values only
  answers:write(last - 1, "\t", status, "\t", line, "\n")
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\n{"seconds": %f, "requests": %d, "errors": %d, "p50_ms": %f, "p99_ms": %f}\n',
    summary.duration / 1e6, summary.requests,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
