-- SPDX-License-Identifier: MIT
-- Supervisors, after Erlang's. A supervisor is a goroutine that reads requests and the ends of its children from
-- one channel. Each child has a goroutine that joins it and tells. A supervisor that is a child itself may be started
-- several times, each time with a channel of its own, so that nothing which was meant for an earlier life reaches
-- a later one. What outlives these is its cell, a map that the handle has: "now" is the channel and the task of this
-- life, an integer up to "n" what a child was asked to be that may start again or is a supervisor (each start decodes
-- fresh copies of its function and arguments), "supervised" is true in one that is a child, "ended" in one that
-- never starts again, and "name" is that of one that is or was a child.
--
-- This file is part of vai.so and is loaded by the first call of vai.supervisor in a state.
local vai = ...

local Supervisor = { __name = "supervisor" }
Supervisor.__index = Supervisor

local SHUTDOWN, BACKOFF_FIRST, BACKOFF_MOST = 5, 0.01, 1

local function complain(level, fmt, ...)
	error(fmt:format(...), level + 1)
end

-- The names in t are those of the list; each of its type. level: where errors are, from here.
local function check_options(level, what, t, types)
	if type(t) ~= "table" then
		complain(level, "bad argument #1 to '%s' (table expected, got %s)", what, type(t))
	end
	for k, v in pairs(t) do
		local want = types[k]
		if not want then
			complain(level, "bad argument #1 to '%s' (unknown option '%s')", what, tostring(k))
		elseif type(v) ~= want and want ~= "any" then
			complain(level, "bad argument #1 to '%s' (%s: %s expected, got %s)", what, k, want, type(v))
		end
	end
end

-- ---- in the supervisor's goroutine ----

local function watch(task, ctl, name, life)
	local ok, err, traceback = task:join()
	-- it raises once the supervisor has ended
	pcall(ctl.send, ctl, { "end", name, life, ok, err, not ok and traceback or nil })
end

local run -- run(cell, ctl, options, begin): the goroutine's function

local function launch(cell, name, options)
	local ctl, begin = vai.chan(16), vai.chan(1)
	local task = vai.spawn({ name = name }, run, cell, ctl, options, begin)
	cell:set("now", { ctl = ctl, task = task })
	begin:send(true)
	return task
end

local function has_ended(task)
	local status = task:status()
	return status == "done" or status == "failed"
end

local function task_for(child)
	local spec = child.spec
	if not spec.supervisor then
		return vai.spawn({ name = spec.name }, spec.start, table.unpack(spec.args or {}))
	end
	local s = spec.supervisor
	local task = s.cell:get("now").task
	return child.starts == 1 and not has_ended(task) and task or launch(s.cell, spec.name, s.options)
end

-- Returns true, or false and why it has not started: goroutines may be bounded, and memory is.
local function start_child(state, child)
	local ctl = state.ctl
	state.lives = state.lives + 1
	child.life, child.starts = state.lives, child.starts + 1
	local ok, task = pcall(task_for, child)
	if not ok then
		return false, task
	end
	local watched, err = pcall(vai.go, watch, task, ctl, child.spec.name, child.life)
	if not watched then
		task:cancel("shutdown")
		return false, err
	end
	child.task, child.status = task, "running"
	return true
end

-- Asks it to end, then insists. A supervisor is asked by a message and not canceled, as its closers would have ten
-- seconds then, for all of its children together.
local function stop_child(child)
	if child.status == "restarting" then
		child.status = "stopped"
	end
	if child.status ~= "running" then
		return
	end
	child.status = "stopped"
	child.life = 0 -- its end is no news
	local limit = child.spec.shutdown
	if child.spec.supervisor then
		local ctl = child.spec.supervisor.cell:get("now").ctl
		limit = limit or math.huge
		pcall(ctl.send, ctl, { "stop" }, limit)
	else
		child.task:cancel("shutdown")
	end
	if child.task:join(limit or SHUTDOWN) == nil then
		child.task:cancel("shutdown")
		child.task:join(1)
	end
