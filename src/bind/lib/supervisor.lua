-- SPDX-License-Identifier: MIT
-- Supervisors, after Erlang's. A supervisor is a goroutine that reads requests and the ends of its children from
-- one channel; its handle is a table with that channel and the goroutine's task. Each child has a goroutine
-- that joins it and tells. The supervisor's goroutine keeps what was sent to it of a child's function
-- and arguments, so that each start begins with fresh copies.
--
-- This file is part of vai.so and is loaded by the first call of vai.supervisor in a state.
local vai = ...

local Supervisor = { __name = "supervisor" }
Supervisor.__index = Supervisor

local SHUTDOWN, BACKOFF_FIRST, BACKOFF_MOST = 5, 0.01, 1

local function complain(level, fmt, ...)
	error(fmt:format(...), level + 1)
end

-- The names in t are those of the list; each of its type.
local function check_options(what, t, types)
	if type(t) ~= "table" then
		complain(3, "bad argument #1 to '%s' (table expected, got %s)", what, type(t))
	end
	for k, v in pairs(t) do
		local want = types[k]
		if not want then
			complain(3, "bad argument #1 to '%s' (unknown option '%s')", what, tostring(k))
		elseif type(v) ~= want and want ~= "any" then
			complain(3, "bad argument #1 to '%s' (%s: %s expected, got %s)", what, k, want, type(v))
		end
	end
end

-- ---- in the supervisor's goroutine ----

local function watch(task, ctl, name, life)
	local ok, err = task:join()
	pcall(ctl.send, ctl, { "end", name, life, ok, err }) -- it raises once the supervisor has ended
end

local run -- run(ctl, options, specs): the goroutine's function

local function start_child(ctl, child)
	child.life = child.life + 1
	child.status = "running"
	local spec = child.spec
	if spec.supervisor then
		local s = spec.supervisor
		if child.life == 1 then
			child.task = s.task
		else
			child.task = vai.spawn({ name = spec.name }, spec.run, s.ctl, s.options, child.specs or {}, true)
		end
	else
		child.task = vai.spawn({ name = spec.name }, spec.start, table.unpack(spec.args or {}))
	end
	vai.go(watch, child.task, ctl, spec.name, child.life)
end

-- Asks it to end, then insists.
local function stop_child(child)
	if child.status == "restarting" then
		child.status = "stopped"
	end
	if child.status ~= "running" then
		return
	end
	child.status = "stopped"
	child.life = child.life + 1 -- its end is no news
	if child.spec.supervisor then
		local reply = vai.chan(1)
		if pcall(child.spec.supervisor.ctl.send, child.spec.supervisor.ctl, { "specs", reply }, 1) then
			child.specs = reply:recv(1) or child.specs
		end
	end
	child.task:cancel("shutdown")
	if child.task:join(child.spec.shutdown or SHUTDOWN) == nil then
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

local function restart_later(state, i)
	local from, to = affected(state, i)
	for k = to, from, -1 do
		if k ~= i then
			stop_child(state.children[k])
		end
	end
	local at = vai.now() + delay_of(state)
	for k = from, to do
		local child = state.children[k]
		if k == i or child.spec.restart ~= "temporary" then
			child.status = "restarting"
			child.at = at
		end
	end
end

local function start_due(state)
	local now, next_at = vai.now(), nil
	for _, child in ipairs(state.children) do
		if child.status == "restarting" then
			if child.at <= now then
				child.restarts = child.restarts + 1
				start_child(state.ctl, child)
			elseif not next_at or child.at < next_at then
				next_at = child.at
			end
		end
	end
	return next_at and math.max(next_at - vai.now(), 0)
end

local function describe(child, err)
	return ("child '%s' %s"):format(child.spec.name, err == nil and "ended" or "failed: " .. tostring(err))
end

-- A child has ended by itself. Returns why the supervisor gives up, or nil.
local function child_ended(state, name, life, ok, err)
	local i = index_of(state.children, name)
	local child = i and state.children[i]
	if not child or child.life ~= life then
		return nil
	end
	if child.spec.supervisor and type(err) == "table" and err.specs then
		child.specs, err = err.specs, err.reason
	end
	child.status = ok and "done" or "failed"
	local restart = child.spec.restart
	if restart == "temporary" or (restart == "transient" and ok) then
		return nil
	end
	local reason = describe(child, not ok and err or nil)
	if not may_restart(state, vai.now()) then
		return reason
	end
	restart_later(state, i)
	return nil
end

