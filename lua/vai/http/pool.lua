-- SPDX-License-Identifier: MIT
-- Connections that a client keeps for the next request. A pool is data that can be sent, the same for all goroutines:
-- a map from places to records { kept = a channel of connections, permits = a semaphore or nil }. Who uses a connection
-- holds a permit, and dials only where no connection is kept: so a place never has more than max_per_host.
local vai = require "vai"

local now, min = vai.now, math.min
local pool = {}

local function new_place(cfg)
	return vai.freeze {
		kept = vai.chan(min(cfg.max_idle_per_host, cfg.max_per_host or math.huge)),
		permits = cfg.max_per_host and vai.semaphore(cfg.max_per_host),
	}
end

-- Closes what was taken out of a place.
local function discard(shared, entry)
	shared.idle:add(-1)
	entry.conn:close()
end

-- Nobody uses the place: forgets it. Who has found it before sees that its channel is closed, and looks again.
local function forget(shared, cfg, name, place)
	local permits = place.permits
	if permits and not permits:try_acquire(cfg.max_per_host) then return end
	shared.hosts:delete(name)
	place.kept:close()
	if permits then permits:release(cfg.max_per_host) end
	for entry in place.kept do discard(shared, entry) end -- one that came in between
end

-- Closes what has been kept for too long.
local function sweep_place(shared, cfg, place)
	local kept = place.kept
	for _ = 1, #kept do
		local entry = kept:try_recv()
		if not entry then break end
		local stays = now() - entry.since < cfg.idle_timeout
		if stays then stays = select(2, pcall(kept.try_send, kept, entry)) == true end -- it may have been closed
		if not stays then discard(shared, entry) end
	end
end

local start_timer

-- Runs from time to time as a goroutine, as long as there are places.
function pool.sweep(shared, cfg)
	shared.timed:set(0)
	for name, place in pairs(shared.hosts) do
		sweep_place(shared, cfg, place)
		if #place.kept == 0 then forget(shared, cfg, name, place) end
	end
	if #shared.hosts > 0 then start_timer(shared, cfg) end
end

function start_timer(shared, cfg)
	if shared.timed:cas(0, 1) then
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

-- The place of a name, with a permit for it; or nil, why.
function pool.enter(shared, cfg, name, limit)
	while true do
		local place = place_of(shared, cfg, name)
		if place.permits then
			local ok, why = place.permits:acquire(1, limit)
			if not ok then return nil, why end
		end
		if not place.kept:is_closed() then return place end
		pool.leave(place)
	end
end

function pool.leave(place)
	if place.permits then place.permits:release(1) end
end

-- A kept connection from which nothing has come and whose peer has not ended it; or nil.
function pool.take(shared, cfg, place)
	while true do
		local entry = place.kept:try_recv()
		if not entry then return nil end
		shared.idle:add(-1)
		local conn = entry.conn
		if now() - entry.since < cfg.idle_timeout then
			local data, why = conn:read(nil, 0)
			if not data and why == "timeout" then return conn end
		end
		conn:close()
	end
end

-- Keeps the connection, or closes it where enough are kept. The permit is still held.
function pool.put(shared, cfg, place, conn)
	if shared.idle:add(1) <= cfg.max_idle then
		local ok, kept = pcall(place.kept.try_send, place.kept, { conn = conn, since = now() })
		if ok and kept then return start_timer(shared, cfg) end
	end
	shared.idle:add(-1)
	conn:close()
end

-- Closes all that is kept.
function pool.clear(shared)
	for _, place in pairs(shared.hosts) do
		for _ = 1, #place.kept do
			local entry = place.kept:try_recv()
			if not entry then break end
			discard(shared, entry)
		end
	end
end

return pool
