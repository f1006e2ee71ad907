-- wrk's side of a load: `wrk -s post.lua URL -- BODY_FILE` posts the file, and prints exact figures at the end.
function init(arguments)
  local file = assert(io.open(arguments[1], "rb"))
  wrk.method = "POST"
  wrk.body = file:read("*a")
  wrk.headers["Content-Type"] = "application/json"
  file:close()
end

function done(summary, latency)
  local errors = summary.errors
  print("figure requests " .. summary.requests)
  print("figure microseconds " .. summary.duration)
  print("figure bytes " .. summary.bytes)
  print("figure p50_microseconds " .. latency:percentile(50))
  print("figure p99_microseconds " .. latency:percentile(99))
  print("figure failed " .. errors.status + errors.connect + errors.read + errors.write + errors.timeout)
end
