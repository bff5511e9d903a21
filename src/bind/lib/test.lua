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

-- (2.5:3) tells a choice that was not the default: at point 5 of goroutine 2 goroutine 3.
local function turn_line(turn)
	local took = turn.chosen and (" (%d.%d:%d)"):format(turn.goroutine, turn.point, turn.next) or ""
	return ("t=%.9g  goroutine %d  %s%s%s -> goroutine %d%s"):format(turn.at, turn.goroutine, turn.place,
		turn.place ~= "" and "  " or "", turn.why, turn.next, took)
end

-- Of many turns the middle is left out.
local function lines_of(trace, most)
	local lines, n = {}, #trace.turns
	for i, place in ipairs(trace.made) do
		lines[i] = i == 1 and "goroutine 1 calls" or ("goroutine %d is made at %s"):format(i, place)
	end
	for i, turn in ipairs(trace.turns) do
		if n <= most or i <= most // 2 or i > n - most // 2 then
			lines[#lines + 1] = turn_line(turn)
		elseif i == most // 2 + 1 then
			lines[#lines + 1] = ("... %d turns ..."):format(n - 2 * (most // 2))
		end
	end
	return table.concat(lines, "\n")
end

function Trace:__tostring()
	local head = ("seed %s: %d goroutines, %d turns, %.9g s"):format(self.seed, #self.made, #self.turns + 1, self.seconds)
	if self.outside then
		head = head .. "; it has waited for input or output, so its seed does not decide everything"
	end
	return head .. "\n" .. lines_of(self, math.huge)
end

local last -- the trace of this state's last run

-- ---- plans ----

-- "7/2.5:3,4.1:2": at point 5 of goroutine 2 goroutine 3, and so on; select and math.random as with seed 7. The seed
-- and the choices, three numbers each, or nil: it is no such text.
local function read_schedule(text)
	local seed, rest = text:match("^(%-?%d+)/([%d.:,]*)$")
	local choices = {}
	for word in (rest or ""):gmatch("[^,]+") do
		local numbers = { word:match("^(%d+)%.(%d+):(%d+)$") }
		if not numbers[1] then
			return nil
		end
		for i = 1, 3 do
			choices[#choices + 1] = math.tointeger(tonumber(numbers[i]))
		end
	end
	return math.tointeger(tonumber(seed)), choices
end

local function write_schedule(seed, choices)
	local words = {}
	for i = 1, #choices, 3 do
		words[#words + 1] = ("%d.%d:%d"):format(choices[i], choices[i + 1], choices[i + 2])
	end
	return seed .. "/" .. table.concat(words, ",")
end

local function recorded(seed, choices, most)
	return { how = "recorded", seed = seed, choices = choices, name = write_schedule(seed, choices), most = most }
end

local function seeded(seed, most)
	return { how = "seed", seed = seed, name = tostring(seed), most = most }
end

-- What a seed stands for: a number, a schedule, or nil: the environment's or a fresh one.
local function plan_of(seed, fname)
	if seed == nil then
		seed = c.env() or math.random(0) & 0x7fffffff
	end
	local number = math.tointeger(type(seed) == "string" and tonumber(seed) or seed)
	if number and math.type(seed) ~= "float" then
		return seeded(number, MOST_TURNS)
	elseif type(seed) ~= "string" then
		error(("bad argument #1 to '%s' (seed expected, got %s)"):format(fname, math.type(seed) or type(seed)), 3)
	end
	local own, choices = read_schedule(seed)
	if not own then
		error(("bad argument #1 to '%s' ('%s' is neither a number nor a schedule)"):format(fname, seed), 3)
	end
	return recorded(own, choices, MOST_TURNS)
end

-- ---- one run ----

-- Calls f(...) in a run of that plan. True and its results, or false and why it failed, as a text.
local function attempt(plan, f, ...)
	local random = math.random(0) -- what goes on outside draws the same numbers whatever f does
	c.begin(plan)
	math.randomseed(plan.seed)
	local results = table.pack(pcall(f, ...))
	local ended, why = c.finish()
	math.randomseed(random)
	if why then
		return false, why
	elseif not results[1] then
		return false, tostring(results[2])
	elseif not ended then
		return false, "goroutines that were canceled at the end of the run wait again and again"
	end
	return table.unpack(results, 1, results.n)
end

local function take_trace(plan)
	last = setmetatable(c.record(), Trace)
	last.seed = plan.name
	return last
end

local function how_to_replay(plan)
	local seed = plan.how == "recorded" and '"' .. plan.name .. '"' or plan.name
	return ("replay with vai.test.run(%s, f) or VAI_TEST_SEED=%s"):format(seed, plan.name)
end

local function check_function(f, arg, fname)
	if type(f) ~= "function" then
		error(("bad argument #%d to '%s' (function expected, got %s)"):format(arg, fname, type(f)), 3)
	end
end

local function run(seed, f, ...)
	local plan = plan_of(seed, "run")
	check_function(f, 2, "run")
	local results = table.pack(attempt(plan, f, ...))
	local trace = take_trace(plan)
	if not results[1] then
		error(("seed %s: %s\n%s"):format(plan.name, results[2], how_to_replay(plan)), 0)
	end
	return trace, table.unpack(results, 2, results.n)
end

-- ---- many runs ----

local MOST_LINES, FEW, MANY = 40, 50, 200

-- What is alike of failures that have the same reason.
local function kind_of(why)
	return (why:match("^[^\n]*"):gsub("%d+", "#"))
end

-- The last run's choices that were not the default.
local function choices_made()
	local choices = {}
	for _, d in ipairs(c.decisions(true)) do
		table.move({ d.goroutine, d.point, d.next }, 1, 3, #choices + 1, choices)
	end
	return choices
end

local function without(choices, from, to)
	local rest = {}
	for i = 1, #choices, 3 do
		local at = i // 3 + 1
		if at < from or at > to then
			table.move(choices, i, i + 2, #rest + 1, rest)
		end
	end
	return rest
end

local function gcd(a, b)
	while b > 0 do
		a, b = b, a % b
	end
	return a
end

local Search = {}
Search.__index = Search

-- Whether f fails with that plan.
function Search:fails(plan)
	self.runs = self.runs + 1
	local ok, why = attempt(plan, self.f)
	return not ok and why or nil
end

function Search:is_over()
	return self.runs >= self.most_runs or c.real() >= self.until_when
end

-- Takes away choices, in ever smaller groups, as long as f fails for the same reason without them. What a failing run
-- has done after a choice was taken away is what remains of its choices: others mean nothing any more.
function Search:shrink(seed, choices, why)
	local kind, size = kind_of(why), #choices // 3
	while size > 0 and c.real() < self.shrink_until do
		local at, shorter = 1, false
		while at <= #choices // 3 and c.real() < self.shrink_until do
			local fewer = without(choices, at, at + size - 1)
			local other = self:fails(recorded(seed, fewer, self.most_turns))
			if other and kind_of(other) == kind then
				local made = choices_made()
				choices, shorter = #made < #fewer and made or fewer, true
			else
				at = at + size
			end
		end
		size = (size > 1 and size // 2) or (shorter and 1) or 0
	end
	return choices
end

-- All schedules with one choice that is not the default, of which the last run's decisions tell. Of many those that lie
-- far from each other come first.
local function single_choices()
	local all, order = {}, {}
	for _, d in ipairs(c.decisions()) do
		for i = 2, #d do
			all[#all + 1] = { d.goroutine, d.point, d[i] }
		end
	end
	local step = #all > MANY and #all * 618 // 1000 | 1 or 1
	while #all > 1 and gcd(step, #all) > 1 do
		step = step + 2
	end
	for i = 0, #all - 1 do
		order[i + 1] = all[i * step % #all + 1]
	end
	return order
end

function Search:by_choices(choices)
	local why = self:fails(recorded(self.seed, choices, self.most_turns))
	if why then
		return self.seed, choices, why
	end
end

-- An order by chance: by priorities that change a few times, or by the seed alone.
function Search:by_chance(seed)
	local plan = seeded(seed, self.most_turns)
	if seed % 4 ~= 0 then
		plan.how, plan.depth, plan.length = "pct", seed % 4, self.length
	end
	local why = self:fails(plan)
	self.length = math.max(self.length, c.count())
	if why then
		return seed, choices_made(), why
	end
end

-- The default order, then by turns the same with one other choice and an order by chance. The seed, the choices and the
-- reason of one that fails, or nothing.
function Search:find()
	local seed, choices, why = self:by_choices({})
	if why then
		return seed, choices, why
	end
	self.singles, self.tried = single_choices(), 0
	local singles = self.singles
	self.length = c.count()
	local n = #singles > 0 and math.huge or FEW -- without choices only select and math.random differ
	for i = 1, n do
		if singles[i] and not why and not self:is_over() then
			self.tried = i
			seed, choices, why = self:by_choices(singles[i])
		end
		if not why and not self:is_over() then
			seed, choices, why = self:by_chance(self.seed + i)
		end
		if why or self:is_over() then
			return seed, choices, why
		end
	end
end

-- One choice that fails for the same reason, among those that have not been tried, or the choices that there are.
function Search:one_instead(seed, choices, why)
	local kind = kind_of(why)
	for i = #choices > 3 and self.tried + 1 or math.huge, #(self.singles or {}) do
		local single = self.singles[i]
		if c.real() >= self.shrink_until then
			break
		end
		local other = self:fails(recorded(self.seed, single, self.most_turns))
		if other and kind_of(other) == kind then
			return self.seed, single
		end
	end
	return seed, choices
end

-- Raises the failure with the shortest schedule that was found.
function Search:tell(seed, choices)
	local plan = recorded(seed, choices, self.most_turns)
	local tried, why = self.found, self:fails(plan)
	local trace = take_trace(plan)
	why = why or "but it does not do so again: something outside of the run has a part in it"
	local head = ("schedule %d of those that were tried fails: %s\nthe shortest that fails (choices: %d, turns: %d):")
		:format(tried, why, #choices // 3, #trace.turns + 1)
	error(("%s\n%s\n%s"):format(head, lines_of(trace, MOST_LINES), how_to_replay(plan)), 0)
end

local option_types = { seed = "integer", runs = "integer", seconds = "number", turns = "integer" }

local function check_options(options)
	if type(options) ~= "table" then
		error(("bad argument #2 to 'explore' (table expected, got %s)"):format(type(options)), 3)
	end
	for k, v in pairs(options) do
		local want = option_types[k]
		if not want then
			error(("bad argument #2 to 'explore' (unknown option '%s')"):format(tostring(k)), 3)
		elseif (want == "integer" and math.type(v) or type(v)) ~= want then
			error(("bad argument #2 to 'explore' (%s: %s expected, got %s)"):format(k, want, math.type(v) or type(v)), 3)
		end
	end
end

local function explore(f, options)
	check_function(f, 1, "explore")
	check_options(options or {})
	if c.env() then
		run(nil, f)
		return 1
	end
	local o = options or {}
	local now, seconds = c.real(), o.seconds or 10
	local search = setmetatable({ f = f, seed = o.seed or 1, runs = 0, length = 0, most_runs = o.runs or 10000,
		most_turns = o.turns or 100000, until_when = now + 0.8 * seconds }, Search)
	local seed, choices, why = search:find()
	if why then
		search.found = search.runs
		search.shrink_until = math.max(now + 0.8 * seconds, c.real() + 0.1 * seconds)
		search:tell(search:one_instead(seed, search:shrink(seed, choices, why), why))
	end
	take_trace(seeded(search.seed))
	return search.runs
end

return {
	run = run,
	explore = explore,
	trace = function()
		return last
	end,
}
