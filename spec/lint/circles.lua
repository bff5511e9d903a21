-- SPDX-License-Identifier: MIT
-- lua5.4 spec/lint/circles.lua OBJECT...: which files and which rooms (folders) need each other in a circle. A file
-- needs another one when its object leaves a symbol undefined that the other's object defines. Circles between
-- files are allowed inside of one concept only, between rooms nowhere; the lists below name them, and a file
-- that has left its circle must leave the list, too.
package.path = "spec/lint/?.lua;" .. package.path
local files = require "files"

-- What a lower room declares in a header for a higher one to implement is no call up.
local implemented_above = { "sched/poll.h" }

-- One concept in several files.
local allowed = {
	{ "the encoder", "transfer/encode.c", "transfer/encode_table.c", "transfer/encode_func.c", "transfer/encode_globals.c",
		"transfer/encode_module.c", "transfer/encode_class.c", "transfer/encode_field.c", "transfer/encode_types.c" },
	{
		"the scheduler's core", "sched/deadlock.c", "sched/frame.c", "sched/g.c", "sched/global_queue.c", "sched/handoff.c",
		"sched/home.c", "sched/idle.c", "sched/locked_thread.c", "sched/m.c", "sched/outside.c", "sched/p.c", "sched/park.c",
		"sched/preempt.c", "sched/renew.c", "sched/seat.c", "sched/sigint.c",
		"sched/sigquit.c", "sched/start_stop.c", "sched/runq.c", "sched/scavenge.c", "sched/loop.c", "sched/schedtrace.c",
		"sched/replay.c", "sched/serial.c", "sched/sysmon.c", "sched/threads.c", "sched/timer.c", "sched/sysmon_watch.c",
	},
	{
		"the end of a goroutine", "bind/life/end.c", "bind/life/hooklib.c", "bind/life/interrupt.c",
		"bind/life/protect.c",
	},
}

local function symbols_of_header(name, into)
	for symbol in table.concat(files.lines("src/" .. name), "\n"):gmatch("(vai__[%w_]+)%s*%(") do
		into[symbol] = true
	end
end

-- Two maps: file to set of undefined symbols, and symbol to the file that defines it.
local function read_objects(objects)
	local used, home = {}, {}
	local pipe = assert(io.popen("nm -A -g '" .. table.concat(objects, "' '") .. "' 2>&1"))
	for line in pipe:lines() do
		local file, kind, symbol = line:match("/obj/(.-)%.o:%s*%x*%s+(%a)%s+(%S+)$")
		if file then
			used[file] = used[file] or {}
			if kind == "U" then
				used[file][symbol] = true
			else
				home[symbol] = file
			end
		end
	end
	assert(pipe:close(), "nm failed")
	return used, home
end

-- node to node to set of symbols; node_of tells the node of a file.
local function graph_of(used, home, node_of, ignored)
	local graph = {}
	for file, symbols in pairs(used) do
		local from = node_of(file)
		graph[from] = graph[from] or {}
		for symbol in pairs(symbols) do
			local to = home[symbol] and node_of(home[symbol])
			if to and to ~= from and not ignored[symbol] then
				graph[from][to] = graph[from][to] or {}
				graph[from][to][symbol] = true
			end
		end
	end
	return graph
end

local function sorted_keys(t)
	local keys = {}
	for key in pairs(t) do
		keys[#keys + 1] = key
	end
	table.sort(keys)
	return keys
end

-- The shortest way from a node back to itself as a list of nodes, or nil.
local function shortest_cycle(graph, start)
	local came_from, queue, head = {}, { start }, 1
	while queue[head] do
		local node = queue[head]
		head = head + 1
		for _, to in ipairs(sorted_keys(graph[node] or {})) do
			if to == start then
				local cycle = { start }
				while node do
					table.insert(cycle, 1, node)
					node = came_from[node]
				end
				return cycle
			elseif not came_from[to] then
				came_from[to] = node
				queue[#queue + 1] = to
			end
		end
	end
end

local function reachable(graph, start)
	local seen, stack = {}, { start }
	while #stack > 0 do
		for to in pairs(graph[table.remove(stack)] or {}) do
			if not seen[to] then
				seen[to] = true
				stack[#stack + 1] = to
			end
		end
	end
	return seen
end

-- The sets of nodes of which each reaches each other one.
local function circles_of(graph)
	local reach, circles, placed = {}, {}, {}
	local nodes = sorted_keys(graph)
	for _, node in ipairs(nodes) do
		reach[node] = reachable(graph, node)
	end
	for _, node in ipairs(nodes) do
		if reach[node][node] and not placed[node] then
			local circle = {}
			for _, other in ipairs(nodes) do
				if other == node or reach[node][other] and reach[other][node] then
					circle[other], placed[other] = true, true
				end
			end
			circles[#circles + 1] = circle
		end
	end
	return circles
end

local function describe(graph, cycle)
	local out = {}
	for i = 1, #cycle - 1 do
		local symbols = sorted_keys(graph[cycle[i]][cycle[i + 1]])
		out[#out + 1] = ("\t%s needs %s: %s%s"):format(cycle[i], cycle[i + 1],
			table.concat(symbols, ", ", 1, math.min(#symbols, 4)), #symbols > 4 and ", ..." or "")
	end
	return table.concat(out, "\n")
end

-- Complains of a circle by the shortest cycle through one of its nodes that is not among the known ones.
local function complain_of(graph, circle, known)
	local best
	for _, node in ipairs(sorted_keys(circle)) do
		local cycle = not known[node] and shortest_cycle(graph, node)
		if cycle and (not best or #cycle < #best) then
			best = cycle
		end
	end
	files.complain(best[1], 0, "a circle of %d that no list of spec/lint/circles.lua knows:\n%s", #best - 1,
		describe(graph, best))
end

-- Each circle must lie within one list, and each node of a list in a circle within that list.
local function check(graph, lists)
	local used = {}
	local circles = circles_of(graph)
	for _, circle in ipairs(circles) do
		local nearest, most
		for i, list in ipairs(lists) do
			local known, count = {}, 0
			for _, node in ipairs { table.unpack(list, 2) } do
				known[node] = true
				if circle[node] then
					used[i .. node] = true
					count = count + 1
				end
			end
			if count > (most or 0) then
				nearest, most = known, count
			end
		end
		for node in pairs(circle) do
			if not (nearest and nearest[node]) then
				complain_of(graph, circle, nearest or {})
				break
			end
		end
	end
	for i, list in ipairs(lists) do
		for _, node in ipairs { table.unpack(list, 2) } do
			if not used[i .. node] then
				files.complain("spec/lint/circles.lua", 0, "%s is in no circle any more (or gone): take it off the list '%s'",
					node, list[1])
			end
		end
	end
	return #circles
end

local ignored = {}
for _, header in ipairs(implemented_above) do
	symbols_of_header(header, ignored)
end
local used, home = read_objects(arg)
local file_graph = graph_of(used, home, function(file) return file end, ignored)
local room_graph = graph_of(used, home, function(file) return file:match("^(.*)/") or "." end, ignored)
local n = check(file_graph, allowed)
local between = check(room_graph, {})
files.finish("circles: %d among %d files, %d among %d rooms, all of them known", n, #sorted_keys(file_graph), between,
	#sorted_keys(room_graph))
