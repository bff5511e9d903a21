-- SPDX-License-Identifier: MIT
-- A web server beside clients that mean it no good: how much longer the 99th percentile of a request of an ordinary
-- client takes than without them. Server, ordinary client and bad ones are processes of their own.
-- Arguments: seconds for each kind, and a command that starts another server, which prints its address.
local vai = require "vai"
local net = vai.net

local roles, role = {}, arg[1]
local ROUNDS = 9

-- Prints its address. Descriptors are few, so that those who only hold connections use them up.
function roles.server()
  local server = assert(require "vai.http".serve { listen = "127.0.0.1:0", handler = function(_, res)
    res.headers["Content-Type"] = "text/plain"
    res:send("Hello, world!\n")
  end, log = function() end, on_error = function() end, header_timeout = 30 })
  print(server:addr())
  io.stdout:flush()
  server:wait()
end

-- For every line of its input: requests for some seconds, over 8 connections that are kept, one each 2 ms; prints the
-- 99th percentile in µs, how many there were, and how many failed.
function roles.client(address, seconds)
  local conns = {}
  for i = 1, 8 do conns[i] = assert(net.dial("tcp", address)) end
  local function measure(c, till)
    local times, failed = {}, 0
    while vai.now() < till do
      local t = vai.now()
      c:write("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
      local answer = c:read(nil, 10)
      if not answer or not answer:find("^HTTP/1.1 200") then failed = failed + 1 end
      times[#times + 1] = vai.now() - t
      vai.sleep(0.002)
    end
    return times, failed
  end
  for _ in vai.stdin:lines() do
    local tasks, all, failed = {}, {}, 0
    local till = vai.now() + tonumber(seconds)
    for i, c in ipairs(conns) do tasks[i] = vai.async(measure, c, till) end
    for _, task in ipairs(tasks) do
      local _, times, bad = assert(task:join())
      table.move(times, 1, #times, #all + 1, all)
      failed = failed + bad
    end
    table.sort(all)
    print(("%.0f %d %d"):format(all[#all * 99 // 100] * 1e6, #all, failed))
    io.stdout:flush()
  end
end

-- ---- bad clients: each kind begins with so many goroutines, or so many connections ----

local bad = {}

-- Connections that hold without a word.
function bad.silent(address) return net.dial("tcp", address), 300 end

-- A byte of a head each 50 ms.
function bad.slow(address)
  local c = net.dial("tcp", address)
  local head = "GET / HTTP/1.1\r\nHost: h\r\nX: " .. ("x"):rep(1000)
  for i = 1, #head do
    if not c or not c:write(head:sub(i, i)) then return end
    vai.sleep(0.05)
  end
end

local function again(pause, f)
  return function(address)
    while true do
      local c = net.dial("tcp", address)
      if c then f(c) c:close() end
      vai.sleep(pause)
    end
  end
end

bad.garbage = again(0.05, function(c)
  local bytes = {}
  for i = 1, 500 do bytes[i] = string.char(math.random(0, 255)) end
  c:write(table.concat(bytes))
  c:read("a", 1)
end)
bad.long = again(0.2, function(c)
  c:write("GET / HTTP/1.1\r\nHost: h\r\nX: ", ("x"):rep(70000), "\r\n\r\n")
  c:read("a", 1)
end)
bad.killed = again(0.05, function(c)
  c:set("linger", 0)
  c:write(("GET / HTTP/1.1\r\nHost: h\r\n\r\n"):rep(20))
end)

local many = { silent = 300, slow = 200, garbage = 10, long = 10, killed = 10, files = 600 }
bad.files = bad.silent -- more than the server has descriptors

function roles.bad(address, kind)
  local held = {}
  for _ = 1, many[kind] do
    if kind == "silent" or kind == "files" then
      held[#held + 1] = net.dial("tcp", address)
    else
      vai.go(bad[kind], address)
    end
  end
  print "begun"
  io.stdout:flush()
  vai.stdin:read("a")
end

-- ---- the comparison ----

local function start(limit, ...)
  local spec = { "sh", "-c", limit .. 'exec "$0" "$@"', arg[-1] or "lua5.4", arg[0], ... }
  spec.stdin, spec.stdout, spec.stderr = "pipe", "pipe", "null"
  return assert(vai.process.spawn(spec))
end

local function median(list)
  table.sort(list)
  return list[#list // 2 + 1]
end

-- By turns without them and beside them: what else the machine does meets both.
local function compare(seconds, other)
  local bench = dofile((arg[0]:match("^.*/") or "") .. "bench.lua")
  for _, kind in ipairs { "silent", "slow", "garbage", "long", "killed", "files" } do
    local server = start((kind == "files" and "ulimit -n 400; " or "") .. (other and "exec " .. other .. "; " or ""),
      "server")
    local address = server.stdout:read("l")
    local client = start("", "client", address, tostring(seconds / ROUNDS))
    local function p99()
      client.stdin:write("go\n")
      local time, n, failed = client.stdout:read("l"):match("(%d+) (%d+) (%d+)")
      assert(failed == "0", failed .. " of " .. n .. " requests have failed beside " .. kind)
      return tonumber(time)
    end
    p99()
    local alone, beside = {}, {}
    for round = 1, ROUNDS do
      alone[round] = p99()
      local others = start("", "bad", address, kind)
      others.stdout:read("l")
      vai.sleep(0.1)
      beside[round] = p99()
      others:kill("SIGKILL")
      others:wait()
    end
    for _, p in ipairs { client, server } do
      p:kill("SIGKILL")
      p:wait()
    end
    local a, b = median(alone), median(beside)
    bench.report("hostile_" .. kind, b / a, "times")
    io.stderr:write(("%s: p99 %.0f us alone, %.0f us beside it\n"):format(kind, a, b))
  end
end

if roles[role] then roles[role](table.unpack(arg, 2)) else compare(tonumber(role) or 2, arg[2]) end
