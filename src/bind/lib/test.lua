-- SPDX-License-Identifier: MIT
-- vai.test: runs of a program in which a seed decides whose turn it is. Which goroutine goes on, the clock and the
-- record are the scheduler's (sched/replay.h); here are the forms in which users ask for that and read it.
--
-- This file is part of vai.so and is loaded by the first call in a state.
local _, needs = ...
local c = needs()

local MOST_TURNS = 1000000 -- a run that has so many has no end

-- ---- traces ----

local Trace = { __name = "trace" }
Trace.__index = Trace

local function turn_line(turn)
	local took = turn.decision > 0 and turn.take > 0 and (" (%d:%d)"):format(turn.decision, turn.take) or ""
	return ("t=%.9g  goroutine %d  %s%s%s -> goroutine %d%s"):format(turn.at, turn.goroutine, turn.place,
		turn.place ~= "" and "  " or "", turn.why, turn.next, took)
end

-- first: from that turn on.
local function lines_of(trace, first)
	local lines = {}
	for i = first or 1, #trace.turns do
		lines[#lines + 1] = turn_line(trace.turns[i])
	end
	return table.concat(lines, "\n")
end

function Trace:__tostring()
	local head = ("seed %s: %d goroutines, %d turns, %.9g s"):format(self.seed, self.goroutines, #self.turns + 1,
		self.seconds)
	if self.outside then
		head = head .. "; it has waited for input or output, so its seed does not decide everything"
	end
	return head .. (#self.turns > 0 and "\n" or "") .. lines_of(self)
end

local last -- the trace of this state's last run

-- ---- plans ----

-- "12:1 40:2": at decision 12 the candidate at place 1. Nil: it is no such text.
local function read_schedule(text)
	local choices, before = {}, 0
	for word in text:gmatch("%S+") do
		local decision, take = word:match("^(%d+):(%d+)$")
		if not decision or tonumber(decision) <= before then
			return nil
		end
		before = tonumber(decision)
		choices[#choices + 1] = before
		choices[#choices + 1] = tonumber(take)
	end
	return choices
end

local function fresh_seed()
	return math.random(0) & 0x7fffffff
end

-- What a seed stands for: a number, a schedule, or nil: the environment's or a fresh one.
local function plan_of(seed, fname)
	if seed == nil then
		seed = os.getenv("VAI_TEST_SEED") or fresh_seed()
	end
	if math.type(seed) == "integer" then
		return { how = "seed", seed = seed, name = tostring(seed), most = MOST_TURNS }
	elseif type(seed) ~= "string" then
		error(("bad argument #1 to '%s' (seed expected, got %s)"):format(fname, math.type(seed) or type(seed)), 3)
	elseif math.type(tonumber(seed)) == "integer" then
		return plan_of(math.tointeger(tonumber(seed)), fname)
	end
	local choices = read_schedule(seed)
	if not choices then
		error(("bad argument #1 to '%s' ('%s' is neither a number nor a schedule)"):format(fname, seed), 3)
	end
	return { how = "recorded", seed = 0, choices = choices, name = ("%q"):format(seed), most = MOST_TURNS }
end

-- ---- one run ----

local function describe(err)
	return type(err) == "string" and err or tostring(err)
end

-- Calls f(...) in a run of that plan. True and its results, or false and why it failed, as a text.
local function attempt(plan, f, ...)
	local random = math.random(0) -- what goes on outside draws the same numbers whatever f does
	c.begin(plan)
	math.randomseed(plan.seed)
	local results = table.pack(pcall(f, ...))
	local ended, why = c.finish()
	math.randomseed(random)
	if why then
		results = { false, why, n = 2 }
	elseif not results[1] then
		results = { false, describe(results[2]), n = 2 }
	elseif not ended then
		results = { false, "goroutines that were canceled at the end of the run wait again and again", n = 2 }
	end
	return table.unpack(results, 1, results.n)
end

local function take_trace(plan)
	last = setmetatable(c.record(), Trace)
	last.seed = plan.name
	return last
end

local function failure_of(plan, why)
	return ("seed %s: %s\nreplay with vai.test.run(%s, f) or VAI_TEST_SEED=%s"):format(plan.name, why, plan.name,
		plan.how == "recorded" and ("'%s'"):format(plan.name:sub(2, -2)) or plan.name)
end

local function check_function(f, fname)
	if type(f) ~= "function" then
		error(("bad argument #2 to '%s' (function expected, got %s)"):format(fname, type(f)), 3)
	end
end

local function run(seed, f, ...)
	local plan = plan_of(seed, "run")
	check_function(f, "run")
	local results = table.pack(attempt(plan, f, ...))
	local trace = take_trace(plan)
	if not results[1] then
		error(failure_of(plan, results[2]), 0)
	end
	return trace, table.unpack(results, 2, results.n)
end

return {
	run = run,
	trace = function()
		return last
	end,
}