local function list_of(state)
	local list = {}
	for i, child in ipairs(state.children) do
		list[i] = { name = child.spec.name, task = child.task, restarts = child.restarts, status = child.status }
	end
	return list
end

local function add_child(state, spec)
	if index_of(state.children, spec.name) then
		return nil, ("there is a child '%s' already"):format(spec.name)
	end
	local child = { spec = spec, life = 0, restarts = 0 }
	state.children[#state.children + 1] = child
	start_child(state.ctl, child)
	return child.task
end

local function specs_of(state)
	local specs = {}
	for i, child in ipairs(state.children) do
		specs[i] = child.spec
	end
	return specs
end

function run(ctl, options, specs, supervised)
	local state = { ctl = ctl, options = options, children = {}, restarts = {}, supervised = supervised }
	local _ <close> = setmetatable({}, { __close = function()
		stop_from(state.children, 1)
		if not state.supervised then
			ctl:close()
		end
	end })
	for _, spec in ipairs(specs) do
		add_child(state, spec)
	end
	while true do
		local _, msg = vai.select({ ctl, timeout = start_due(state) })
		local what = type(msg) == "table" and msg[1]
		if what == "child" then
			local task, why = add_child(state, msg[3])
			msg[2]:send({ task, why })
		elseif what == "children" then
			msg[2]:send(list_of(state))
		elseif what == "specs" then
			msg[2]:send(specs_of(state))
		elseif what == "supervised" then
			state.supervised = true
			msg[2]:send(true)
		elseif what == "stop" then
			state.supervised = false
			return true
		elseif what == "end" then
			local reason = child_ended(state, msg[2], msg[3], msg[4], msg[5])
			if reason then
				if state.supervised then
					error({ reason = reason, specs = specs_of(state) }, 0)
				end
				return nil, reason
			end
		end
	end
end

-- ---- the handle ----

-- The answer to a request; raises once the supervisor has ended.
local function ask(s, what, arg)
	local reply = vai.chan(1)
	if not pcall(s.ctl.send, s.ctl, { what, reply, arg }) then
		complain(3, "the supervisor has ended")
	end
	while true do
		local answer = reply:recv(0.05)
		if answer ~= nil then
			return answer
		elseif s.task:status() == "done" or s.task:status() == "failed" then
			complain(3, "the supervisor has ended")
		end
	end
end

local restarts = { permanent = true, transient = true, temporary = true }

function Supervisor:child(spec)
	check_options("child", spec, { name = "string", start = "any", args = "table", restart = "string",
		shutdown = "number" })
	local own = { name = spec.name, start = spec.start, args = spec.args, restart = spec.restart or "permanent",
		shutdown = spec.shutdown }
	if not restarts[own.restart] then
		complain(2, "bad argument #1 to 'child' (restart: '%s' is none)", own.restart)
	end
	if getmetatable(own.start) == Supervisor then
		own.supervisor, own.start, own.run = own.start, nil, run
		ask(own.supervisor, "supervised")
	elseif type(own.start) ~= "function" then
		complain(2, "bad argument #1 to 'child' (start: function or supervisor expected, got %s)", type(own.start))
	end
	own.name = own.name or ("child %s"):format(tostring(#ask(self, "children") + 1))
	local answer = ask(self, "child", own)
	if not answer[1] then
		complain(2, "%s", answer[2])
	end
	return answer[1]
end

function Supervisor:children()
	return ask(self, "children")
end

function Supervisor:stop()
	pcall(self.ctl.send, self.ctl, { "stop" })
	self.task:join()
end

function Supervisor:wait(limit)
	local ok, result, reason = self.task:join(limit)
	if ok == nil then
		return nil, result
	elseif ok and result then
		return true
	elseif ok then
		return nil, reason
	end
	return nil, type(result) == "table" and result.reason or result
end

function Supervisor:__tostring()
	return "supervisor: " .. tostring(self.task)
end

Supervisor.__close = Supervisor.stop

local strategies = { one_for_one = true, one_for_all = true, rest_for_one = true }

return function(options)
	options = options or {}
	check_options("supervisor", options, { strategy = "string", max = "number", within = "number" })
	local own = { strategy = options.strategy or "one_for_one", max = options.max or 3, within = options.within or 5 }
	if not strategies[own.strategy] then
		complain(2, "bad argument #1 to 'supervisor' (strategy: '%s' is none)", own.strategy)
	end
	local ctl = vai.chan(16)
	local task = vai.spawn({ name = "supervisor" }, run, ctl, own, {}, false)
	return setmetatable({ ctl = ctl, task = task, options = own }, Supervisor)
end
