-- SPDX-License-Identifier: MIT
-- A web server that shows its own goroutines: `lua5.4 httpd.lua ADDRESS [FOLDER]` serves the page "/" and, below
-- "/files/", a folder. The page gets every second, over WebSocket, what each goroutine does. Without arguments it
-- asks itself, as a browser would.
local vai = require "vai"
local http = require "vai.http"

local PAGE = [[
<!doctype html>
<meta charset="utf-8">
<title>goroutines</title>
<style>body { font: 16px sans-serif; margin: 2em } td { padding: 0 1em 0 0 }</style>
<h1>goroutines: <span id="count">?</span></h1>
<table id="list"></table>
<script>
const socket = new WebSocket(location.href.replace(/^http/, "ws") + "live")
socket.onmessage = (event) => {
	const list = document.getElementById("list"), lines = event.data.trim().split("\n")
	document.getElementById("count").textContent = lines.length
	list.replaceChildren(...lines.map((line) => {
		const row = document.createElement("tr")
		for (const text of line.split("\t")) row.insertCell().textContent = text
		return row
	}))
}
socket.onclose = () => { document.title = "gone" }
</script>
]]

-- A line for each goroutine: number, state, where it was started.
local function goroutines()
	local file <close> = assert(io.tmpfile())
	vai.dump(file)
	file:seek("set")
	local lines = {}
	for line in file:lines() do
		local id, state = line:match("^goroutine (%d+).- %[(.-)%]:$")
		if id then
			lines[#lines + 1] = id .. "\t" .. state .. "\t"
		else
			local place = line:match("^\tcreated at (.*)$")
			if place then
				lines[#lines] = lines[#lines] .. place
			end
		end
	end
	return table.concat(lines, "\n")
end

-- Sends until the page is closed. Who waits for the peer's next word learns of its end at once.
local function live(every)
	return function(req, res)
		local ws <close> = http.websocket(req, res)
		if not ws then
			return
		end
		repeat
			ws:send(goroutines())
			local _, why = ws:recv(every)
		until why ~= "timeout"
	end
end

local function start(address, folder, every)
	return assert(http.serve {
		listen = address,
		handler = http.mux {
			["GET /"] = function(_, res)
				res.headers["Content-Type"] = "text/html; charset=utf-8"
				res.headers["Content-Security-Policy"] =
					"default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'"
				res:send(PAGE)
			end,
			["GET /live"] = live(every),
			["GET /files/*path"] = http.files(folder, { prefix = "/files" }),
		},
	})
end

if arg[1] then
	local server = start(arg[1], arg[2] or ".", 1)
	print("http://" .. server:addr() .. "/")
	server:wait()
	return
end

local folder = os.tmpname()
os.remove(folder)
assert(vai.fs.mkdirs(folder))
assert(vai.fs.write_file(folder .. "/note.txt", "a file\n"))
local server = start("127.0.0.1:0", folder, 0.01)
local base = server:addr()

local page = assert(http.get("http://" .. base .. "/", 5))
print(page.status, page:header("Content-Type"), page:body() == PAGE)
local file = assert(http.get("http://" .. base .. "/files/note.txt", 5))
print(file.status, file:header("Content-Type"), (file:body():gsub("\n", "")))
print(http.get("http://" .. base .. "/files/../httpd.lua", 5).status)

for _ = 1, 3 do
	vai.go(function() vai.chan():recv() end)
end
local ws = assert(http.websocket_dial("ws://" .. base .. "/live", 5))
local waiting
repeat
	local text = ws:recv(5)
	waiting = 0
	for state in text:gmatch("\t([^\t\n]*)\t") do
		waiting = waiting + (state == "chan receive" and 1 or 0)
	end
until waiting == 3
print("waiting in channels: " .. waiting)
ws:close()
print(server:shutdown(5))
vai.fs.remove_all(folder)
