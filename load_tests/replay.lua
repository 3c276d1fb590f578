-- wrk script: send each prepared POST of a file once, in order.
-- Use: wrk -t1 -c256 -d10s --latency -s replay.lua URL -- FILE
-- A line is one request. Its fields are separated by tabs: the path, "Name: value" once for
-- each header, and the body last. Signing was done beforehand, so it costs the generator nothing.
-- The first line is never sent: wrk asks for one request beforehand, only to look at it.
-- One thread only: a second one would send the same requests again.

local requests, position = {}, 0

function init(args)
  for line in io.lines(args[1]) do
    requests[#requests + 1] = line
  end
end

function request()
  position = position + 1
  local line = requests[position]
  if not line then
    error("the request file is used up")
  end
  local headers, fields = { ["Content-Type"] = "application/json" }, {}
  for field in line:gmatch("[^\t]+") do
    fields[#fields + 1] = field
  end
  for at = 2, #fields - 1 do
    local colon = fields[at]:find(": ", 1, true)
    headers[fields[at]:sub(1, colon - 1)] = fields[at]:sub(colon + 2)
  end
  return wrk.format("POST", fields[1], headers, fields[#fields])
end
