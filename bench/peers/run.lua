-- SPDX-License-Identifier: MIT
-- Runs workloads of bench/lua beside their counterparts in other libraries of Lua 5.4 that Debian has packages of, in
-- turn, ROUNDS times, and prints medians. Called by `make bench-peers`. A peer that is not installed is left out. The
-- exit status is 1 where vai is not ten times faster than the threads of a peer. Coroutines are there for scale, and so
-- are work requests: they run in four states that stay.
local dir = arg[0]:match("^.*/") or ""
local rounds = math.tointeger(tonumber(os.getenv("ROUNDS") or "")) or 3
local lua = os.getenv("LUA") or "lua5.4"
local faster = 10

local rows = {
  { "spawn_seq", "spawn and join one by one, ns" },
  { "spawn", "spawn all, luv: work requests, ns", unbound = true },
  { "pingpong", "ping-pong, ns" },
  { "pipeline_int", "integers in one direction, ns" },
  { "parked_bytes", "waiting, bytes", unbound = true },
}
local peers = {
  { name = "luv threads", file = "luv_threads", needs = "luv", bound = true },
  { name = "cqueues threads", file = "cqueues_threads", needs = "cqueues.thread", bound = true },
  { name = "coroutines", file = "coroutines" },
}

-- Adds what the program prints to samples[metric].
local function run(samples, path)
  local pipe = assert(io.popen(("exec %s '%s'"):format(lua, path)))
  local text = pipe:read("a")
  if not pipe:close() then
    io.stderr:write(("bench-peers: %s failed\n"):format(path))
    os.exit(1)
  end
  for metric, value in text:gmatch("(%S+) (%S+) %S+\n") do
    samples[metric] = samples[metric] or {}
    table.insert(samples[metric], tonumber(value))
  end
end

local function median(list)
  table.sort(list)
  return list[(#list + 1) // 2]
end

local present = {}
for _, peer in ipairs(peers) do
  if not peer.needs or pcall(require, peer.needs) then
    peer.samples = {}
    present[#present + 1] = peer
  else
    io.stderr:write(("bench-peers: without %s, which are not installed\n"):format(peer.name))
  end
end

local own = {}
for _ = 1, rounds do
  for _, row in ipairs(rows) do
    run(own, ("%s../lua/%s.lua"):format(dir, row[1]:match("^parked") or row[1]))
  end
  for _, peer in ipairs(present) do
    run(peer.samples, dir .. peer.file .. ".lua")
  end
end

io.write(("%-36s%12s"):format(("medians of %d rounds"):format(rounds), "vai"))
for _, peer in ipairs(present) do
  io.write(("%18s%9s"):format(peer.name, "to vai"))
end
io.write("\n")
local missed = {}
for _, row in ipairs(rows) do
  local base = median(own[row[1]])
  io.write(("%-36s%12.0f"):format(row[2], base))
  for _, peer in ipairs(present) do
    local samples = peer.samples[row[1]]
    local value = samples and median(samples)
    io.write(value and ("%18.0f%9.2f"):format(value, value / base) or ("%18s%9s"):format("-", "-"))
    if value and peer.bound and not row.unbound and value < faster * base then
      missed[#missed + 1] = ("%s, %s"):format(row[1], peer.name)
    end
  end
  io.write("\n")
end
if #missed > 0 then
  print(("less than %d times faster: %s"):format(faster, table.concat(missed, "; ")))
end
os.exit(#missed == 0)
