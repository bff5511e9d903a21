-- SPDX-License-Identifier: MIT
-- Web servers beside each other under wrk, in turn, ROUNDS times: vai.http, Go's net/http, a bare loop of luv,
-- lua-http, nginx. What is not installed is left out. Usage: lua5.4 bench/peers/http.lua [CASE [SECONDS]]. Prints the
-- medians of requests a second, and how many times as many vai answers. By hand, in no comparison.
local vai = require "vai"

local dir = (arg[0]:match("^.*/") or "") .. "http/"
local only, seconds = arg[1], tonumber(arg[2]) or 3
local rounds = math.tointeger(tonumber(os.getenv("ROUNDS") or "")) or 3
local FILE_SIZE = 100000

local ten = [[
local n = 0
function request()
  n = n + 1
  return wrk.format(nil, nil, n % 10 == 0 and { Connection = "close" } or {})
end
]]
local cases = {
  { name = "64", connections = 64, path = "/" },
  { name = "512", connections = 512, path = "/" },
  { name = "ten", connections = 64, path = "/", script = ten }, -- each tenth request ends its connection
  { name = "file", connections = 64, path = "/file", file = true },
}

local work = assert(os.tmpname())
os.remove(work)
assert(vai.fs.mkdirs(work .. "/files", 493))
assert(vai.fs.write_file(work .. "/files/file", ("x"):rep(FILE_SIZE)))
assert(vai.fs.write_file(work .. "/ten.lua", ten))

local nginx_conf = [[
daemon off; worker_processes auto; pid %s/pid; error_log stderr crit; user root;
events { worker_connections 4096; }
http {
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000; default_type text/plain;
  client_body_temp_path %s/t; proxy_temp_path %s/t; fastcgi_temp_path %s/t; uwsgi_temp_path %s/t; scgi_temp_path %s/t;
  server { listen 127.0.0.1:%d; root %s/files; location = / { return 200 "Hello, world!\n"; } }
}
]]

local function free_port()
  local l = assert(vai.net.listen("tcp", "127.0.0.1:0"))
  local port = l:addr():match(":(%d+)$")
  l:close()
  return port
end

local function spawn(command)
  command.stdout = "pipe"
  command.stderr = "null"
  return vai.process.spawn(command)
end

-- A server that says its address first.
local function telling(...)
  local p = spawn { ... }
  local address = p and p.stdout:read("l", 30)
  if address then return p, address end
  if p then p:kill("SIGKILL") p:wait() end
end

local function start_nginx()
  local port = free_port()
  local w = work
  assert(vai.fs.write_file(w .. "/nginx.conf", nginx_conf:format(w, w, w, w, w, w, port, w)))
  local p = spawn { "nginx", "-e", "stderr", "-p", w, "-c", w .. "/nginx.conf" }
  if not p then return nil end
  for _ = 1, 200 do
    local c = vai.net.dial("tcp", "127.0.0.1:" .. port)
    if c then
      c:close()
      return p, "127.0.0.1:" .. port
    end
    vai.sleep(0.05)
  end
end

local function start_go()
  local build = vai.process.run { "go", "build", "-o", work .. "/go-server", dir .. "server.go" }
  if build and build.code == 0 then return telling(work .. "/go-server", work .. "/files") end
end

local servers = {
  { name = "vai", files = true, start = function() return telling("lua5.4", dir .. "vai.lua", work .. "/files") end },
  { name = "go", files = true, start = start_go },
  { name = "luv", start = function() return telling("lua5.4", dir .. "luv.lua") end },
  { name = "lua-http", start = function() return telling("lua5.2", dir .. "lua_http.lua") end },
  { name = "nginx", files = true, start = start_nginx },
}

local function measure(case, address)
  local command = { "wrk", "-t2", "-c" .. case.connections, ("-d%gs"):format(seconds) }
  if case.script then
    command[#command + 1] = "-s"
    command[#command + 1] = work .. "/ten.lua"
  end
  command[#command + 1] = "http://" .. address .. case.path
  local text = assert(vai.process.run(command)).out
  local bad = text:match("Non%-2xx[^\n]*") or not case.script and text:match("Socket errors[^\n]*")
  return tonumber(text:match("Requests/sec:%s+([%d.]+)")), bad
end

local function median(list)
  table.sort(list)
  return list[(#list + 1) // 2]
end

for _, s in ipairs(servers) do s.process, s.address = s.start() end
for _, case in ipairs(cases) do
  if not only or only == case.name then
    for round = 1, rounds do
      for _, s in ipairs(servers) do
        if s.address and (s.files or not case.file) then
          local rate, bad = measure(case, s.address)
          s[case.name] = s[case.name] or {}
          s[case.name][round] = rate or 0
          if bad then print(case.name, s.name, bad) end
        end
      end
    end
    local own = median(servers[1][case.name])
    for _, s in ipairs(servers) do
      local rate = s[case.name] and median(s[case.name])
      local line = "%-5s %-9s %9.0f a second, vai has %.2f times as many"
      if rate then print(line:format(case.name, s.name, rate, own / rate)) end
    end
  end
end
for _, s in ipairs(servers) do
  if s.process then
    s.process:kill("SIGTERM")
    s.process:wait()
  end
end
vai.fs.remove_all(work)
