-- SPDX-License-Identifier: MIT
-- Connections that a client keeps for later requests. A pool is data that can be sent, the same for all goroutines: a
-- map from places to records { kept = a channel of connections, permits = a semaphore or nil }. A goroutine that uses
-- a connection holds a permit of its place, and dials only if no connection is kept there: so a place never has more
-- than max_per_host. A kept connection holds one of the pool's slots. A goroutine can be canceled at any instruction,
-- so nothing is counted: permits and slots are guards, which give back what they hold when they are collected or
-- their goroutine ends.
local vai = require "vai"

local now, min = vai.now, math.min
local SLOTS_MOST, LONG = 1 << 31, 1 << 31
local pool = { MAX_IDLE = 100 } -- connections that a pool keeps if the client's options name no number

-- Makes what the goroutines that use a client share.
function pool.new(max_idle)
	return { hosts = vai.map(), slots = vai.semaphore(min(max_idle, SLOTS_MOST) // 1 | 0), due = vai.atomic(0) }
end

-- Gives a permit or a slot back; nil and false stand for none.
local function give_back(guard)
	local _ <close> = guard
end
pool.leave = give_back

local function new_place(cfg)
	return vai.freeze {
		kept = vai.chan(min(cfg.max_idle_per_host, cfg.max_per_host or math.huge)),
		permits = cfg.max_per_host and vai.semaphore(cfg.max_per_host),
	}
end

-- Closes an entry that was taken out of a place.
local function discard(entry)
	give_back(entry.slot)
	entry.conn:close()
end

-- Forgets a place that no goroutine uses. A goroutine that has just found it sees that its channel is closed, and
-- looks again.
local function forget(shared, cfg, name, place)
	local permits = place.permits
	if permits and not permits:try_acquire(cfg.max_per_host) then return end
	shared.hosts:delete(name)
	place.kept:close()
	if permits then permits:release(cfg.max_per_host) end
	for entry in place.kept do discard(entry) end -- one that came in between
end

-- Closes the connections of a place that were kept for too long.
local function sweep_place(cfg, place)
	local kept = place.kept
	for _ = 1, #kept do
		local entry = kept:try_recv()
		if not entry then break end
		local stays = now() - entry.since < cfg.idle_timeout
		if stays then stays = select(2, pcall(kept.try_send, kept, entry)) == true end -- it may have been closed
		if not stays then discard(entry) end
	end
end

local start_timer

-- Closes such connections in all places. Runs from time to time as a goroutine, as long as there are places.
function pool.sweep(shared, cfg)
	shared.due:set(0)
	for name, place in pairs(shared.hosts) do
		sweep_place(cfg, place)
		if #place.kept == 0 then forget(shared, cfg, name, place) end
	end
	if #shared.hosts > 0 then start_timer(shared, cfg) end
end

-- `due` is the second by which the timer's goroutine must have run. If it has not, the timer was never started, as a
-- goroutine was canceled before it came to that.
function start_timer(shared, cfg)
	local due, at = shared.due:get(), now() // 1 | 0
	if due < at and shared.due:cas(due, at + min(cfg.idle_timeout, LONG) // 1 + 2 | 0) then
		vai._timer(cfg.idle_timeout, pool.sweep, shared, cfg) -- nobody waits for what it does
	end
end

local function place_of(shared, cfg, name)
	local place = shared.hosts:get(name)
	if place then return place end
	local new = new_place(cfg)
	place = shared.hosts:update(name, function(old) return old or new end)
	start_timer(shared, cfg)
	return place
end

-- A permit of the place; false if the place has no bound; or nil, why.
local function permit_of(place, limit)
	if place.permits then return place.permits:guard(1, limit) end
	return false
end

-- The place of a name, and a permit for it; or nil, why.
function pool.enter(shared, cfg, name, limit)
	while true do
		local place = place_of(shared, cfg, name)
		local permit, why = permit_of(place, limit)
		if permit == nil then return nil, why end
		if not place.kept:is_closed() then return place, permit end
		give_back(permit)
	end
end

-- A kept connection on which nothing has come and which the peer has not ended; nil: there is none.
function pool.take(cfg, place)
	while true do
		local entry = place.kept:try_recv()
		if not entry then return nil end
		give_back(entry.slot)
		local conn = entry.conn
		if now() - entry.since < cfg.idle_timeout then
			local data, why = conn:read(nil, 0)
			if not data and why == "timeout" then return conn end
		end
		conn:close()
	end
end

-- Keeps the connection, or closes it if enough are kept. The caller still holds the permit.
function pool.put(shared, cfg, place, conn)
	local slot = cfg.max_idle >= 1 and shared.slots:guard(1, 0)
	if slot then
		local ok, kept = pcall(place.kept.try_send, place.kept, { conn = conn, since = now(), slot = slot })
		if ok and kept then return start_timer(shared, cfg) end
		give_back(slot)
	end
	conn:close()
end

-- How many connections are kept.
function pool.count(shared)
	local n = 0
	for _, place in pairs(shared.hosts) do n = n + #place.kept end
	return n
end

-- Closes all kept connections.
function pool.clear(shared)
	for _, place in pairs(shared.hosts) do
		for _ = 1, #place.kept do
			local entry = place.kept:try_recv()
			if not entry then break end
			discard(entry)
		end
	end
end

return pool
