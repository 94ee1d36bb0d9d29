-- Asks for one order after another: `wrk … -- TOKENS FIRST` cycles through the file from a line on; without a file every
-- request is the URL as it was given. Prints its result as one line of JSON.

function init(args)
  if not args[1] then
    return
  end
  local requests, at = {}, tonumber(args[2])
  for token in io.lines(args[1]) do
    requests[#requests + 1] = wrk.format("GET", wrk.path .. token)
  end
  at = at % #requests
  request = function()
    at = at % #requests + 1
    return requests[at]
  end
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    'RESULT {"requests": %d, "seconds": %f, "errors": %d, "p50_us": %f, "p99_us": %f}\n',
    summary.requests, summary.duration / 1e6,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
