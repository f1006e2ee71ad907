-- wrk's side of a load: `wrk -H HEADER -s post.lua URL -- BODY_FILE` posts the file, and prints exact figures at the end.
-- `-- BODY_FILE VALUES_FILE` adds the headers of that file: each of its lines has three values for the headers that the
-- first line names. The requests take the lines in turn, and are written before the load begins.
local requests, turn = nil, 0

local function prepare(path)
  local file = assert(io.open(path, "rb"))
  local names = {}
  for name in file:read("*l"):gmatch("%S+") do names[#names + 1] = name end
  requests = {}
  for line in file:lines() do
    local number = 0
    for value in line:gmatch("[^\t]+") do
      number = number + 1
      wrk.headers[names[number]] = value
    end
    requests[#requests + 1] = wrk.format()
  end
  file:close()
  request = function()
    turn = turn % #requests + 1
    return requests[turn]
  end
end

function init(arguments)
  local file = assert(io.open(arguments[1], "rb"))
  wrk.method = "POST"
  wrk.body = file:read("*a")
  file:close()
  if arguments[2] then
    wrk.headers["Host"] = wrk.host .. ":" .. wrk.port
    prepare(arguments[2])
  end
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
