-- SPDX-License-Identifier: MIT
-- What the peers' programs share; none of them loads vai.
local peer = {}

-- The number of operations: the script's argument times `share`, at least 1.
function peer.count(share)
  return math.max(1, math.floor((tonumber(arg[1]) or 1) * share))
end

function peer.report(name, value, unit)
  io.write(("%s %.6g %s\n"):format(name, value, unit))
  io.flush()
end

-- Reports the nanoseconds that each of the n operations of f took, by a clock in seconds.
function peer.measure(now, name, n, f)
  local start = now()
  f()
  peer.report(name, (now() - start) / n * 1e9, "ns")
end

-- Resident bytes of this process.
function peer.resident()
  for line in io.lines("/proc/self/status") do
    local kB = line:match("^VmRSS:%s*(%d+) kB")
    if kB then
      return tonumber(kB) * 1024
    end
  end
end

return peer
