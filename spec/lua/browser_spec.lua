-- SPDX-License-Identifier: MIT
-- A browser, Chromium without a window, and vai's server over TLS: a page, its files, fetch, a stream and WebSocket.
-- Where there is none, it is left out. VAI_SPEC_CHROMIUM names one that is not in the path.
local program = dofile((debug.getinfo(1, "S").source:match("^@(.*/)") or "./") .. "support/program.lua")

local browser = os.getenv("VAI_SPEC_CHROMIUM") or "chromium"
local there = os.execute(("command -v %s >/dev/null 2>&1"):format(program.quote(browser)))

local page = [==[
<!doctype html><title>vai</title><link rel=stylesheet href=/style.css><script>
async function run() {
	const out = {}
	out.style = getComputedStyle(document.body).color
	for (let i = 0; i < 20; i++) {
		const r = await fetch("/echo?n=" + i, { method: "POST", body: "body " + i })
		if (await r.text() != i + " body " + i) throw "echo " + i
	}
	const many = await Promise.all([...Array(30).keys()].map(i => fetch("/echo?n=" + i).then(r => r.text())))
	out.many = many.join()
	const big = await (await fetch("/big")).arrayBuffer()
	out.big = big.byteLength
	const part = await fetch("/big", { headers: { Range: "bytes=10-19" } })
	out.part = part.status + " " + (await part.arrayBuffer()).byteLength
	const reader = (await fetch("/stream")).body.getReader(), decoder = new TextDecoder()
	out.stream = ""
	for (;;) {
		const { done, value } = await reader.read()
		if (done) break
		out.stream += decoder.decode(value)
		await fetch("/go") // the server says the next word when it has been told to
	}
	const ws = new WebSocket("wss://" + location.host + "/ws", ["chat"])
	ws.binaryType = "arraybuffer"
	out.ws = await new Promise((resolve, reject) => {
		const got = []
		ws.onopen = () => { ws.send("grüße"); ws.send(new Uint8Array(100000)) }
		ws.onmessage = m => {
			got.push(typeof m.data == "string" ? m.data : m.data.byteLength)
			if (got.length == 2) ws.close(3007, "enough")
		}
		ws.onclose = e => resolve(got.join() + " " + e.code + " " + e.wasClean + " " + ws.protocol)
	})
	out.late = (await fetch("/echo?n=late")).status
	const protocols = performance.getEntriesByType("resource").concat(performance.getEntriesByType("navigation"))
	out.protocols = [...new Set(protocols.map(e => e.nextHopProtocol))].join()
	return out
}
onload = () => run().catch(e => ({ error: String(e) })).then(out =>
	fetch("/result", { method: "POST", body: JSON.stringify(out) }))
</script><body>page</body>
]==]

program.tester [[
	local http, certs = require "vai.http", require "certs"
	local browser, page = arg[2], arg[3]
]]("a browser loads a page, fetches, streams and talks WebSocket over TLS, on few connections", [[
	local peers, words, results, closed = vai.map(), vai.chan(100), vai.chan(1), vai.chan(1)
	local big = arg[1] .. "/big.bin"
	assert(vai.fs.write_file(big, ("0123456789"):rep(100000)))
	local handler = http.mux {
		["GET /"] = function(_, res)
			res.headers["Content-Type"] = "text/html; charset=utf-8"
			res:send(page)
		end,
		["GET /style.css"] = function(_, res)
			res.headers["Content-Type"] = "text/css"
			res:send("body { color: rgb(1, 2, 3) }")
		end,
		["/echo"] = function(req, res) res:send(req.query.n .. " " .. req:body()) end,
		["GET /big"] = function(_, res) res:file(big) end,
		["GET /go"] = function(_, res)
			words:send("go")
			res:send("")
		end,
		["GET /stream"] = function(_, res)
			for word in ("one two three"):gmatch("%a+") do
				res:write(word, " ")
				words:recv(30)
			end
		end,
		["GET /ws"] = function(req, res)
			local ws <close> = assert(http.websocket(req, res, { protocols = { "chat" } }))
			for data, kind in ws:messages() do ws:send(data, kind) end
			closed:send(ws.reason)
		end,
		["POST /result"] = function(req, res)
			results:send(req:body())
			res:send("")
		end,
	}
	local server = assert(http.serve { listen = "127.0.0.1:0", tls = certs.pair("good"), handler = function(req, res)
		peers:add(req:remote_addr(), 1)
		return handler(req, res)
	end })
	local key = vai.process.run { "sh", "-c", "openssl x509 -in '" .. certs.path("good") .. [=[.pem' -pubkey -noout |
		openssl pkey -pubin -outform der | openssl dgst -sha256 -binary | base64]=] }.out:match("%S+")
	local p = assert(vai.process.spawn { browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
		"--user-data-dir=" .. arg[1] .. "/profile", "--ignore-certificate-errors-spki-list=" .. key, "--no-first-run",
		"--remote-debugging-port=0", "https://" .. server:addr() .. "/", stdout = "null", stderr = "null" })
	local text, why = results:recv(100)
	p:kill("SIGTERM")
	p:wait()
	assert(text, why)
	local json = require "vai.nats.json" -- there is no other one
	local numbers = {}
	for i = 0, 29 do numbers[#numbers + 1] = i .. " " end
	check.same(json.decode(text), { style = "rgb(1, 2, 3)", many = table.concat(numbers, ","), big = 1000000,
		part = "206 10", stream = "one two three ", ws = "grüße,100000 3007 true chat", late = 200, protocols = "http/1.1" })
	check.eq(closed:recv(10), "enough")
	-- Six at a time, one for the WebSocket, and perhaps some that the browser opened in vain.
	check.eq(#peers <= 12, true, #peers)
	local requests = 0
	for _, n in pairs(peers) do requests = requests + n end
	check.eq(requests >= 60, true, requests)
	server:close()
]], { args = { browser, page }, procs = 2, needs = { "vai.tls", "vai.http", "vai.nats" }, any_err = true,
	skip = not there and "no chromium: install it, or name one in VAI_SPEC_CHROMIUM" or nil, timeout = 120 })