end

local function stop_from(children, first)
	for i = #children, first, -1 do
		stop_child(children[i])
	end
end

local function index_of(children, name)
	for i, child in ipairs(children) do
		if child.spec.name == name then
			return i
		end
	end
end

-- Notes a restart; false: there have been too many.
local function may_restart(state, now)
	local recent = {}
	for _, t in ipairs(state.restarts) do
		if now - t <= state.options.within then
			recent[#recent + 1] = t
		end
	end
	recent[#recent + 1] = now
	state.restarts = recent
	return #recent <= state.options.max
end

-- Which children start again when the one at i has ended: from, to.
local function affected(state, i)
	local strategy = state.options.strategy
	if strategy == "one_for_all" then
		return 1, #state.children
	elseif strategy == "rest_for_one" then
		return i, #state.children
	end
	return i, i
end

-- The longer the row of restarts, the longer until the next.
local function delay_of(state)
	local n = #state.restarts
	return n <= 1 and 0 or math.min(BACKOFF_FIRST * 2 ^ (n - 2), BACKOFF_MOST)
end

-- What is known of a supervisor that does not start again goes, and of those below it: functions that have the
-- supervisor would keep it for ever.
local function forget(cell)
	for i = 1, cell:get("n") or 0 do
		local spec = cell:delete(i)
		if spec and spec.supervisor then
			spec.supervisor.cell:set("supervised", "ended")
			forget(spec.supervisor.cell)
		end
	end
end

-- A temporary child that has ended is none any more, as in Erlang: a supervisor may have any number of them, one
-- after the other, and their names can be used again.
local function remove_child(state, i)
	local child = table.remove(state.children, i)
	if child.key then
		state.cell:delete(child.key)
		child.spec.supervisor.cell:set("supervised", "ended")
		forget(child.spec.supervisor.cell)
	end
end

local function restart_later(state, i)
	local from, to = affected(state, i)
	for k = to, from, -1 do
		if k ~= i then
			stop_child(state.children[k])
		end
	end
	local at = vai.now() + delay_of(state)
	for k = to, from, -1 do
		local child = state.children[k]
		if child.spec.restart == "temporary" then
			remove_child(state, k)
		else
			child.status = "restarting"
			child.at = at
		end
	end
end

local function describe(child, ok, err)
	return ("child '%s' %s"):format(child.spec.name, ok and "ended" or "failed: " .. tostring(err))
end

-- Writes a line about the supervisor to where vai's reports go.
local function report(state, fmt, ...)
	local name = state.cell:get("name")
	local who = name and ("supervisor '%s'"):format(name) or "supervisor"
	vai.supervisor(false, who .. fmt:format(...))
end

local function tell_failure(state, child, err, traceback)
	local on_failure = state.options.on_failure
	if not on_failure then
		return report(state, ": %s", describe(child, false, err))
	end
	local ok, why = pcall(on_failure, child.spec.name, err, traceback)
	if not ok then
		report(state, ": %s; on_failure: %s", describe(child, false, err), tostring(why))
	end
end

-- A child has ended by itself, or could not be started. Returns why the supervisor gives up, or nil.
local function child_over(state, i, ok, err, traceback)
	local child = state.children[i]
	child.status = ok and "done" or "failed"
	if not ok then
		tell_failure(state, child, err, traceback)
	end
	local restart = child.spec.restart
	if restart == "temporary" then
		remove_child(state, i)
		return nil
	elseif restart == "transient" and ok then
		return nil
	elseif not may_restart(state, vai.now()) then
		report(state, " gives up after %d restarts within %g s: %s%s", state.options.max, state.options.within,
			describe(child, ok, err), traceback and traceback ~= "" and "\n" .. traceback or "")
		return describe(child, ok, err)
	end
	restart_later(state, i)
	return nil
end

-- Starts those whose time has come. Returns when it is the next one's, in seconds from now, and why it gives up.
local function start_due(state)
	local now, next_at = vai.now(), nil
	for i, child in ipairs(state.children) do
		if child.status == "restarting" and child.at <= now then
			child.restarts = child.restarts + 1
			local ok, err = start_child(state, child)
			if not ok then
				return 0, child_over(state, i, false, err)
			end
		elseif child.status == "restarting" and (not next_at or child.at < next_at) then
			next_at = child.at
		end
	end
	return next_at and math.max(next_at - vai.now(), 0)
end

local function list_of(state)
	local list = {}
	for i, child in ipairs(state.children) do
		list[i] = { name = child.spec.name, task = child.task, restarts = child.restarts, status = child.status }
	end
	return list
end

local function unused_name(children)
	local n = #children + 1
	while index_of(children, "child " .. n) do
		n = n + 1
	end
	return "child " .. n
end

local function add_child(state, spec)
	spec.name = spec.name or unused_name(state.children)
	if index_of(state.children, spec.name) then
		return nil, ("there is a child '%s' already"):format(spec.name)
	end
	local child = { spec = spec, life = 0, starts = 0, restarts = 0 }
	if spec.supervisor then
		spec.supervisor.cell:set("name", spec.name)
	end
	local ok, err = start_child(state, child)
	if not ok then
		return nil, err
	end
	state.children[#state.children + 1] = child
	if spec.restart ~= "temporary" or spec.supervisor then
		child.key = (state.cell:get("n") or 0) + 1
		state.cell:set(child.key, spec)
		state.cell:set("n", child.key)
	end
	return child.task
end

-- Deals with a message. Returns why the supervisor gives up, or nil.
local function answer(state, what, ...)
	if what == "child" then
		local reply, spec = ...
		reply:send({ add_child(state, spec) })
	elseif what == "children" then
		(...):send(list_of(state))
	elseif what == "end" then
		local name, life, ok, err, traceback = ...
		local i = index_of(state.children, name)
		if i and state.children[i].life == life then
			return child_over(state, i, ok, err, traceback)
		end
	end
	return nil
end

-- Has those start that an earlier life of the supervisor was asked for, but for temporary ones, which start once.
local function recall(state)
	local cell, n = state.cell, 0
	for i = 1, cell:get("n") or 0 do
		local spec = cell:delete(i)
		if spec and spec.restart ~= "temporary" then
			n = n + 1
			cell:set(n, spec)
			state.children[n] = { spec = spec, key = n, life = 0, starts = 0, restarts = -1, status = "restarting", at = 0 }
		elseif spec then
			spec.supervisor.cell:set("supervised", "ended")
			forget(spec.supervisor.cell)
		end
	end
	cell:set("n", n)
end

function run(cell, ctl, options, begin)
	local state = { cell = cell, ctl = ctl, options = options, children = {}, restarts = {}, lives = 0 }
	local _ <close> = setmetatable({}, { __close = function()
		stop_from(state.children, 1)
		if cell:cas("supervised", nil, "ended") then
			forget(cell)
		end
		ctl:close()
	end })
	begin:recv()
	recall(state)
	while true do
		local wait, reason = start_due(state)
		if not reason then
			local _, msg = vai.select({ ctl, timeout = wait })
			if type(msg) == "table" then
				if msg[1] == "stop" then
					return true
				end
				reason = answer(state, table.unpack(msg, 1, 6))
			end
		end
		if reason and cell:get("supervised") then
			error(reason, 0)
		elseif reason then
			return nil, reason
		end
	end
end

-- ---- the handle ----

-- Sends a message; false and why where it cannot be sent, which is nil where the supervisor has ended.
local function tell(now, msg)
	local ok, case = pcall(vai.select, { { now.ctl, msg }, now.task:done() })
	if ok then
		return case == 1
	end
	return false, not now.ctl:is_closed() and case or nil
end

-- The answer to a request, or nil and why there is none, and whether that is because the supervisor has ended.
local function ask(s, what, arg)
	local now, reply = s.cell:get("now"), vai.chan(1)
	local sent, why = tell(now, { what, reply, arg })
	if sent then
		local i, got = vai.select({ reply, now.task:done() })
		if i == 2 then
			got = reply:try_recv() -- both were ready
		end
		if got ~= nil then
			return got
		end
	end
	return nil, why or "the supervisor has ended", why == nil
end

-- Whether one is the other, or among its children, or theirs.
local function is_within(cell, other)
	if cell == other then
		return true
	end
	for i = 1, cell:get("n") or 0 do
		local spec = cell:get(i)
		if spec and spec.supervisor and is_within(spec.supervisor.cell, other) then
			return true
		end
	end
	return false
end

-- Makes a supervisor a child of another.
local function adopt(s, parent)
	if is_within(s.cell, parent.cell) then
		complain(3, "a supervisor cannot be below itself")
	elseif not s.cell:cas("supervised", nil, true) then
		local ended = s.cell:get("supervised") == "ended"
		complain(3, "%s", ended and "the supervisor has ended" or "the supervisor is a child already")
	end
end

local restarts = { permanent = true, transient = true, temporary = true }

function Supervisor:child(spec)
	check_options(3, "child", spec, { name = "string", start = "any", args = "table", restart = "string",
		shutdown = "number" })
	local own = { name = spec.name, start = spec.start, args = spec.args, restart = spec.restart or "permanent",
		shutdown = spec.shutdown }
	if not restarts[own.restart] then
		complain(2, "bad argument #1 to 'child' (restart: '%s' is none)", own.restart)
	elseif own.shutdown and (own.shutdown < 0 or own.shutdown ~= own.shutdown) then
		complain(2, "bad argument #1 to 'child' (shutdown: %s is no time)", own.shutdown)
	end
	if getmetatable(own.start) == Supervisor then
		own.supervisor, own.start = own.start, nil
		adopt(own.supervisor, self)
	elseif type(own.start) ~= "function" then
		complain(2, "bad argument #1 to 'child' (start: function or supervisor expected, got %s)", type(own.start))
	end
	local got, why = ask(self, "child", own)
	if not got or not got[1] then
		if own.supervisor then
			own.supervisor.cell:cas("supervised", true, nil)
		end
		complain(2, "%s", why or got[2])
	end
	return got[1]
end

function Supervisor:children()
	local list, why, ended = ask(self, "children")
	return list or ended and {} or complain(2, "%s", why)
end

function Supervisor:stop()
	local now = self.cell:get("now")
	tell(now, { "stop" })
	now.task:join()
end

function Supervisor:wait(limit)
	local ok, result, reason = self.cell:get("now").task:join(limit)
	if ok and result then
		return true
	elseif ok then
		return nil, reason
	end
	return nil, result
end

function Supervisor:__tostring()
	return "supervisor: " .. tostring(self.cell:get("now").task)
end

Supervisor.__close = Supervisor.stop

local strategies = { one_for_one = true, one_for_all = true, rest_for_one = true }

-- Called by a C function that the script has called.
return function(options)
	options = options or {}
	check_options(4, "supervisor", options, { strategy = "string", max = "number", within = "number",
		on_failure = "function" })
	local own = { strategy = options.strategy or "one_for_one", max = options.max or 3, within = options.within or 5,
		on_failure = options.on_failure }
	if not strategies[own.strategy] then
		complain(3, "bad argument #1 to 'supervisor' (strategy: '%s' is none)", own.strategy)
	end
	if not math.tointeger(own.max) or own.max < 0 then
		complain(3, "bad argument #1 to 'supervisor' (max: %s is no integer from 0 on)", own.max)
	elseif own.within <= 0 or own.within ~= own.within then
		complain(3, "bad argument #1 to 'supervisor' (within: %s is not positive)", own.within)
	end
	local s = setmetatable({ cell = vai.map(), options = own }, Supervisor)
	launch(s.cell, "supervisor", own)
	return s
end
