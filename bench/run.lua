-- SPDX-License-Identifier: MIT
-- Runs the workloads of every contestant in turn, for several rounds, and prints medians,
-- ratios and the targets; writes all samples to bench.json. Called by bench/run, which
-- builds the programs and sets the environment.
--
-- A metric is a name that a program prints. samples[metric][contestant] is a list of one
-- value per round, false where there is none; failures[workload][contestant] says why.
local dir = arg[1]
local env = os.getenv
local build, lua = env("VAI_BUILD"), env("LUA")
local function setting(name, default)
  local text = env(name) or ""
  local value = text == "" and default or math.tointeger(tonumber(text))
  if not value or value < 1 then
    io.stderr:write(("bench: %s must be a number of at least 1\n"):format(name))
    os.exit(2)
  end
  return value
end

local rounds = setting("ROUNDS", 5)
local limit = setting("LIMIT", 60) -- seconds

local function growth(...)
  local metrics = {}
  for _, what in ipairs({ "spawn", "park", "wake", "chan" }) do
    for _, size in ipairs({ ... }) do
      metrics[#metrics + 1] = ("growth_%s_%s"):format(what, size)
    end
  end
  return metrics
end

-- In the order of the table. `but` names the contestants without it, `api` workloads are also written against vai.h,
-- `extra` ones run when they are named in ONLY, and `plain` is the same in stock Lua without vai.
local workloads = {
  { name = "spawn", metrics = { "spawn" }, api = true },
  { name = "spawn_seq", metrics = { "spawn_seq" }, api = true },
  { name = "parked", metrics = { "parked_bytes", "parked_pagetable" }, api = true },
  { name = "parked_libs", metrics = { "parked_libs_bytes", "parked_libs_pagetable" }, but = "c go" },
  { name = "idle_actor", metrics = { "idle_actor_bytes", "idle_actor_pagetable" }, but = "c go" },
  { name = "alive", metrics = { "alive", "alive_time" }, extra = true },
  { name = "growth", metrics = growth("1k", "10k", "100k"), but = "c" },
  { name = "growth_million", metrics = growth("1m"), but = "c", extra = true },
  { name = "pingpong", metrics = { "pingpong", "pingpong_main" }, api = true },
  { name = "ring", metrics = { "ring8", "ring", "ring5000" }, but = "c", api = true },
  { name = "sieve", metrics = { "sieve" } },
  { name = "pipeline_int", metrics = { "pipeline_int", "pipeline_int_main" } },
  { name = "pipeline_caps", metrics = { "pipeline_cap1", "pipeline_cap8", "pipeline_cap1024" }, but = "c" },
  { name = "fan", metrics = { "fan" }, but = "c" },
  { name = "actors", metrics = { "actors" }, but = "c" },
  { name = "strings", metrics = { "strings", "strings_100k" }, but = "c" },
  { name = "objects", metrics = { "objects_plain", "objects_beyond" }, but = "c go" },
  {
    name = "pipeline_table",
    metrics = { "pipeline_struct", "pipeline_struct_main", "pipeline_table", "pipeline_table_main" },
  },
  { name = "select4", metrics = { "select4", "select4_main" } },
  { name = "select32", metrics = { "select32" }, but = "c" },
  { name = "mutex", metrics = { "mutex", "mutex_calls", "mutex8" }, but = "c" },
  {
    name = "map",
    metrics = {
      "map_get",
      "map_add",
      "map_get8",
      "map_add8",
      "syncmap_get",
      "syncmap_add",
      "syncmap_get8",
      "syncmap_add8",
    },
    but = "c",
  },
  { name = "frozen", metrics = { "scan_plain", "scan_frozen" }, but = "c go" },
  { name = "yield", metrics = { "yield" }, api = true },
  { name = "state", metrics = { "collect", "sort" }, but = "c go", plain = "state_plain" },
  { name = "fib", metrics = { "fib", "fib_speedup" }, but = "c" },
  { name = "echo", metrics = { "echo", "echo_p99" }, but = "c" },
  { name = "echo10k", metrics = { "echo10k", "echo10k_p99" }, but = "c" },
  { name = "http", metrics = { "http64", "http512" }, but = "c" },
}
-- Two plain lua5.4 processes side by side: what this machine lets a speed-up reach.
local plain = { name = "fib_plain", metrics = { "fib_plain", "fib_ceiling" } }

local function quote(s)
  return "'" .. s:gsub("'", "'\\''") .. "'"
end

local lua_dir = dir .. "/lua/"
local function command_line(path, workload)
  if path then
    return ("%s %s"):format(quote(path), workload)
  end
  return ("%s %s"):format(lua, quote(lua_dir .. workload .. ".lua"))
end

local contestants = {}
local function enter(kind, title, path)
  for procs = 1, 2 do
    contestants[#contestants + 1] = {
      id = ("%s_p%d"):format(kind, procs),
      title = ("%s P%d"):format(title, procs),
      kind = kind,
      procs = procs,
      path = path,
    }
  end
end
enter("lua", "vai Lua")
if env("C") == "1" then
  enter("c", "vai C", build .. "/bench/bench-c")
  enter("api", "vai.h", build .. "/bench/bench-api")
end
if env("GO") == "1" then
  enter("go", "Go", build .. "/bench/bench-go")
end

-- { what, value, over, most or least }: value and over are "metric/contestant", sums of such, or numbers.
local targets = {
  { "ping-pong, main to goroutine, to Go", "pingpong_main/lua_p2", "pingpong_main/go_p2", most = 0.75 },
  { "ping-pong between goroutines, to Go", "pingpong/lua_p2", "pingpong/go_p2", most = 0.65 },
  { "ring of 8, to Go", "ring8/lua_p2", "ring8/go_p2", most = 0.8 },
  { "ring of 503, to Go", "ring/lua_p2", "ring/go_p2", most = 1.0 },
  { "ring of 5,000, to Go", "ring5000/lua_p2", "ring5000/go_p2", most = 1.2 },
  { "spawn and join, to Go", "spawn/lua_p2", "spawn/go_p2", most = 1.8 },
  { "spawn and join one by one, to Go", "spawn_seq/lua_p2", "spawn_seq/go_p2", most = 2.0 },
  { "integers, capacity 128, to Go", "pipeline_int/lua_p2", "pipeline_int/go_p2", most = 1.4 },
  { "integers to main, capacity 128, to Go", "pipeline_int_main/lua_p2", "pipeline_int_main/go_p2", most = 1.4 },
  { "integers, capacity 1, to Go", "pipeline_cap1/lua_p2", "pipeline_cap1/go_p2", most = 1.0 },
  { "integers, capacity 8, to Go", "pipeline_cap8/lua_p2", "pipeline_cap8/go_p2", most = 1.2 },
  { "integers, capacity 1,024, to Go", "pipeline_cap1024/lua_p2", "pipeline_cap1024/go_p2", most = 1.5 },
  { "4 producers, 4 consumers, to Go", "fan/lua_p2", "fan/go_p2", most = 1.5 },
  { "1,000 actors, to Go", "actors/lua_p2", "actors/go_p2", most = 1.5 },
  { "3-field table, to Go's map", "pipeline_table/lua_p2", "pipeline_table/go_p2", most = 0.9 },
  { "100-byte strings, to Go", "strings/lua_p2", "strings/go_p2", most = 1.2 },
  { "100-kB strings, to Go", "strings_100k/lua_p2", "strings_100k/go_p2", most = 0.8 },
  { "object of a class beyond a table, ns", "objects_beyond/lua_p2", 1, most = 2000 },
  { "select of 4, to Go", "select4/lua_p2", "select4/go_p2", most = 0.8 },
  { "select of 32, to Go", "select32/lua_p2", "select32/go_p2", most = 0.7 },
  { "sieve, to Go", "sieve/lua_p2", "sieve/go_p2", most = 1.0 },
  { "mutex alone, to two C calls", "mutex/lua_p2", "mutex_calls/lua_p2", most = 1.5 },
  { "mutex of 8 goroutines, to Go", "mutex8/lua_p2", "mutex8/go_p2", most = 1.5 },
  { "map:get, to Go's map under RWMutex", "map_get/lua_p2", "map_get/go_p2", most = 2.0 },
  { "map:get, to Go's sync.Map", "map_get/lua_p2", "syncmap_get/go_p2", most = 2.0 },
  { "map:add, to Go's map under RWMutex", "map_add/lua_p2", "map_add/go_p2", most = 2.0 },
  { "map:add, to Go's sync.Map of counters", "map_add/lua_p2", "syncmap_add/go_p2", most = 2.0 },
  { "frozen table by pairs, to a plain one", "scan_frozen/lua_p2", "scan_plain/lua_p2", most = 5 },
  { "full collection, to plain Lua", "collect/lua_p1", "collect/plain", most = 1.03 },
  { "sort, to plain Lua", "sort/lua_p1", "sort/plain", most = 1.03 },
  { "fib on two Ps, speed-up to the ceiling", "fib_speedup/lua_p2", "fib_ceiling/plain", least = 0.98 },
  { "fib on one P, to plain Lua", "fib/lua_p1", "fib_plain/plain", most = 1.03 },
  { "echo on two Ps, to Go", "echo/lua_p2", "echo/go_p2", most = 1.0 },
  { "echo on one P, to Go", "echo/lua_p1", "echo/go_p1", most = 1.1 },
  { "echo, p99 on two Ps, to Go", "echo_p99/lua_p2", "echo_p99/go_p2", most = 1.3 },
  { "echo, 10,000 connections on two Ps, to Go", "echo10k/lua_p2", "echo10k/go_p2", most = 1.0 },
  { "echo, 10,000 connections on one P, to Go", "echo10k/lua_p1", "echo10k/go_p1", most = 1.1 },
  { "echo, 10,000, p99 on two Ps, to Go", "echo10k_p99/lua_p2", "echo10k_p99/go_p2", most = 1.3 },
  { "http, 64 connections on two Ps, to Go", "http64/lua_p2", "http64/go_p2", most = 1.0 },
  { "http, 512 connections on two Ps, to Go", "http512/lua_p2", "http512/go_p2", most = 1.0 },
  { "parked goroutine, all bytes", "parked_bytes/lua_p2+parked_pagetable/lua_p2", 1, most = 8000 },
  { "idle actor, all bytes", "idle_actor_bytes/lua_p2+idle_actor_pagetable/lua_p2", 1, most = 6000 },
  { "1,000,000 alive, MB", "alive/lua_p2", 1, most = 8000 },
  { "ping-pong, C to Go on one P", "pingpong/c_p1", "pingpong/go_p1", most = 0.4 },
  { "yield, C on one P, ns", "yield/c_p1", 1, most = 15 },
  { "ping-pong, vai.h to Go on one P", "pingpong/api_p1", "pingpong/go_p1", most = 0.4 },
  { "yield, vai.h on one P, ns", "yield/api_p1", 1, most = 15 },
}
-- None of these may grow by more from 10,000 goroutines on.
for _, what in ipairs({ "spawn", "park", "wake", "chan" }) do
  for _, size in ipairs({ "100k", "1m" }) do
    targets[#targets + 1] = {
      ("%s of %s, to that of 10k"):format(what, size),
      ("growth_%s_%s/lua_p2"):format(what, size),
      ("growth_%s_10k/lua_p2"):format(what),
      most = 1.6,
    }
  end
end

---- running

local samples, units, failures = {}, {}, {}
local round = 0

local function slot(t, key, id)
  t[key] = t[key] or {}
  t[key][id] = t[key][id] or {}
  return t[key][id]
end

local function fail(workload, id, why)
  local list = slot(failures, workload.name, id)
  list[#list + 1] = why
end

local function record(id, metric, value, unit)
  local list = slot(samples, metric, id)
  for missed = #list + 1, round - 1 do
    list[missed] = false
  end
  list[round] = value
  units[metric] = unit
end

local function read_file(path)
  local file = io.open(path)
  local text = file and file:read("a") or ""
  if file then
    file:close()
  end
  return text
end

-- Runs a shell command under the time limit: its standard output, or nil and why.
local function capture(command)
  local errors = build .. "/bench/stderr"
  local pipe = assert(io.popen(("timeout -k 5 %d sh -c %s 2>%s"):format(limit, quote(command), quote(errors))))
  local text = pipe:read("a")
  local ok, kind, code = pipe:close()
  if ok then
    return text
  end
  if kind == "exit" and code == 124 then
    return nil, ("no end within %d s"):format(limit)
  end
  local said = read_file(errors):gsub("%s*stack traceback:.*", ""):gsub("%s+", " "):sub(1, 300)
  return nil, ("%s %d: %s"):format(kind, code, said ~= "" and said or "no message")
end

local function run_as(id, workload, command)
  local text, why = capture(command)
  if not text then
    return fail(workload, id, why)
  end
  local seen = 0
  for metric, value, unit in text:gmatch("(%S+) (%S+) (%S+)\n") do
    record(id, metric, tonumber(value), unit)
    seen = seen + 1
  end
  if seen == 0 then
    fail(workload, id, "printed nothing")
  end
end

local function run(workload, contestant)
  local procs = ("VAI_MAXPROCS=%d GOMAXPROCS=%d"):format(contestant.procs, contestant.procs)
  run_as(contestant.id, workload, procs .. " exec " .. command_line(contestant.path, workload.name))
end

local function run_plain()
  local one = ("%s %s"):format(lua, quote(lua_dir .. "fib_plain.lua"))
  local single, why = capture("exec " .. one)
  local pair, pair_why = capture(("%s & %s & wait"):format(one, one))
  if not (single and pair) then
    return fail(plain, "plain", why or pair_why)
  end
  local start, stop = single:match("(%d+)%s+(%d+)")
  local first, last = math.huge, -math.huge
  for from, to in pair:gmatch("(%d+)%s+(%d+)") do
    first, last = math.min(first, tonumber(from)), math.max(last, tonumber(to))
  end
  local alone = stop - start
  record("plain", "fib_plain", alone / 1e6, "ms")
  record("plain", "fib_ceiling", 2 * alone / (last - first), "x")
end

local function chosen()
  local only = env("ONLY")
  local list = {}
  for _, workload in ipairs(workloads) do
    local named = only and (" " .. only:gsub(",", " ") .. " "):find(" " .. workload.name .. " ", 1, true)
    if named or not (only and only ~= "" or workload.extra) then
      list[#list + 1] = workload
    end
  end
  if #list == 0 then
    io.stderr:write("bench: ONLY names no workload\n")
    os.exit(2)
  end
  return list
end

local function takes_part(contestant, workload)
  if contestant.kind == "api" then
    return workload.api or false
  end
  for kind in (workload.but or ""):gmatch("%S+") do
    if kind == contestant.kind then
      return false
    end
  end
  return true
end

-- Contestants take turns, and who goes first changes from round to round.
local function run_all(list)
  local progress = env("PROGRESS") == "1"
  for _ = 1, rounds do
    round = round + 1
    for _, workload in ipairs(list) do
      if progress then
        io.stderr:write(("\r\27[Kround %d of %d: %s"):format(round, rounds, workload.name))
      end
      for i = 1, #contestants do
        local contestant = contestants[(i + round) % #contestants + 1]
        if takes_part(contestant, workload) then
          run(workload, contestant)
        end
      end
      if workload.name == "fib" then
        run_plain()
      elseif workload.plain then
        run_as("plain", workload, "exec " .. command_line(nil, workload.plain))
      end
    end
  end
  if progress then
    io.stderr:write("\r\27[K")
  end
end

---- results

-- The median of what is not false; nil where nothing is.
local function median(list)
  local sorted = {}
  for _, value in ipairs(list) do
    sorted[#sorted + 1] = value or nil
  end
  if #sorted == 0 then
    return nil
  end
  table.sort(sorted)
  local half = #sorted // 2
  return #sorted % 2 == 1 and sorted[half + 1] or (sorted[half] + sorted[half + 1]) / 2
end

local function result(metric, id)
  local list = samples[metric] and samples[metric][id]
  return list and median(list)
end

local function figure(value)
  if not value then
    return "-"
  end
  return (value >= 100 and "%.0f" or value >= 10 and "%.1f" or "%.2f"):format(value)
end

local function cell(workload, metric, contestant)
  local value = result(metric, contestant.id)
  local failed = failures[workload.name] and failures[workload.name][contestant.id]
  if failed then
    return value and figure(value) .. "!" or "failed"
  end
  return figure(value)
end

local function ratio(metric, over, under)
  local a, b = result(metric, over), result(metric, under)
  return a and b and figure(a / b) or "-"
end

local function print_row(first, cells)
  io.write(("%-28s"):format(first))
  for _, text in ipairs(cells) do
    io.write(("%12s"):format(text))
  end
  io.write("\n")
end

local function ratio_columns()
  local columns = {}
  if env("GO") == "1" then
    columns[1] = { "Lua/Go P2", "lua_p2", "go_p2" }
    if env("C") == "1" then
      columns[2] = { "C/Go P2", "c_p2", "go_p2" }
      columns[3] = { "C/Go P1", "c_p1", "go_p1" }
    end
  end
  return columns
end

local function print_table(list)
  local ratios = ratio_columns()
  local heads = {}
  for _, contestant in ipairs(contestants) do
    heads[#heads + 1] = contestant.title
  end
  for _, r in ipairs(ratios) do
    heads[#heads + 1] = r[1]
  end
  print_row(("medians of %d rounds"):format(rounds), heads)
  for _, workload in ipairs(list) do
    for _, metric in ipairs(workload.metrics) do
      local cells = {}
      for _, contestant in ipairs(contestants) do
        cells[#cells + 1] = cell(workload, metric, contestant)
      end
      for _, r in ipairs(ratios) do
        cells[#cells + 1] = ratio(metric, r[2], r[3])
      end
      print_row(units[metric] and ("%s, %s"):format(metric, units[metric]) or metric, cells)
    end
  end
  for _, metric in ipairs({ "fib_plain", "fib_ceiling", "collect", "sort" }) do
    if result(metric, "plain") then
      print_row(("%s, %s, stock Lua"):format(metric, units[metric]), { figure(result(metric, "plain")) })
    end
  end
end

-- One value per round of a sum of "metric/contestant"; false where one is missing, nil where there is none at all.
local function values(what)
  local sums
  for metric, id in what:gmatch("([^/+]+)/([^/+]+)") do
    local list = samples[metric] and samples[metric][id]
    if not list then
      return nil
    end
    sums = sums or {}
    for i = 1, #list do
      sums[i] = list[i] and sums[i] ~= false and (sums[i] or 0) + list[i]
    end
  end
  return sums
end

-- Per round, then the median: what drifts between rounds cancels out.
local function measured(target)
  local function of(what)
    return type(what) == "string" and values(what) or type(what) == "number" and what or nil
  end
  local over, under = of(target[2]), of(target[3])
  if not (over and under) then
    return nil
  end
  local list = {}
  for i = 1, #over do
    local by = type(under) == "number" and under or under[i]
    list[i] = over[i] and by and over[i] / by or false
  end
  return median(list)
end

-- The names of the targets that were missed.
local function print_targets()
  local rows, missed = {}, {}
  for _, target in ipairs(targets) do
    local value = measured(target)
    if value then
      local bound = target.most or target.least
      local met = target.most and value <= bound or target.least and value >= bound
      rows[#rows + 1] = ("%-42s%10s%10s  %s"):format(
        target[1],
        (target.most and "<= " or ">= ") .. bound,
        figure(value),
        met and "met" or "MISSED"
      )
      target.value, target.met = value, met or false
      missed[#missed + 1] = not met and target[1] or nil
    end
  end
  if #rows > 0 then
    print(("\n%-42s%10s%10s"):format("target", "bound", "here"))
    print(table.concat(rows, "\n"))
  end
  return missed
end

local function print_failures(list)
  for _, workload in ipairs(table.move({ plain }, 1, 1, #list + 1, table.move(list, 1, #list, 1, {}))) do
    for _, id in ipairs({ "lua_p1", "lua_p2", "c_p1", "c_p2", "api_p1", "api_p2", "go_p1", "go_p2", "plain" }) do
      local whys = failures[workload.name] and failures[workload.name][id]
      if whys then
        print(("failed: %s, %s, %d of %d rounds: %s"):format(workload.name, id, #whys, rounds, whys[1]))
      end
    end
  end
end

---- json

-- Tables with a first element are lists; keys are sorted so that two files compare.
local function json(value, indent)
  if type(value) == "string" then
    return '"' .. value:gsub('[%c"\\]', function(c) return ("\\u%04x"):format(c:byte()) end) .. '"'
  elseif type(value) ~= "table" then
    return value == false and "null" or tostring(value)
  elseif #value > 0 and type(value[1]) ~= "table" then
    local parts = {}
    for i, v in ipairs(value) do
      parts[i] = json(v)
    end
    return "[" .. table.concat(parts, ", ") .. "]"
  end
  local inner, parts = indent .. "  ", {}
  if #value > 0 then
    for i, v in ipairs(value) do
      parts[i] = inner .. json(v, inner)
    end
    return "[\n" .. table.concat(parts, ",\n") .. "\n" .. indent .. "]"
  end
  for k, v in pairs(value) do
    parts[#parts + 1] = inner .. json(k) .. ": " .. json(v, inner)
  end
  table.sort(parts)
  return #parts == 0 and "{}" or "{\n" .. table.concat(parts, ",\n") .. "\n" .. indent .. "}"
end

local function first_line(command)
  local pipe = io.popen(command .. " 2>/dev/null")
  local line = pipe and pipe:read("l")
  if pipe then
    pipe:close()
  end
  return line or ""
end

local function write_json(path)
  local data = {
    rounds = rounds,
    date = os.date("!%Y-%m-%dT%H:%M:%SZ"),
    machine = {
      cpu = read_file("/proc/cpuinfo"):match("model name%s*:%s*([^\n]*)") or "",
      cpus = tonumber(first_line("nproc")),
      kernel = first_line("uname -sr"),
      go = env("GO") == "1" and first_line("go version") or "",
      lua = first_line(lua .. " -v"),
    },
    metrics = {},
    targets = {},
    failures = failures,
  }
  for metric, by in pairs(samples) do
    local entry = { unit = units[metric], samples = by, median = {} }
    for id in pairs(by) do
      entry.median[id] = result(metric, id)
    end
    data.metrics[metric] = entry
  end
  for _, t in ipairs(targets) do
    if t.value then
      data.targets[#data.targets + 1] =
        { what = t[1], value = t.value, most = t.most, least = t.least, met = t.met and 1 or 0 }
    end
  end
  local file = assert(io.open(path, "w"))
  file:write(json(data, ""), "\n")
  file:close()
end

local list = chosen()
run_all(list)
print_table(list)
local missed = print_targets()
print_failures(list)
write_json(build .. "/bench.json")
print(("\nall samples: %s/bench.json"):format(build))
if #missed > 0 then
  print("missed: " .. table.concat(missed, "; "))
end
os.exit(next(failures) == nil and #missed == 0)
