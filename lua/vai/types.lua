---@meta vai
-- SPDX-License-Identifier: MIT
-- Types of the module "vai" for the Lua language server, and the source of doc/API.md (`make docs`).
-- Never loaded at run time.
--
-- A section is a heading, "-- ---- name ----", and the comment lines below it; one without an entry is left
-- out of the page. Sections stand here in the page's order: a new function goes to its family's. Text is
-- Markdown. Every function has an example in a ```lua block: `make test` runs it as a program of its own, after
-- `local vai = require "vai"`, and compares what it prints with the comments that begin with "-->".
-- What makes an object with methods is listed in mk/apidoc.lua.

---@class vai
local vai = {}

-- ---- goroutines ----

---Runs `f(...)` as a goroutine. What `f` captures and the arguments cross by copy: see
---[What may be sent](#what-may-be-sent-or-captured).
---
---An error that `f` does not catch ends the program with status 2, or goes to the handler of `vai.on_panic`. That is
---so even if a goroutine waits in `join`: with a handler, the handler is called and `join` returns `false` and the
---error, too. If only `join` is to get the error, use `vai.async`. `vai.go(f):join()` waits until the goroutine has
---ended and returns the results of `f`.
---```lua
---local answers = vai.chan()
---vai.go(function(name)
---	answers:send("hello, " .. name)
---end, "goroutine")
---print(answers:recv()) --> hello, goroutine
---```
---@param f function
---@param ... any
---@return vai.task
function vai.go(f, ...) end

---As `vai.go`, but an error is kept for `task:join`. If the last handle of the task is gone and no goroutine has
---joined it, the error is reported on stderr; the program goes on.
---```lua
---local task = vai.async(function(a, b) return a // b, a % b end, 17, 5)
---print(task:join()) --> true 3 2
---local ok, err = vai.async(error, "no luck", 0):join()
---print(ok, err) --> false no luck
---```
---@param f function
---@param ... any
---@return vai.task
---@nodiscard
function vai.async(f, ...) end

-- ---- channels ----

---A queue between goroutines, first in, first out. `#ch` is the number of messages in it. `for v in ch do` receives
---until the channel is closed and drained. `local ch <close> = vai.chan()` closes the channel at the end of the
---block, if it is not closed by then.
---```lua
---local ch = vai.chan(2)
---ch:send("a")
---ch:send("b")
---print(#ch) --> 2
---ch:close()
---for v in ch do
---	print(v)
---end
--- --> a
--- --> b
---```
---@class vai.channel
---@operator len: integer
---@operator call: any
local channel = {}

---With capacity 0, the default, a sender waits until a receiver takes its message. With a capacity of `n`, a sender
---waits only if `n` messages are in the channel.
---```lua
---local ch = vai.chan(8)
---print(ch:cap(), #ch) --> 8 0
---```
---@param capacity? integer
---@return vai.channel
---@nodiscard
function vai.chan(capacity) end

---Sends a copy of `v`, and waits until there is room or a receiver. Raises `send on closed channel`. Also raises if
---`v` is nil, which a receiver could not tell from the end, or cannot be sent.
---```lua
---local ch = vai.chan(1)
---print(ch:send({ 1, 2 })) --> true
---print(ch:send({ 3, 4 }, 0.01)) --> nil timeout
---```
---@param v any
---@param limit? vai.limit
---@return true?
---@return "timeout"?
function channel:send(v, limit) end

---Waits for a message.
---```lua
---local ch = vai.chan(1)
---ch:send("last")
---ch:close()
---print(ch:recv()) --> last
---print(ch:recv()) --> nil closed
---print(vai.chan():recv(0.01)) --> nil timeout
---```
---@param limit? vai.limit
---@return any value nil: closed and drained, or the time is over
---@return "closed"|"timeout"|nil
function channel:recv(limit) end

---Sends `v` if that is possible without waiting.
---```lua
---local ch = vai.chan(1)
---print(ch:try_send(1)) --> true
---print(ch:try_send(2)) --> nil full
---```
---@param v any
---@return true?
---@return "full"?
function channel:try_send(v) end

---Receives if that is possible without waiting.
---```lua
---local ch = vai.chan(1)
---print(ch:try_recv()) --> nil empty
---ch:send(1)
---print(ch:try_recv()) --> 1
---```
---@return any
---@return "empty"|"closed"|nil
function channel:try_recv() end

---Closes the channel: nothing can be sent any more. Messages in it can still be received; after them receivers get
---`nil, "closed"`. Senders that wait raise `send on closed channel`. Raises `close of closed channel`.
---```lua
---local ch = vai.chan()
---ch:close()
---print(pcall(ch.close, ch)) --> false close of closed channel
---```
function channel:close() end

---```lua
---print(vai.chan():cap(), vai.chan(3):cap()) --> 0 3
---```
---@return integer
---@nodiscard
function channel:cap() end

---Whether `close` was called. There may still be messages in the channel.
---```lua
---local ch = vai.chan(1)
---ch:send("still there")
---ch:close()
---print(ch:is_closed(), #ch) --> true 1
---```
---@return boolean
---@nodiscard
function channel:is_closed() end

-- ---- select ----

---A case is a channel to receive from, `{ channel, value }` to send, something else to wait for, or `false` for one that
---is never ready.
---@alias vai.case vai.channel|{ [1]: vai.channel|false, [2]: any }|vai.connection|vai.listener|vai.packet|vai.child|false

---Waits for one of the cases in a list. A case is written in one of these ways:
---
--- - `ch` receives from `ch`: `select` returns `i, value`, or `i, nil, "closed"` where it is closed and drained;
--- - `{ ch, value }` sends `value` to `ch`: `select` returns `i, true`. It raises `send on closed channel`;
--- - a connection is read from, as by `c:read()`: `select` returns `i, data`, at the end `i, nil`, and otherwise
---   `i, nil, message, code`, with `"closed"` and `"timeout"` (its deadline) among the messages. What was not chosen stays
---   for the next reader;
--- - a listener: `i, connection`; a packet socket: `i, data, address, truncated`; a process: `i, code` or
---   `i, nil, "signal", name`; what else may be is `i, nil, message, code`;
--- - `false`, or `{ false, value }`, is never ready: a case that is switched off.
---
---While a select waits it stands in the queue of the goroutines that read from the object, as a call of `read` does.
---
---`i` is the place of the case in the list, or its name where it has one: `{ numbers = ch, quit = q }`. Of several
---that are ready a random one goes, and only that one. The list may have two options: with `timeout = seconds` (or a
---context), `select` returns `nil, "timeout"` when none was ready for so long; with `default = true` it does not wait, and
---returns `nil, "default"`. Another name with a number, a string or true raises. A value is copied when `select`
---begins, whether it is sent or not. The list can be used again.
---```lua
---local numbers, quit = vai.chan(1), vai.chan()
---print(vai.select({ numbers, quit, default = true })) --> nil default
---print(vai.select({ { numbers, 42 }, quit })) --> 1 true
---print(vai.select({ numbers, quit, timeout = 1 })) --> 1 42
---quit:close()
---print(vai.select({ numbers, quit })) --> 2 nil closed
---print(vai.select({ recv = numbers, stop = quit, timeout = 1 })) --> stop nil closed
---local a, b = vai.net.pipe()
---a:write("hello")
---print(vai.select({ b, numbers, timeout = 1 })) --> 1 hello
---```
---@param cases vai.cases
---@return integer|string|nil i the case's place in the list, or its name
---@return any value what was received; true for a send; "timeout" or "default" without a case
---@return any ... what else the case gives: for a channel `"closed"`
function vai.select(cases) end

---A list of cases, and how long to wait for one of them.
---@class vai.cases
---@field [integer] vai.case
---@field [string] vai.case
---@field timeout? number
---@field default? boolean do not wait

-- ---- tasks ----

---What `vai.go`, `vai.async`, `vai.spawn` and `waitgroup:go` return: a handle of the goroutine. The handle can be
---sent, and any goroutine may join or cancel the task. `tostring` gives `goroutine 7`. `local task <close> =
---vai.go(f)` cancels the task at the end of the block, and waits until the goroutine has ended and its to-be-closed
---variables are closed.
---@class vai.task
local task = {}

---Waits until the goroutine has ended. Returns `true` and the results of its function; or `false`, the error and the
---error's traceback (no traceback if the goroutine was canceled). May be called any number of times. A goroutine
---cannot join itself.
---```lua
---local task = vai.async(function() return "a", "b" end)
---print(task:join()) --> true a b
---print(vai.async(vai.sleep, 60):join(0.01)) --> nil timeout
---local _, err, traceback = vai.async(function() error("no luck", 0) end):join()
---print(err, traceback:match("^stack traceback:")) --> no luck stack traceback:
---```
---@param limit? vai.limit
---@return boolean? ok nil: the time is over
---@return any ... results; the error and its traceback; or "timeout"
function task:join(limit) end

---Ends the goroutine:
---
---1. One that has ended stays as it is: `cancel` returns `false`. One that has not begun never runs.
---2. `reason` is raised in the goroutine, like an error of its own: where it waits, or at its next Lua instruction.
---   A C function that it is in is not interrupted; the error comes when that returns, or, where that one slept in the
---   system and is none of vai's, some milliseconds later.
---3. The error unwinds as any error does. To-be-closed variables are closed and may wait. They have ten seconds, one
---   of them of processor time; then, or as soon as the goroutine is canceled once more, it is raised in them, too.
---4. A function that catches the error (`pcall`, `xpcall`, `coroutine.resume`) has some 20 milliseconds to clean up, in
---   which it may wait. Then the error is raised again, and again, so that the goroutine ends.
---5. The outcome: where a function has caught the error and the goroutine's function returns in time, `join`
---   gives `true` and the results. Where any error leaves it, this or another, `join` gives `false` and `reason`.
---   Nothing is reported, and the program goes on, however the goroutine was started.
---
---If a goroutine is canceled several times, the first reason counts. A goroutine may cancel itself.
---```lua
---local begun, ended = vai.chan(), vai.chan(1)
---local task = vai.go(function()
---	local note <close> = setmetatable({}, { __close = function() ended:send("closed") end })
---	begun:send(true)
---	while true do end
---end)
---begun:recv()
---print(task:cancel("no longer needed")) --> true
---print(task:join()) --> false no longer needed
---print(ended:recv()) --> closed
---```
---@param reason? any what can be sent; default "canceled"
---@return boolean alive false: it had ended
function task:cancel(reason) end

---A channel for `select` that is closed when the goroutine has ended. Each call returns the same channel. The program
---cannot close it or send on it.
---```lua
---local quick, slow = vai.async(vai.sleep, 0), vai.async(vai.sleep, 60)
---print(vai.select({ slow = slow:done(), quick = quick:done() })) --> quick nil closed
---```
---@return vai.channel
---@nodiscard
function task:done() end

---What the goroutine does at this moment: it is ready to run, runs, waits, has returned, or has ended by an error.
---```lua
---local task = vai.async(function() end)
---task:join()
---print(task:status()) --> done
---```
---@return "runnable"|"running"|"waiting"|"done"|"failed"
---@nodiscard
function task:status() end

---The number of the goroutine: what `vai.id()` returns in it.
---```lua
---local task = vai.async(vai.id)
---print(select(2, task:join()) == task:id()) --> true
---```
---@return integer
---@nodiscard
function task:id() end

-- ---- bounded goroutines ----

---As `vai.async`, with bounds. An unknown option raises.
---```lua
---local task = vai.spawn({ name = "greedy", memory = 1 << 20, cpu = 10, libs = { "string" } }, function()
---	return ("x"):rep(1 << 22)
---end)
---print(task:join()) --> false not enough memory
---```
---@param opts vai.options
---@param f function
---@param ... any
---@return vai.task
---@nodiscard
function vai.spawn(opts, f, ...) end

---The name of a goroutine of `vai.spawn`, and what it may use. Goroutines that it starts itself are not bounded.
---@class vai.options
---@field name? string for reports and dumps; up to 63 bytes
---@field memory? integer bytes of its Lua state and of the messages that it has sent and that were not received yet, at least 65536. If the goroutine needs more, "not enough memory" is raised. If it catches that error the bound is raised by an eighth, once; when the error is raised again, the goroutine ends
---@field cpu? number seconds of processor time. When they are used up the goroutine is ended as by `task:cancel`, with the error "cpu time exceeded"
---@field libs? string[] the standard libraries that it has besides the base functions: "string", "table", "math", "utf8", "coroutine", "io", "os", "debug", "package" (with `require`). Functions of others that f captures it has in any case

-- ---- synchronisation ----

---A counter that goroutines wait for to reach zero.
---@class vai.waitgroup
local waitgroup = {}

---```lua
---local wg = vai.waitgroup()
---for _ = 1, 10 do
---	wg:go(vai.sleep, 0.001)
---end
---print(wg:wait()) --> true
---```
---@return vai.waitgroup
---@nodiscard
function vai.waitgroup() end

---Adds to the counter. Raises `negative waitgroup counter`. Call it before the goroutine that calls `done` is
---started; otherwise `wait` may find the counter at zero too early.
---```lua
---local wg = vai.waitgroup()
---wg:add(2)
---for _ = 1, 2 do
---	vai.go(function() wg:done() end)
---end
---wg:wait()
---print(pcall(wg.add, wg, -1)) --> false negative waitgroup counter
---```
---@param n? integer default 1
function waitgroup:add(n) end

---`add(-1)`.
---```lua
---local wg = vai.waitgroup()
---wg:add()
---wg:done()
---print(wg:wait(0)) --> true
---```
function waitgroup:done() end

---Waits until the counter is zero.
---```lua
---local wg = vai.waitgroup()
---wg:add()
---print(wg:wait(0.01)) --> nil timeout
---```
---@param limit? vai.limit
---@return true?
---@return "timeout"?
function waitgroup:wait(limit) end

---As `add(1)` and `vai.go(f, ...)`. `done` is called when the goroutine has ended, whether it has returned or failed.
---```lua
---local wg, ch = vai.waitgroup(), vai.chan(1)
---wg:go(function(v) ch:send(v) end, "sent")
---wg:wait()
---print(ch:recv()) --> sent
---```
---@param f function
---@param ... any
---@return vai.task
function waitgroup:go(f, ...) end

---A lock that one goroutine at a time holds. `vai.mutex()` makes one. A mutex can be sent; the receiver has the same
---mutex. A goroutine that locks a free mutex gets it even if others wait for it; but once a goroutine has waited for
---a millisecond, the mutex is given to the one that has waited longest. Any goroutine may unlock it. If a goroutine
---ends while it holds a mutex without a guard, that is reported on stderr: `vai: goroutine 7 ended with mutex made at
---x.lua:3 locked`.
---@class vai.mutex
local mutex = {}

---```lua
---local m, wg, sum = vai.mutex(), vai.waitgroup(), vai.chan(1)
---sum:send(0)
---for i = 1, 10 do
---	wg:go(function()
---		local held <close> = m:guard()
---		sum:send(sum:recv() + i)
---	end)
---end
---wg:wait()
---print(sum:recv()) --> 55
---```
---@return vai.mutex
---@nodiscard
function vai.mutex() end

---Waits until the mutex is free, and locks it. A goroutine that already holds the mutex waits for itself, which is a
---deadlock.
---```lua
---local m = vai.mutex()
---print(m:lock()) --> true
---print(m:lock(0.01)) --> nil timeout
---m:unlock()
---```
---@param limit? vai.limit
---@return true?
---@return "timeout"?
function mutex:lock(limit) end

---```lua
---local m = vai.mutex()
---print(m:try_lock(), m:try_lock()) --> true false
---m:unlock()
---```
---@return boolean locked
function mutex:try_lock() end

---Raises `unlock of unlocked mutex`.
---```lua
---local m = vai.mutex()
---m:lock()
---m:unlock()
---print(pcall(m.unlock, m)) --> false unlock of unlocked mutex
---```
function mutex:unlock() end

---Locks the mutex and returns a guard for a to-be-closed variable. The guard unlocks at the end of the block, also if
---an error or `task:cancel` ends the block. A guard in another variable unlocks when it is collected, or at the end
---of its goroutine.
---```lua
---local m = vai.mutex()
---do
---	local held <close> = m:guard()
---	print(m:try_lock()) --> false
---end
---print(m:try_lock()) --> true
---m:unlock()
---```
---@param limit? vai.limit
---@return vai.guard? held
---@return "timeout"?
function mutex:guard(limit) end

---Calls `f(...)` with the mutex locked and returns its results. The mutex is unlocked afterwards, also if `f` raises.
---```lua
---local m = vai.mutex()
---print(m:with(function(a, b) return a + b end, 2, 3)) --> 5
---```
---@param f function
---@param ... any
---@return any ... what `f` returns
function mutex:with(f, ...) end

---A lock that either many readers or one writer hold. Goroutines that have locked it with `rlock` share it. While a
---writer waits no new reader gets the lock; after the writer all readers that wait get it. So a goroutine that holds
---the lock for reading must not ask for it again. `lock`, `try_lock`, `unlock`, `guard` and `with` lock for writing.
---@class vai.rwmutex
local rwmutex = {}

---```lua
---local m, config = vai.rwmutex(), vai.chan(1)
---config:send("old")
---local reader = vai.async(function()
---	local held <close> = m:rguard()
---	return #config
---end)
---print(reader:join()) --> true 1
---m:with(function() config:recv() config:send("new") end)
---```
---@return vai.rwmutex
---@nodiscard
function vai.rwmutex() end

---```lua
---local m = vai.rwmutex()
---m:rlock()
---print(m:lock(0.01)) --> nil timeout
---m:runlock()
---print(m:lock()) --> true
---m:unlock()
---```
---@param limit? vai.limit
---@return true?
---@return "timeout"?
function rwmutex:lock(limit) end

---```lua
---local m = vai.rwmutex()
---print(m:try_lock(), m:try_rlock()) --> true false
---m:unlock()
---```
---@return boolean locked
function rwmutex:try_lock() end

---Raises `unlock of unlocked rwmutex`.
---```lua
---local m = vai.rwmutex()
---print(pcall(m.unlock, m)) --> false unlock of unlocked rwmutex
---```
function rwmutex:unlock() end

---As `mutex:guard`.
---```lua
---local m = vai.rwmutex()
---do
---	local held <close> = m:guard()
---end
---print(m:try_lock()) --> true
---m:unlock()
---```
---@param limit? vai.limit
---@return vai.guard? held
---@return "timeout"?
function rwmutex:guard(limit) end

---As `mutex:with`.
---```lua
---print(vai.rwmutex():with(function() return "written" end)) --> written
---```
---@param f function
---@param ... any
---@return any ... what `f` returns
function rwmutex:with(f, ...) end

---Locks it for reading. Waits while a goroutine holds the lock for writing, or has asked for that before.
---```lua
---local m = vai.rwmutex()
---print(m:rlock(), m:rlock()) --> true true
---m:runlock()
---m:runlock()
---```
---@param limit? vai.limit
---@return true?
---@return "timeout"?
function rwmutex:rlock(limit) end

---```lua
---local m = vai.rwmutex()
---print(m:try_rlock(), m:try_lock()) --> true false
---m:runlock()
---```
---@return boolean locked
function rwmutex:try_rlock() end

---Raises `runlock of unlocked rwmutex`.
---```lua
---local m = vai.rwmutex()
---m:rlock()
---m:runlock()
---print(pcall(m.runlock, m)) --> false runlock of unlocked rwmutex
---```
function rwmutex:runlock() end

---As `guard`, for reading.
---```lua
---local m = vai.rwmutex()
---do
---	local held <close> = m:rguard()
---	print(m:try_rlock(), m:try_lock()) --> true false
---	m:runlock()
---end
---print(m:try_lock()) --> true
---m:unlock()
---```
---@param limit? vai.limit
---@return vai.guard? held
---@return "timeout"?
function rwmutex:rguard(limit) end

---Makes sure that something is done once, by the first goroutine that asks for it.
---@class vai.once
local once = {}

---```lua
---local once, log = vai.once(), vai.chan(10)
---local wg = vai.waitgroup()
---for i = 1, 10 do
---	wg:go(function() once:call(function() log:send("opened") end) end)
---end
---wg:wait()
---print(#log, log:recv()) --> 1 opened
---```
---@return vai.once
---@nodiscard
function vai.once() end

---The first caller runs `f(...)`; the others wait until that call is over. If `f` raises, the first caller gets the
---error, and it counts as done all the same. Raises if it is called from within `f`.
---```lua
---local once = vai.once()
---print(once:call(function() end)) --> true
---print(once:call(function() error("never called") end)) --> false
---```
---@param f function
---@param ... any
---@return boolean ran this call has run `f`
function once:call(f, ...) end

---Returns a function. Its first call calls `f()`; that call and all later ones return the results of `f`, or raise
---its error. This holds for all goroutines to which the function was sent, or which captured it. They get copies of
---the results, and the same copies at each call.
---```lua
---local config = vai.once_value(function()
---	return { port = 8080 }
---end)
---print(config().port, config() == config()) --> 8080 true
---print(select(2, vai.async(function() return config().port end):join())) --> 8080
---```
---@param f function
---@return fun(): any ...
---@nodiscard
function vai.once_value(f) end

---A condition variable: goroutines that hold a mutex wait here until something changes. Always check the condition in
---a loop.
---@class vai.cond
local cond = {}

---```lua
---local m, items = vai.mutex(), vai.chan(10)
---local changed = vai.cond(m)
---local consumer = vai.async(function()
---	local held <close> = m:guard()
---	while #items == 0 do
---		changed:wait()
---	end
---	return items:recv()
---end)
---m:with(function()
---	items:send("item")
---	changed:signal()
---end)
---print(consumer:join()) --> true item
---```
---@param mutex vai.mutex
---@return vai.cond
---@nodiscard
function vai.cond(mutex) end

---Unlocks the mutex and waits for a signal. The mutex is locked again when this returns or raises. Raises `unlock of
---unlocked mutex`.
---```lua
---local m = vai.mutex()
---local c = vai.cond(m)
---m:lock()
---print(c:wait(0.01)) --> nil timeout
---m:unlock()
---```
---@param limit? vai.limit
---@return true?
---@return "timeout"?
function cond:wait(limit) end

---Wakes the goroutine that has waited longest, if there is one.
---```lua
---local m, woken = vai.mutex(), vai.chan()
---local c = vai.cond(m)
---vai.go(function() m:with(function() woken:send(c:wait(1)) end) end)
---vai.sleep(0.01)
---c:signal()
---print(woken:recv()) --> true
---```
function cond:signal() end

---Wakes all goroutines that wait.
---```lua
---local m, wg = vai.mutex(), vai.waitgroup()
---local c = vai.cond(m)
---for _ = 1, 3 do
---	wg:go(function() m:with(function() c:wait(1) end) end)
---end
---vai.sleep(0.01)
---c:broadcast()
---print(wg:wait()) --> true
---```
function cond:broadcast() end

---A number of permits that goroutines acquire and release. Requests are served in their order, so small ones do not
---overtake a large one.
---@class vai.semaphore
local semaphore = {}

---```lua
---local places = vai.semaphore(2)
---local wg, busy = vai.waitgroup(), vai.chan(10)
---for i = 1, 10 do
---	wg:go(function()
---		places:acquire()
---		busy:send(i)
---		assert(#busy <= 2)
---		busy:recv()
---		places:release()
---	end)
---end
---print(wg:wait()) --> true
---```
---@param n integer permits
---@return vai.semaphore
---@nodiscard
function vai.semaphore(n) end

---Waits until `k` permits are free, and takes them. Raises if the semaphore does not have so many at all.
---```lua
---local s = vai.semaphore(3)
---print(s:acquire(2)) --> true
---print(s:acquire(2, 0.01)) --> nil timeout
---s:release(2)
---```
---@param k? integer default 1; 0 is there at once
---@param limit? vai.limit
---@return true?
---@return "timeout"?
function semaphore:acquire(k, limit) end

---```lua
---local s = vai.semaphore(1)
---print(s:try_acquire(), s:try_acquire()) --> true false
---s:release()
---```
---@param k? integer default 1
---@return boolean acquired
function semaphore:try_acquire(k) end

---Gives permits back. Any goroutine may do that. Raises if fewer than `k` are taken.
---```lua
---local s = vai.semaphore(1)
---print(pcall(s.release, s)) --> false semaphore released more than acquired
---```
---@param k? integer default 1
function semaphore:release(k) end

---Acquires permits and returns a guard for a to-be-closed variable. The guard releases them at the end of the block,
---also if an error or `task:cancel` ends the block. A guard in another variable releases when it is collected, or at
---the end of its goroutine.
---```lua
---local s = vai.semaphore(3)
---do
---	local held <close> = s:guard(2)
---	print(s:try_acquire(2)) --> false
---end
---print(s:try_acquire(3)) --> true
---```
---@param k? integer default 1
---@param limit? vai.limit
---@return vai.guard? held
---@return "timeout"?
function semaphore:guard(k, limit) end

---What the `guard` of a lock or of a semaphore returns.
---@class vai.guard

-- ---- at the end of a block ----

---Returns a value for a to-be-closed variable: `f(...)` is called at the end of the block, also if an error ends it.
---`f` and its arguments stay in this goroutine. `f` is called once, and not at all if the variable is not declared
---with `<close>`.
---```lua
---do
---	local undo <close> = vai.defer(print, "left")
---	print("in the block")
---end
--- --> in the block
--- --> left
---```
---@param f function
---@param ... any
---@return vai.deferred
---@nodiscard
function vai.defer(f, ...) end

---What `vai.defer` returns.
---@class vai.deferred

-- ---- shared data ----

---An integer of 64 bits that all goroutines share. Every call is one atomic operation: no change is lost, and a
---goroutine that sees a change also sees all that was written before it. It can be sent; the receiver has the same
---integer.
---@class vai.atomic
local atomic = {}

---```lua
---local hits, wg = vai.atomic(), vai.waitgroup()
---for _ = 1, 8 do
---	wg:go(function()
---		for _ = 1, 1000 do
---			hits:add(1)
---		end
---	end)
---end
---wg:wait()
---print(hits:get()) --> 8000
---```
---@param n? integer default 0
---@return vai.atomic
---@nodiscard
function vai.atomic(n) end

---```lua
---print(vai.atomic(3):get()) --> 3
---```
---@return integer
---@nodiscard
function atomic:get() end

---```lua
---local a = vai.atomic(3)
---a:set(4)
---print(a:get()) --> 4
---```
---@param n integer
function atomic:set(n) end

---Adds `n`. The sum wraps around, as in Lua.
---```lua
---print(vai.atomic(3):add(-5)) --> -2
---```
---@param n integer
---@return integer new
function atomic:add(n) end

---```lua
---local a = vai.atomic(3)
---print(a:swap(4), a:get()) --> 3 4
---```
---@param n integer
---@return integer old
function atomic:swap(n) end

---Sets the integer to `new` if it is `old`.
---```lua
---local a = vai.atomic(3)
---print(a:cas(3, 10), a:cas(3, 11), a:get()) --> true false 10
---```
---@param old integer
---@param new integer
---@return boolean done
function atomic:cas(old, new) end

---A table that all goroutines share. Keys are booleans, numbers and strings; a float with an integer value is the
---same key as the integer. Values are all that can be sent: `set` stores a copy and `get` returns a copy. So changing
---a table that `get` has returned does not change the map; use `update` for that.
---
---Each call is atomic, and no change is lost. `#m` is the number of keys, which is exact while no goroutine writes.
---`pairs(m)` goes over all that was in the map at one moment, in no particular order. A map can be sent; the receiver
---has the same map. A map that contains itself is never freed.
---@class vai.map
local map = {}

---```lua
---local ages = vai.map()
---ages:set("ada", 36)
---vai.async(function() ages:set("alan", 41) end):join()
---print(ages:get("ada"), ages:get("alan"), #ages) --> 36 41 2
---local sum = 0
---for name, age in pairs(ages) do
---	sum = sum + age
---end
---print(sum) --> 77
---```
---@return vai.map
---@nodiscard
function vai.map() end

---```lua
---print(vai.map():get("nobody")) --> nil
---```
---@param k boolean|number|string
---@return any value nil: the key is not there
---@nodiscard
function map:get(k) end

---`nil` removes the key.
---```lua
---local m = vai.map()
---m:set("list", { 1, 2, 3 })
---print(#m:get("list")) --> 3
---```
---@param k boolean|number|string
---@param v any
function map:set(k, v) end

---```lua
---local m = vai.map()
---m:set(1, "x")
---print(m:delete(1), m:delete(1)) --> x nil
---```
---@param k boolean|number|string
---@return any old
function map:delete(k) end

---Adds `n` to the key's value. A key that is not there counts as 0. Raises if the value is not a number.
---```lua
---local words = vai.map()
---for word in ("to be or not to be"):gmatch("%a+") do
---	words:add(word, 1)
---end
---print(words:get("be"), words:get("or")) --> 2 1
---```
---@param k boolean|number|string
---@param n number
---@return number new
function map:add(k, n) end

---Sets the key to `new` if its value equals `old`. nil, as `old` or as `new`, stands for a key that is not there.
---`old` must be a boolean, a number, a string, an object of vai's or nil; other values cannot be compared between
---goroutines, and raise.
---```lua
---local m = vai.map()
---print(m:cas("leader", nil, "me"), m:cas("leader", nil, "you")) --> true false
---print(m:cas("leader", "me", nil), m:get("leader")) --> true nil
---```
---@param k boolean|number|string
---@param old boolean|number|string|userdata|nil
---@param new any
---@return boolean done
function map:cas(k, old, new) end

---Removes all keys, at one moment.
---```lua
---local m = vai.map()
---m:set("a", 1)
---m:set("b", 2)
---m:clear()
---print(#m, m:get("a")) --> 0 nil
---```
function map:clear() end

---Sets the key to what `f` returns for its value. No lock is held while `f` runs: if another goroutine writes the key
---meanwhile, `f` is called again with the new value. If `f` raises, nothing is changed. If `f` itself sets the key
---each time, an error is raised after a hundred calls.
---```lua
---local m = vai.map()
---local function push(list)
---	list = list or {}
---	list[#list + 1] = vai.id()
---	return list
---end
---local wg = vai.waitgroup()
---for _ = 1, 10 do
---	wg:go(function() m:update("ids", push) end)
---end
---wg:wait()
---print(#m:get("ids")) --> 10
---```
---@param k boolean|number|string
---@param f fun(old: any): any
---@return any new
function map:update(k, f) end
---A value that is the same in every goroutine: it is equal to itself there, and the same key in tables. Sending it
---costs as little as sending a boolean. Use a symbol in place of a table that is made only to be compared with, since
---a table is sent as a copy, which equals no other table.
---
---The same name gives the same symbol in every goroutine, so a module that each goroutine requires has one symbol in
---all of them. Choose a name that no other module uses, such as `mymodule.null`. Without a name each call gives
---another symbol. For Lua symbols are light userdata. Names are kept until the process ends: at most 32768 names of
---at most 200 bytes.
---```lua
---local null = vai.symbol("example.null")
---local task = vai.async(function(row)
---	return row.email == null, ({ [null] = "none" })[row.email], row.email
---end, { name = "ann", email = null })
---local _, same, as_key, back = task:join()
---print(same, as_key, back == null, tostring(back)) --> true none true symbol example.null
---print(vai.symbol("example.null") == null, vai.symbol() == vai.symbol()) --> true false
---```
---@param name? string
---@return vai.symbol
---@nodiscard
function vai.symbol(name) end

---@class vai.symbol: lightuserdata

---Bytes outside all Lua heaps, shared by reference: sending one copies nothing. Places count from 1 on, as in strings.
---`sub` clips its places as `string.sub` does; all other methods raise where the bytes are out of range. `#b` is its size.
---
---Goroutines may read and write a buffer at the same time. If several write to the same bytes without agreeing on an
---order, each byte has one of the values that were written. `add64` and `cas64` are atomic: a goroutine that sees
---their result also sees what was written before.
---@class vai.buffer
local buffer = {}

---Makes a buffer of so many zero bytes, or of the bytes of a string.
---```lua
---local b = vai.buffer(4)
---vai.async(function() b:set(2, "xy") end):join()
---print(#b, (b:sub(1, -1):gsub("%z", "."))) --> 4 .xy.
---```
---@param n integer|string
---@return vai.buffer
---@nodiscard
function vai.buffer(n) end

---A string of the bytes from `i` to `j`, which are clipped as in `string.sub`.
---```lua
---print(vai.buffer("hello"):sub(2, 3), vai.buffer("hello"):sub(-3)) --> el llo
---```
---@param i integer
---@param j? integer default -1
---@return string
---@nodiscard
function buffer:sub(i, j) end

---Copies the bytes of a string or of another buffer to the places from `i` on. That may be a slice of the same bytes, also
---one that overlaps with these places.
---```lua
---local b = vai.buffer("hello")
---b:set(2, "ola")
---b:set(1, vai.buffer("J"))
---print(b:sub(1)) --> Jolao
---```
---@param i integer
---@param bytes string|vai.buffer
function buffer:set(i, bytes) end

---```lua
---print(vai.buffer("A"):byte(1)) --> 65
---```
---@param i integer
---@return integer
---@nodiscard
function buffer:byte(i) end

---Writes values as `string.pack` does, from the place `i` on. Returns the place behind them.
---```lua
---local b = vai.buffer(16)
---local at = b:pack(1, "<I4s2", 7, "text")
---print(at, b:unpack(1, "<I4s2")) --> 11 7 text 11
---```
---@param i integer
---@param format string
---@param ... any
---@return integer behind
function buffer:pack(i, format, ...) end

---Reads values as `string.unpack` does. The place behind them comes last.
---```lua
---print(vai.buffer("\1\2\3"):unpack(2, "<I2")) --> 770 4
---```
---@param i integer
---@param format string
---@return any ... the values, then the place behind them
function buffer:unpack(i, format) end

---Returns a buffer that shares the bytes from `i` to `j`. Its size does not change. If the whole buffer is made so
---small that bytes of the slice are gone, using the slice raises.
---```lua
---local b = vai.buffer("hello world")
---local world = b:slice(7)
---world:set(1, "W")
---print(b:sub(1), #world) --> hello World 5
---```
---@param i integer
---@param j? integer default: the last
---@return vai.buffer
---@nodiscard
function buffer:slice(i, j) end

---```lua
---local b = vai.buffer(4)
---b:fill(("x"):byte(), 2, 3)
---print(b:unpack(1, "bbbb")) --> 0 120 120 0 5
---```
---@param byte integer
---@param i? integer default 1
---@param j? integer default: the last
function buffer:fill(byte, i, j) end

---Changes the size. New bytes are 0. Raises for a slice, and while input or output uses the buffer.
---```lua
---local b = vai.buffer("hello")
---b:resize(2)
---print(b:sub(1)) --> he
---```
---@param n integer
function buffer:resize(n) end

---The 64 bits at the place `i`, which is a multiple of 8 plus 1 in the whole buffer, in the order of this machine.
---```lua
---local b = vai.buffer(16)
---b:pack(9, "j", -5)
---print(b:load64(9)) --> -5
---```
---@param i integer
---@return integer
---@nodiscard
function buffer:load64(i) end

---Adds to the 64 bits at `i`, as one operation.
---```lua
---local b, wg = vai.buffer(8), vai.waitgroup()
---for _ = 1, 4 do
---	wg:go(function() for _ = 1, 100 do b:add64(1, 1) end end)
---end
---wg:wait()
---print(b:load64(1)) --> 400
---```
---@param i integer
---@param n integer
---@return integer new
function buffer:add64(i, n) end

---Sets the 64 bits at `i` to `new` if they are `old`, as one operation.
---```lua
---local b = vai.buffer(8)
---print(b:cas64(1, 0, 5), b:cas64(1, 0, 6), b:load64(1)) --> true false 5
---```
---@param i integer
---@param old integer
---@param new integer
---@return boolean done
function buffer:cas64(i, old, new) end

---An immutable copy of a table, outside all Lua heaps, that every goroutine reads in place: nothing is copied when it
---is sent or captured, and a million records take the memory once. It is deep; what is shared stays shared, and circles
---stay circles. Keys are booleans, numbers and strings, values also tables, frozen ones among them, and vai's objects.
---Anything else (functions, coroutines, other userdata), and a table with a metatable, raises, naming the path.
---
---In Lua it is a table without contents whose accesses find what is frozen: `t.k`, `t[i]`, `#t`, `pairs`, `ipairs` and
---the functions that use these work as with any table. A frozen table is the same value in all places of a state, so
---that it can be compared and be a key.
---
---| | with a frozen table |
---| --- | --- |
---| `table.unpack` `table.concat` `table.move` from it, `ipairs`, `pairs`, `string.gsub` with it | as with others |
---| `table.insert` `table.remove` `table.sort` `table.move` into it, `t.k = v` | `attempt to change a frozen table` |
---| `next` `rawget` `rawlen` `rawequal` to a copy | see an empty table: use `vai.next`, `t[k]`, `#t` |
---| `rawset` | writes to this state's empty table, which hides the frozen value here: do not |
---| `setmetatable` | `cannot change a protected metatable`; `getmetatable` gives `"vai.frozen"` |
---| `string.format` `tostring` | `%s` shows it as `vai.frozen: 0x...` |
---
---A key that is read often costs as much as two or three accesses to a plain table, one that is not some ten. A module may
---return a frozen table: then it runs once, and `require` gives that one in every goroutine.
---```lua
---local config = vai.freeze({ port = 80, hosts = { "a", "b" } })
---local wg = vai.waitgroup()
---for i = 1, 2 do
---	wg:go(function()
---		assert(config.port == 80 and config.hosts[i] == ("ab"):sub(i, i))
---	end)
---end
---wg:wait()
---print(#config.hosts, select(2, vai.async(function() return config end):join()) == config) --> 2 true
---print(select(2, pcall(function() config.port = 81 end)):match("attempt.*")) --> attempt to change a frozen table
---```
---@param t table
---@return table frozen
---@nodiscard
function vai.freeze(t) end

---Returns an ordinary table with a deep copy of the contents.
---```lua
---local t = vai.thaw(vai.freeze({ 1, 2 }))
---t[3] = 3
---print(table.concat(t, " ")) --> 1 2 3
---```
---@param frozen table
---@return table
---@nodiscard
function vai.thaw(frozen) end

---As Lua's `next`, for frozen tables and others.
---```lua
---local t = vai.freeze({ "x" })
---print(vai.next(t), next(t)) --> 1 nil
---print(vai.next(t, 1)) --> nil
---```
---@param t table
---@param k? any
---@return any k
---@return any v
function vai.next(t, k) end

-- ---- contexts, groups, supervisors ----

---How long a call may wait: seconds, or a context.
---@alias vai.limit number|vai.context

---What can be over, for everything that is done on its behalf: as Go's. `vai.context()` is never done; its children are
---made by `with_cancel`, `with_timeout`, `with_deadline`, `with_value`, and are over at the latest when what they are
---made from is. A context is a limit of every call that waits. It can be sent, and is the same one there.
---@class vai.context
local context = {}

---```lua
---local ctx, cancel = vai.context():with_cancel()
---local worker = vai.async(function(ch)
---	return ch:recv(ctx)
---end, vai.chan())
---cancel()
---print(worker:join()) --> true nil canceled
---```
---@return vai.context
---@nodiscard
function vai.context() end

---Returns a child and the function `cancel` that ends it. Any goroutine may call `cancel(cause)`, it can be sent, and
---it may be called again: the first cause counts. When it returns all contexts below the child are over, too, and
---goroutines that waited with them are ready to run.
---```lua
---local ctx, cancel = vai.context():with_cancel()
---local child = ctx:with_cancel()
---cancel("no longer needed")
---print(child:err(), child:cause()) --> canceled no longer needed
---```
---@return vai.context ctx
---@return fun(cause?: any) cancel
---@nodiscard
function context:with_cancel() end

---As `with_cancel`; the child is also over after so many seconds.
---```lua
---local ctx = vai.context():with_timeout(0.01)
---print(vai.chan():recv(ctx)) --> nil deadline exceeded
---```
---@param seconds number
---@return vai.context ctx
---@return fun(cause?: any) cancel
---@nodiscard
function context:with_timeout(seconds) end

---As `with_cancel`; the child is also over at that time of `vai.now()`'s clock.
---```lua
---local ctx = vai.context():with_deadline(vai.now() + 0.01)
---print(ctx:done():recv()) --> nil closed
---```
---@param time number
---@return vai.context ctx
---@return fun(cause?: any) cancel
---@nodiscard
function context:with_deadline(time) end

---A child with a value under a key: a boolean, number, string or object of vai. Its other values are the parent's.
---```lua
---local ctx = vai.context():with_value("user", "ada"):with_value("n", 1)
---print(ctx:value("user"), ctx:value("n"), ctx:value("x")) --> ada 1 nil
---```
---@param key any
---@param value any what can be sent
---@return vai.context
---@nodiscard
function context:with_value(key, value) end

---A copy of the value under the key, or nil.
---```lua
---print(vai.context():with_value("list", { 1, 2 }):value("list")[2]) --> 2
---```
---@param key any
---@return any value
---@nodiscard
function context:value(key) end

---A channel for `select` that is closed when the context is over. The program cannot close it or send on it.
---```lua
---local ctx, cancel = vai.context():with_cancel()
---vai.timer(0.01, cancel)
---local i, _, err = vai.select { vai.chan(), ctx:done() }
---print(i, err) --> 2 closed
---```
---@return vai.channel
---@nodiscard
function context:done() end

---Why the context is over; nil while it is not.
---```lua
---local ctx, cancel = vai.context():with_cancel()
---print(ctx:err()) --> nil
---cancel()
---print(ctx:err()) --> canceled
---```
---@return "canceled"|"deadline exceeded"|nil
---@nodiscard
function context:err() end

---The cause that `cancel` was given; without one, what `err` returns.
---```lua
---local ctx, cancel = vai.context():with_cancel()
---cancel({ code = 7 })
---print(ctx:cause().code) --> 7
---```
---@return any
---@nodiscard
function context:cause() end

---When the context is over at the latest, on `vai.now()`'s clock; nil if it has no deadline.
---```lua
---local ctx = vai.context():with_timeout(60)
---print(ctx:deadline() > vai.now(), vai.context():deadline()) --> true nil
---```
---@return number? time
---@nodiscard
function context:deadline() end

---Runs `f(...)` as a goroutine when the context is over, or at once if it is over already. Returns a function that
---prevents this; it returns true if `f` was not started, and now never is.
---```lua
---local ctx, cancel = vai.context():with_cancel()
---local ch = vai.chan()
---ctx:after(function() ch:send("over") end)
---cancel()
---print(ch:recv()) --> over
---```
---@param f function
---@param ... any
---@return fun(): boolean stop
function context:after(f, ...) end

---Goroutines that belong together: they are waited for together, and the first error cancels the others at once. As a
---to-be-closed variable a group never leaves one running: a block that is left by an error cancels them, one that is left
---normally waits for them and raises the first error, unless `wait` has given it. A child in a C call is waited
---for. The group's context is over with the first error, or with the context that the group was made with; then all
---children are canceled, later ones, too. It is over as well once the group has ended.
---@class vai.group
local group = {}

---```lua
---local pages = vai.chan(10)
---do
---	local g <close> = vai.group()
---	for i = 1, 3 do
---		g:go(function() pages:send("page " .. i) end)
---	end
---end
---print(#pages) --> 3
---```
---@param ctx? vai.context
---@return vai.group
---@nodiscard
function vai.group(ctx) end

---Runs `f(...)` as a goroutine of the group. Waits while as many run as the limit allows. Raises once the group has
---ended.
---```lua
---local g = vai.group()
---local task = g:go(function(a, b) return a + b end, 2, 3)
---print(task:join()) --> true 5
---```
---@param f function
---@param ... any
---@return vai.task
function group:go(f, ...) end

---As `go`, but does not wait.
---```lua
---local g, free = vai.group(), vai.chan()
---g:limit(1)
---g:go(function() free:recv() end)
---print(g:try_go(print)) --> nil full
---free:send(true)
---print(g:wait()) --> true
---```
---@param f function
---@param ... any
---@return vai.task?
---@return "full"?
function group:try_go(f, ...) end

---Sets how many goroutines of the group run at once; nil: any number. With 0 no further one begins until the limit is
---raised: `go` waits for that, and `try_go` returns "full".
---```lua
---local g, busy = vai.group(), vai.chan(2)
---g:limit(2)
---for i = 1, 10 do
---	g:go(function()
---		assert(busy:try_send(i))
---		vai.yield()
---		busy:recv()
---	end)
---end
---print(g:wait()) --> true
---```
---@param n? integer
function group:limit(n) end

---The group's context, as a limit for the waits of the children. Once a child has failed, the context's cause is that
---child's error.
---```lua
---local g = vai.group()
---local ctx = g:context()
---g:go(error, "failed", 0)
---print(ctx:done():recv(1)) --> nil closed
---print(ctx:err(), ctx:cause(), g:wait() == nil) --> canceled failed true
---```
---@return vai.context
---@nodiscard
function group:context() end

---Waits for all children, and ends the group and its context. `task:join` of the task that failed returns the error
---with its traceback. If the context that the group was made with is over first, the error is why that context is
---over.
---```lua
---local g = vai.group()
---g:go(vai.sleep, 60)
---g:go(error, "failed", 0)
---local ok, err, task = g:wait()
---print(ok, err, task:status()) --> nil failed failed
---```
---@param limit? vai.limit
---@return true?
---@return any err the first error, or why it has not been waited for
---@return vai.task? task that failed with it
function group:wait(limit) end

---Runs `f(value, index)` for each value of a list, each as a goroutine of the group, and waits for these.
---```lua
---local g <close> = vai.group()
---g:limit(4)
---print(table.concat(g:map({ 1, 2, 3 }, function(v) return v * v end), " ")) --> 1 4 9
---print(g:map({ 1 }, function() error("failed", 0) end)) --> nil failed
---```
---@param list any[]
---@param f fun(value: any, index: integer): any
---@return any[]? results in the list's order
---@return any err the group's first error
function group:map(list, f) end

---@class vai.supervisor.options
---@field strategy? "one_for_one"|"one_for_all"|"rest_for_one" which children are started again when one has ended: that child, all of them, or that child and those after it. Default `"one_for_one"`
---@field max? integer how many restarts within `within` seconds are accepted; with one more the supervisor gives up. Default 3
---@field within? number default 5
---@field on_failure? fun(name: string, err: any, traceback: string?) called in the supervisor's goroutine when a child has failed or could not be started, in place of a line on stderr

---A goroutine that starts others, in order, and starts them again when they end: as Erlang's supervisors. Each start has
---fresh copies of the child's function and arguments. From the second restart in a row on it waits between them, from
---0.01 seconds to one. As a to-be-closed variable it is stopped at the end of the block.
---
---Each failure of a child is a line on stderr, or a call of `on_failure`, which the other children wait for: it should not take
---long. A supervisor that gives up always writes why, with the traceback of the child's error.
---@class vai.supervisor
local supervisor = {}

---```lua
---local s <close> = vai.supervisor { strategy = "one_for_one", max = 5, within = 10 }
---local jobs, results = vai.chan(), vai.chan()
---s:child { name = "worker", start = function()
---	for job in jobs do results:send(10 // job) end
---end }
---jobs:send(0) -- the worker fails, and is started again
---jobs:send(5)
---print(results:recv()) --> 2
---print(s:children()[1].restarts) --> 1
---```
---```text stderr
---vai: supervisor: child 'worker' failed: program.lua:4: attempt to divide by zero
---```
---@param options? vai.supervisor.options
---@return vai.supervisor
---@nodiscard
function vai.supervisor(options) end

---@class vai.supervisor.child
---@field name? string for `children`, reports and dumps; default `child 1` and so on
---@field start function|vai.supervisor the child's function; or a supervisor, which becomes the child
---@field args? any[] arguments of the function
---@field restart? "permanent"|"transient"|"temporary" whether the child is started again: always (the default), only if it has failed, or never. A temporary child that has ended is removed
---@field shutdown? number how many seconds a canceled child may take to end before that is forced. Default 5; a supervisor may take as long as its children

---Starts a child, as the last one. Raises once the supervisor has ended. A supervisor can be the child of one
---supervisor only, and not of one below itself. When it is started again its children are, too, and its handles refer
---to the new one.
---```lua
---local s <close> = vai.supervisor()
---local task = s:child { name = "sleeper", start = vai.sleep, args = { 60 } }
---print(task:status() ~= "done") --> true
---```
---@param child vai.supervisor.child
---@return vai.task
function supervisor:child(child) end

---A list of the children, in order: tables with `name`, `task`, `restarts` and `status`, which is `"running"`,
---`"restarting"`, `"stopped"`, `"done"` or `"failed"`. The list is empty once the supervisor has ended.
---```lua
---local s <close> = vai.supervisor()
---s:child { name = "sleeper", start = vai.sleep, args = { 60 } }
---local child = s:children()[1]
---print(child.name, child.restarts, child.status) --> sleeper 0 running
---```
---@return table[]
---@nodiscard
function supervisor:children() end

---Cancels the children, the last one first, waits until they have ended, and ends. May be called again. A supervisor
---that is itself a child is started again after that, as any child that ends, unless it is transient or temporary.
---```lua
---local s = vai.supervisor()
---s:child { start = vai.sleep, args = { 60 } }
---s:stop()
---print(s:wait()) --> true
---```
function supervisor:stop() end

---Waits until it has ended: `true` after `stop`, `nil` and the reason when it has given up.
---```lua
---local s = vai.supervisor { max = 1, within = 5 }
---s:child { name = "bad", start = function() error("no luck", 0) end }
---print(s:wait()) --> nil child 'bad' failed: no luck
---```
---```text stderr
---vai: supervisor: child 'bad' failed: no luck
---vai: supervisor: child 'bad' failed: no luck
---vai: supervisor gives up after 1 restarts within 5 s: child 'bad' failed: no luck
---stack traceback:
---	[C]: in function 'error'
---	program.lua:2: in function <program.lua:2>
---	[C]: in ?
---```
---@param limit? vai.limit
---@return true?
---@return string? reason
function supervisor:wait(limit) end

-- ---- time ----

---Waits for so many seconds. With 0 or less, other goroutines that are ready run once.
---```lua
---local before = vai.now()
---vai.sleep(0.01)
---print(vai.now() - before >= 0.01) --> true
---```
---@param seconds number
function vai.sleep(seconds) end

---Seconds of a clock that never goes back. Its zero has no meaning.
---```lua
---print(math.type(vai.now())) --> float
---```
---@return number
---@nodiscard
function vai.now() end

---A channel that gets `vai.now()` once: a timeout for several calls of `select` together.
---```lua
---local over = vai.after(0.01)
---print((vai.select({ vai.chan(), over }))) --> 2
---```
---@param seconds number
---@return vai.channel
---@nodiscard
function vai.after(seconds) end

---`local timer <close> = vai.timer(...)` stops it at the end of the block.
---@class vai.timer
local timer = {}

---Runs `f(...)` as a goroutine later, as by `vai.go`.
---```lua
---local ch = vai.chan()
---vai.timer(0.01, function(v) ch:send(v) end, "now")
---print(ch:recv()) --> now
---```
---@param seconds number
---@param f function
---@param ... any
---@return vai.timer
function vai.timer(seconds, f, ...) end

---```lua
---local timer = vai.timer(60, print, "never")
---print(timer:stop(), timer:stop()) --> true false
---```
---@return boolean stopped true: it was pending and does not fire
function timer:stop() end

---Starts the timer anew, whether it was stopped, has fired or is pending.
---```lua
---local ch = vai.chan()
---local timer = vai.timer(60, function() ch:send("soon") end)
---print(timer:reset(0.01)) --> true
---print(ch:recv()) --> soon
---```
---@param seconds number
---@return boolean pending it was pending
function timer:reset(seconds) end

---`local ticker <close> = vai.ticker(...)` stops it at the end of the block.
---@class vai.ticker
local ticker = {}

---Sends `vai.now()` into its channel again and again; a slow receiver misses ticks. It ticks until it is stopped
---or nobody holds it any more.
---```lua
---local ticker = vai.ticker(0.01)
---for _ = 1, 3 do
---	ticker:chan():recv()
---	print("tick")
---end
---ticker:stop()
--- --> tick
--- --> tick
--- --> tick
---```
---@param seconds number
---@return vai.ticker
---@nodiscard
function vai.ticker(seconds) end

---The channel, of capacity 1. Stopping does not close it.
---```lua
---local ticker = vai.ticker(0.01)
---print(type(ticker:chan():recv())) --> number
---```
---@return vai.channel
---@nodiscard
function ticker:chan() end

---A ticker is no channel: raises, and says where its channel is.
---```lua
---local ticker = vai.ticker(60)
---print(select(2, pcall(ticker.recv, ticker))) --> a ticker is no channel (ticker:chan() is one)
---```
function ticker:recv() end

---```lua
---local ticker = vai.ticker(60)
---print(ticker:stop(), ticker:stop()) --> true false
---```
---@return boolean stopped it was running
function ticker:stop() end

---Makes the ticker tick every so many seconds from now on, also if it was stopped.
---```lua
---local ticker = vai.ticker(60)
---ticker:reset(0.01)
---print(ticker:chan():recv() <= vai.now()) --> true
---```
---@param seconds number
function ticker:reset(seconds) end

-- ---- network ----
-- Everything here parks the goroutine that waits and never a thread. Where it takes a limit, that is in seconds:
-- 0 does not wait, and what is there wins. A call that ends for its limit gives `nil, "timeout"`; one that has been
-- closed, meanwhile or before, `nil, "closed"`; an error of the system `nil`, a message and its name, as
-- `"ECONNREFUSED"`. Connections, listeners and packet sockets can be sent to other goroutines and are the same there.
-- Closing one twice does nothing. One that nobody has any more is closed by the collector.
--
-- An address is `"host:port"` (`"[::1]:80"`, `":80"`; the host a name or numbers, the port a number or a service's
-- name), for Unix sockets a path, or `"@name"` of the abstract ones of Linux.

---@class vai.net
vai.net = {}

---Connects. The network is `"tcp"`, `"tcp4"`, `"tcp6"`, `"udp"`, `"udp4"`, `"udp6"`, `"unix"` or `"unixgram"`. The addresses
---of a name are tried as RFC 8305 says: families in turn, a quarter of a second apart, the first that answers wins.
---Without a host it is this machine. A connection of datagrams (`"udp"`) reads and writes one datagram a call. Where
---nobody listens at a port of this machine's the system may pick just that one for the client, and connect it to itself:
---that is refused, too.
---```lua
---local l = vai.net.listen("tcp", "127.0.0.1:0")
---vai.go(function()
---	local c = l:accept()
---	c:write("hello, ", c:read("l"), "\n")
---	c:close()
---end)
---local c = assert(vai.net.dial("tcp", l:addr(), 5))
---c:write("world\n")
---print(c:read("a")) --> hello, world
---```
---@param network string
---@param address string
---@param limit? vai.limit
---@return vai.connection?
---@return string? message
---@return string? code
function vai.net.dial(network, address, limit) end

---Listens for connections: `"tcp"`, `"tcp4"`, `"tcp6"`, `"unix"`. Port 0 is one that is free, without a host it is all
---addresses of this machine. Options: `backlog`, connections that wait to be accepted; `reuseport`, several listeners
---on one address take turns; `mode`, the permissions of a Unix socket's file, which goes when the listener is closed;
---`keepalive`, of the connections that are accepted, as `connection:set` takes it.
---```lua
---local l = assert(vai.net.listen("tcp", "127.0.0.1:0"))
---print(l:addr():match("^127%.0%.0%.1:%d+$") ~= nil) --> true
---print(select(3, vai.net.listen("tcp", l:addr()))) --> EADDRINUSE
---```
---@param network string
---@param address string
---@param options? table
---@return vai.listener?
---@return string? message
---@return string? code
function vai.net.listen(network, address, options) end

---A socket for datagrams that is connected to nobody: `"udp"`, `"udp4"`, `"udp6"`, `"unixgram"`.
---```lua
---local a = vai.net.packet("udp", "127.0.0.1:0")
---local b = vai.net.packet("udp", "127.0.0.1:0")
---a:send_to("ping", b:local_addr())
---print((b:recv_from())) --> ping
---```
---@param network string
---@param address string
---@return vai.packet?
---@return string? message
---@return string? code
function vai.net.packet(network, address) end

---The addresses of a host, as a list of strings, in the order of the system's preference.
---```lua
---print(vai.net.lookup("127.0.0.1")[1]) --> 127.0.0.1
---```
---@param host string
---@param limit? vai.limit
---@return string[]?
---@return string? message
---@return string? code
function vai.net.lookup(host, limit) end

---The names of an address that is given in numbers, as a list.
---```lua
---local names = vai.net.lookup_addr("127.0.0.1")
---print(#names > 0) --> true
---```
---@param address string
---@param limit? vai.limit
---@return string[]?
---@return string? message
---@return string? code
function vai.net.lookup_addr(address, limit) end

---Two connections that are each other's end.
---```lua
---local a, b = vai.net.pipe()
---a:write("there")
---print(b:read()) --> there
---```
---@return vai.connection
---@return vai.connection
function vai.net.pipe() end

---Runs `f(conn)` as a goroutine once a connection of the listener has sent its first bytes. Until then, and after
---`conn:idle()`, a connection is a record of some hundred bytes: no goroutine, no Lua state, no buffer. One that ends
---without a word is closed. `f` is sent as `vai.go` sends it. An error that it does not catch, as that of `c:lines()` when
---the peer has reset the connection, ends that goroutine, and its connection with it where nobody else has it; the server goes
---on. The error is reported on stderr with its traceback, unless `vai.on_panic`'s function gets it or there is the option
---`on_error(err, conn)`, which is called in its place, in the same goroutine, with the connection that `f` was called with;
---its own errors are reported.
---Options: `idle`, how many seconds a connection may wait so before it is closed (for ever). With `head = bytes` a goroutine
---starts once a whole head has come, lines up to an empty one, all of them with CR LF; until then its bytes are kept
---without one. So it does also where there are more bytes than that or a line ends otherwise, and `head_limit` seconds
---after the head has begun (for ever); `c:idle()` is `nil, "timeout"` then. `called` is for who wraps a function of somebody
---else's in `f`: a list of such functions, whose writes into captured tables are warned of as those of `f` are.
---```lua
---local l = vai.net.listen("tcp", "127.0.0.1:0")
---local server = vai.net.serve(l, function(c)
---	c:write("you said ", (c:read("l")), "\n")
---	c:idle()
---end)
---local c = vai.net.dial("tcp", l:addr())
---c:write("one\n")
---print(c:read("l")) --> you said one
---c:write("two\n")
---print(c:read("l")) --> you said two
---print(server:shutdown(5)) --> true
---```
---@param listener vai.listener
---@param f fun(conn: vai.connection)
---@param options? table
---@return vai.server
function vai.net.serve(listener, f, options) end

---A stream of bytes to somebody. Its directions are independent: one goroutine may read while another writes. In one
---direction the calls of several goroutines take turns, each whole.
---@class vai.connection
local connection = {}

---Reads as a file does: with a number so many bytes, fewer at the end; `"l"` a line without its end, `"L"` with it, `"a"`
---all until the end; with nothing what is there, at least a byte. At the end it is `nil`, for `"a"` the empty string. A
---line or all that is longer than `c:max()` gives `nil, "too long"`. What had come before a limit or an end by
---`task:cancel` stays for the next call.
---```lua
---local a, b = vai.net.pipe()
---a:write("first\nsecond\nand the rest")
---print(b:read("l")) --> first
---print(b:read(3)) --> sec
---print(b:read("l")) --> ond
---print(b:read(20, 0.01)) --> nil timeout
---a:close()
---print(b:read("a")) --> and the rest
---print(b:read()) --> nil
---```
---@param what? string|integer
---@param limit? vai.limit
---@return string?
---@return string? message
---@return string? code
function connection:read(what, limit) end

---Reads what is there, at least a byte, to the places `i` to `j` of a buffer, by default all, and returns how many bytes
---that were; `nil` at the end. What an earlier read has left over comes first; all else goes from the system to the buffer
---without a copy. The buffer cannot be resized meanwhile.
---```lua
---local a, b = vai.net.pipe()
---local bytes = vai.buffer(4)
---a:write("abcdef")
---print(b:read_into(bytes), bytes:sub(1, 4)) --> 4 abcd
---print(b:read_into(bytes, 3), bytes:sub(1, 4)) --> 2 abef
---```
---@param buffer vai.buffer
---@param i? integer
---@param j? integer
---@param limit? vai.limit
---@return integer? n
---@return string? message
---@return string? code
function connection:read_into(buffer, i, j, limit) end

---Writes all of it and returns the connection, or `nil`, a message, the error's name if it is one of the system, and how
---many bytes went. It waits while the peer does not read; the limit is the write deadline, or that of `c:with(limit)`.
---The bytes of a buffer go to the system without a copy, and it cannot be resized until they are written.
---What several goroutines write does not mix. A write that did not end leaves a part of it sent.
---```lua
---local a, b = vai.net.pipe()
---a:write("x = ", 42, "\n"):write("y\n")
---print(b:read("l")) --> x = 42
---b:close()
---print(a:write("nobody reads")) --> nil broken pipe EPIPE 0
---```
---@param ... string|number|vai.buffer
---@return vai.connection?
---@return string? message
---@return string? code
---@return integer? written
function connection:write(...) end

---As `c:with(limit):write(...)`, without another object.
---```lua
---local a, b = vai.net.pipe()
---print(a:write_within(0.01, ("x"):rep(10000000)) == nil) --> true
---```
---@param limit vai.limit?
---@param ... string|number
---@return vai.connection?
---@return string? message
---@return string? code
---@return integer? written
function connection:write_within(limit, ...) end

---For `for line in c:lines() do`. It raises where `read` would give a message, so also when the client resets the connection:
---servers use `read`.
---```lua
---local a, b = vai.net.pipe()
---a:write("one\ntwo\n")
---a:close()
---for line in b:lines() do
---	print(line)
---end
--- --> one
--- --> two
---```
---@return function
function connection:lines() end

---Makes what comes before the first byte, where there is such a thing: TLS's handshake. Reads and writes do that by
---themselves; a `select` takes a connection that has not shaken hands for a ready one.
---```lua
---local a = vai.net.pipe()
---print(a:handshake() == a) --> true
---```
---@param limit? vai.limit
---@return vai.connection?
---@return string? message
---@return string? code
function connection:handshake(limit) end

---What there is to know of a TLS connection: `version`, `cipher`, `alpn`, `resumed`, `peer` (`subject`, `issuer`,
---`not_after` in seconds since 1970, `names`), `error`. Nothing for others.
---```lua
---print((vai.net.pipe()):info()) --> nil
---```
---@return table?
function connection:info() end

---Puts bytes back: the next reads give them first. For one who has read more than was his, or looks at the first bytes
---to decide who gets the connection. Nothing is put back while another goroutine reads.
---```lua
---local a, b = vai.net.pipe()
---a:write("GET /")
---local first = b:read(3)
---b:unread(first)
---print(first, b:read(5)) --> GET	GET /
---```
---@param bytes string
---@return vai.connection?
---@return string? message
function connection:unread(bytes) end

---Writes `n` bytes of an open file from offset `at` on, behind the string `head`, as one write: no other goroutine's
---bytes come in between. Plain sockets get them from the system without a copy (sendfile). The file's own position
---stays. Results as of `write`; a file that has less gives `nil, "the file has ended"` and what was written. A file that
---others are sent should be replaced (`vai.fs.write_file` with `atomic`), never written over: bytes that the system holds
---for a peer would change.
---```lua
---vai.fs.write_file("digits.txt", "0123456789")
---local f = vai.fs.open("digits.txt")
---local a, b = vai.net.pipe()
---a:send_file(f, 2, 3, "digits: ")
---a:close()
---print(b:read("a")) --> digits: 234
---f:close()
---```
---@param file vai.file
---@param at? integer offset (0)
---@param n? integer bytes (the rest of the file)
---@param head? string
---@param limit? vai.limit
---@return vai.connection?
---@return string? message
---@return string? code
---@return integer? written where it failed
function connection:send_file(file, at, n, head, limit) end

---Bounds lines and `"a"` to so many bytes: 1 MiB and 64 MiB unless it is called.
---```lua
---local a, b = vai.net.pipe()
---b:max(4)
---a:write("longer\n")
---print(b:read("l")) --> nil too long
---```
---@param bytes integer
---@return vai.connection
function connection:max(bytes) end

---The same connection, each call of which has this limit unless it is given another; `nil` is none.
---```lua
---local a, b = vai.net.pipe()
---print(b:with(0.01):read("l")) --> nil timeout
---```
---@param limit? vai.limit
---@return vai.connection
function connection:with(limit) end

---Closes it; everybody who waits in it, in whatever goroutine, gets `nil, "closed"`. `local c <close>` does it, too. It
---returns when they have let go of it, so that its descriptor is free. Closing it again does no harm. A TLS client that has
---written and heard nothing yet waits, at most a second, for the server's session tickets: with them unread the system would
---throw away what it has still to send.
---```lua
---local a, b = vai.net.pipe()
---local reader = vai.async(function() return b:read() end)
---b:close()
---print(reader:join()) --> true nil closed
---print(a:read()) --> nil
---```
function connection:close() end

---Ends the direction towards the peer, who reads the end once all is read; reading goes on.
---```lua
---local a, b = vai.net.pipe()
---a:write("question")
---a:close_write()
---b:write("answer to ", b:read("a"))
---print(a:read()) --> answer to question
---```
---@param limit? vai.limit
---@return boolean?
---@return string? message
function connection:close_write(limit) end

---Ends the direction from the peer: who reads gets `nil, "closed"`; writing goes on.
---```lua
---local a, b = vai.net.pipe()
---a:close_read()
---print(a:read()) --> nil closed
---print(a:write("still here") == a) --> true
---```
---@return boolean?
---@return string? message
function connection:close_read() end

---Gives a connection of `vai.net.serve` back to its server: when more comes, or lies in its buffer already, a new
---goroutine runs the server's function with it. Who called it does not use it any more. `nil` where it has ended, and
---`nil, "closed"` where the server is being closed: it is closed then. `nil, "timeout"` where it has begun a head which
---has not come whole within the server's `head_limit`: it is the caller's still.
---```lua
---local l = vai.net.listen("tcp", "127.0.0.1:0")
---local ids = vai.chan(2)
---vai.net.serve(l, function(c)
---	ids:send(vai.id())
---	c:read("l")
---	c:idle()
---end)
---vai.net.dial("tcp", l:addr()):write("one\ntwo\n")
---print(ids:recv() ~= ids:recv()) --> true
---```
---@return boolean?
---@return string? message
function connection:idle() end

---For a goroutine of `vai.net.serve` that is done with its connection (which it has closed, or given back by `c:idle()`): the
---next connection of the same server that has something to read, without a new goroutine and its start. `nil, "timeout"`
---where there is none within the limit; `nil, "closed"` where the server is being closed. What the function leaves in
---globals is there for the next connection.
---```lua
---local l = vai.net.listen("tcp", "127.0.0.1:0")
---vai.net.serve(l, function(c)
---	repeat
---		c:write(c:read("l"):upper(), "\n")
---		c:idle()
---		c = c:next(1)
---	until not c -- it ends where there has been nothing to do for a second
---end)
---local function ask(word)
---	local c <close> = vai.net.dial("tcp", l:addr())
---	return c:write(word, "\n"):read("l")
---end
---print(ask "one", ask "two") --> ONE TWO
---```
---@param limit? vai.limit
---@return vai.connection?
---@return string? message
function connection:next(limit) end

---From this time on, of `vai.now`'s clock, reads and writes that would wait give `nil, "timeout"`; it holds for those that wait
---already, too. `nil` is none. What is there can still be read.
---```lua
---local a, b = vai.net.pipe()
---b:set_deadline(vai.now() + 0.01)
---print(b:read()) --> nil timeout
---b:set_deadline()
---a:write("x")
---print(b:read()) --> x
---```
---@param time? number
function connection:set_deadline(time) end

---`set_deadline` for reads.
---```lua
---local a, b = vai.net.pipe()
---b:set_read_deadline(vai.now())
---print(b:read()) --> nil timeout
---```
---@param time? number
function connection:set_read_deadline(time) end

---`set_deadline` for writes.
---```lua
---local a, b = vai.net.pipe()
---a:set_write_deadline(vai.now() + 0.01)
---local ok, why = a:write(("x"):rep(10000000))
---print(ok, why) --> nil timeout
---```
---@param time? number
function connection:set_write_deadline(time) end

---```lua
---local l = vai.net.listen("tcp", "127.0.0.1:0")
---local c = vai.net.dial("tcp", l:addr())
---print(c:local_addr() == l:accept():remote_addr()) --> true
---```
---@return string?
---@return string? message
function connection:local_addr() end

---The peer's address, also after a reset. `nil, "closed"` once the connection is closed.
---```lua
---local l = vai.net.listen("tcp", "127.0.0.1:0")
---local c = vai.net.dial("tcp", l:addr())
---print(c:remote_addr() == l:addr()) --> true
---```
---@return string?
---@return string? message
function connection:remote_addr() end

---Sets an option of the socket: `"nodelay"` (on for TCP), `"broadcast"` (on for UDP): true or false; `"keepalive"` (on for
---TCP, 15): seconds of silence after which the system asks the peer whether it is still there, and between two such
---questions (after nine without an answer reads and writes give `ETIMEDOUT`), or false, or true for the seconds that it has;
---`"rcvbuf"`, `"sndbuf"`: bytes; `"linger"`: seconds that the system goes on to send after `close`, or false.
---```lua
---local l = vai.net.listen("tcp", "127.0.0.1:0")
---local c = vai.net.dial("tcp", l:addr())
---c:set("keepalive", 60)
---print(c:get("keepalive")) --> true 60
---print(c:get("nodelay"), c:get("linger")) --> true false
---```
---@param option string
---@param value boolean|number
---@return boolean?
---@return string? message
---@return string? code
function connection:set(option, value) end

---```lua
---local a = vai.net.pipe()
---print(a:get("linger")) --> false
---```
---@param option string
---@return boolean|integer?
---@return string? message
---@return string? code
function connection:get(option) end

---What waits for connections. `for c in l do` accepts one after the other until it is closed.
---@class vai.listener
---@operator call: vai.connection
local listener = {}

---Waits for the next connection. Where the process is out of descriptors it tells so once on stderr, waits a little longer
---each time, and goes on when there are some.
---```lua
---local l = vai.net.listen("tcp", "127.0.0.1:0")
---print(l:accept(0.01)) --> nil timeout
---local c = vai.net.dial("tcp", l:addr())
---print(l:accept():remote_addr() == c:local_addr()) --> true
---```
---@param limit? vai.limit
---@return vai.connection?
---@return string? message
---@return string? code
function listener:accept(limit) end

---```lua
---print(vai.net.listen("unix", "@vai-example"):addr()) --> @vai-example
---```
---@return string?
---@return string? message
function listener:addr() end

---Everybody who waits in `accept` gets `nil, "closed"`; connections that were accepted go on. When it returns the
---address is free: `listen` can have it again.
---```lua
---local l = vai.net.listen("tcp", "127.0.0.1:0")
---vai.go(function() l:close() end)
---for c in l do
---	c:close()
---end
---print "closed" --> closed
---```
function listener:close() end

---As a connection's, for `accept`.
---```lua
---local l = vai.net.listen("tcp", "127.0.0.1:0")
---l:set_deadline(vai.now() + 0.01)
---print(l:accept()) --> nil timeout
---```
---@param time? number
function listener:set_deadline(time) end

---What `vai.net.serve` has started.
---@class vai.server
local server = {}

---Accepts who has connected so far, then closes the listener and the connections that wait for bytes, and waits until those
---that goroutines have are closed. A connection that has sent nothing yet has a second to do so. Where another listener
---shares the address (`reuseport`), new connections go there, and none is lost.
---```lua
---local l = vai.net.listen("tcp", "127.0.0.1:0")
---local begun, done = vai.chan(), vai.chan()
---local server = vai.net.serve(l, function(c)
---	begun:send(c:read("l"))
---	done:recv()
---	c:close()
---end)
---local c = vai.net.dial("tcp", l:addr())
---c:write("work\n")
---print(begun:recv(), server:shutdown(0)) --> work nil timeout
---done:close()
---print(server:shutdown(5)) --> true
---```
---@param limit? vai.limit
---@return boolean?
---@return string? message
function server:shutdown(limit) end

---Closes the listener and all connections, also those that goroutines have. When it returns the address is free.
---```lua
---local l = vai.net.listen("tcp", "127.0.0.1:0")
---local server = vai.net.serve(l, print)
---local c = vai.net.dial("tcp", l:addr())
---server:close()
---print(server:count(), l:accept()) --> 0 nil closed
---```
function server:close() end

---How many of its connections are open.
---```lua
---local l = vai.net.listen("tcp", "127.0.0.1:0")
---print(vai.net.serve(l, print):count()) --> 0
---```
---@return integer
function server:count() end

---A socket for datagrams.
---@class vai.packet
local packet = {}

---Waits for a datagram: its bytes, whom it is from, and whether some of it were cut off (beyond 64 KiB).
---```lua
---local p = vai.net.packet("udp", "127.0.0.1:0")
---p:send_to("to myself", p:local_addr())
---local data, from, truncated = p:recv_from()
---print(data, from == p:local_addr(), truncated) --> to myself true false
---```
---@param limit? vai.limit
---@return string?
---@return string? address_or_message
---@return boolean|string? truncated_or_code
function packet:recv_from(limit) end

---Sends one datagram. The address is in numbers: `vai.net.lookup` gives those of a name.
---```lua
---local p = vai.net.packet("udp", "127.0.0.1:0")
---print(p:send_to("hello", "127.0.0.1:9")) --> true
---```
---@param data string
---@param address string
---@param limit? vai.limit
---@return boolean?
---@return string? message
---@return string? code
function packet:send_to(data, address, limit) end

---```lua
---print(vai.net.packet("unixgram", "@vai-example-datagrams"):local_addr()) --> @vai-example-datagrams
---```
---@return string?
---@return string? message
function packet:local_addr() end

---Everybody who waits in it gets `nil, "closed"`. When it returns the address is free.
---```lua
---local p = vai.net.packet("udp", "127.0.0.1:0")
---p:close()
---print(p:recv_from()) --> nil closed
---```
function packet:close() end

---As a connection's.
---```lua
---local p = vai.net.packet("udp", "127.0.0.1:0")
---p:set_deadline(vai.now() + 0.01)
---print(p:recv_from()) --> nil timeout
---```
---@param time? number
function packet:set_deadline(time) end

---As a connection's.
---```lua
---local p = vai.net.packet("udp", "127.0.0.1:0")
---p:set_read_deadline(vai.now() + 0.01)
---print(p:recv_from()) --> nil timeout
---```
---@param time? number
function packet:set_read_deadline(time) end

---As a connection's.
---```lua
---local p = vai.net.packet("udp", "127.0.0.1:0")
---p:set_write_deadline(vai.now())
---print(p:send_to("there is room", p:local_addr())) --> true
---```
---@param time? number
function packet:set_write_deadline(time) end

-- ---- files ----
-- A file call sleeps, if it has to, on the thread that made it; the goroutine's processor goes on with others meanwhile.
-- Errors are `nil`, a message with the path, and the error's name, as `"ENOENT"`. A call on a file is whole: others of
-- the same file wait their turn. Types are `"file"`, `"directory"`, `"link"`, `"fifo"`, `"socket"`, `"char"`, `"block"`
-- and `"unknown"`. A file call takes no limit and is not cut short by a cancel: that ends the goroutine after it.

---@class vai.fs
vai.fs = {}

---Opens a file. The mode is as `io.open`'s, `"r"` if it is not given; with an `x` (`"wx"`) the file must not be there yet.
---What is written is not buffered. A pipe or terminal that is opened by its name parks the goroutine, never a thread,
---once it is open.
---```lua
---local f <close> = assert(vai.fs.open("notes.txt", "w+"))
---f:write("one\n", 2, "\n"):seek("set")
---print(f:read("l"), f:read("a")) --> one 2
---print(select(3, vai.fs.open("/no/such/file"))) --> ENOENT
---```
---@param path string
---@param mode? string
---@param permissions? integer of a file that is made, before umask: `0666` in octal if not given
---@return vai.file?
---@return string? message
---@return string? code
function vai.fs.open(path, mode, permissions) end

---Reads a whole file.
---```lua
---vai.fs.write_file("notes.txt", "all of it")
---print(vai.fs.read_file("notes.txt")) --> all of it
---```
---@param path string
---@return string?
---@return string? message
---@return string? code
function vai.fs.read_file(path) end

---Makes a file with these contents, or replaces those that are there. Options: `mode`, the permissions of a file that is
---made; `atomic`, whoever reads sees the old contents or the new ones, never a part, also after a crash: a new file is
---written, brought to the disk and renamed. It keeps the old one's permissions unless `mode` says others. umask takes from
---`mode` in both cases.
---```lua
---print(vai.fs.write_file("notes.txt", "new", { atomic = true })) --> true
---```
---@param path string
---@param data string|vai.buffer
---@param options? table
---@return boolean?
---@return string? message
---@return string? code
function vai.fs.write_file(path, data, options) end

---Returns the properties of a file: a table with `type`, `size`, `mode` (permissions), `uid`, `gid`, `nlink`, `dev`,
---`ino`, `atime`, `mtime`, `ctime` (seconds since 1970).
---```lua
---local st = vai.fs.stat("/tmp")
---print(st.type, st.size >= 0, st.mtime <= os.time() + 1) --> directory true true
---```
---@param path string
---@return table?
---@return string? message
---@return string? code
function vai.fs.stat(path) end

---As `stat`; for a symbolic link, the properties of the link itself.
---```lua
---print(vai.fs.lstat("/proc/self").type, vai.fs.stat("/proc/self").type) --> link directory
---```
---@param path string
---@return table?
---@return string? message
---@return string? code
function vai.fs.lstat(path) end

---For `for name, type in vai.fs.scandir(path) do`: what a directory holds, by name.
---```lua
---vai.fs.mkdirs("data/sub")
---vai.fs.write_file("data/file", "")
---for name, type in assert(vai.fs.scandir("data")) do
---	print(name, type)
---end
--- --> file file
--- --> sub directory
---```
---@param path string
---@return function?
---@return any state or the message
---@return string? code
function vai.fs.scandir(path) end

---For `for path, type in vai.fs.walk(path) do`: the path itself and, if it is a directory, all that is below it, a
---directory before its contents, in the order of names. Links are not followed, but for the path itself. A directory
---that cannot be read comes with a message and a code behind its type.
---```lua
---vai.fs.mkdirs("data/a/b")
---vai.fs.write_file("data/a/file", "")
---for path, type in assert(vai.fs.walk("data")) do
---	print(path, type)
---end
--- --> data directory
--- --> data/a directory
--- --> data/a/b directory
--- --> data/a/file file
---```
---@param path string
---@return function?
---@return any state or the message
---@return string? code
function vai.fs.walk(path) end

---```lua
---print(vai.fs.mkdir("data")) --> true
---print(select(3, vai.fs.mkdir("data"))) --> EEXIST
---```
---@param path string
---@param permissions? integer before umask: `0777` in octal if not given
---@return boolean?
---@return string? message
---@return string? code
function vai.fs.mkdir(path, permissions) end

---Makes a directory and all above it that are missing. It is no error if the directory exists.
---```lua
---print(vai.fs.mkdirs("data/a/b"), vai.fs.mkdirs("data/a/b")) --> true true
---```
---@param path string
---@param permissions? integer before umask: `0777` in octal if not given
---@return boolean?
---@return string? message
---@return string? code
function vai.fs.mkdirs(path, permissions) end

---Renames a file or directory. A file that has the new name is replaced.
---```lua
---vai.fs.write_file("new", "")
---print(vai.fs.rename("new", "old"), (vai.fs.stat("new"))) --> true nil
---```
---@param from string
---@param to string
---@return boolean?
---@return string? message
---@return string? code
function vai.fs.rename(from, to) end

---Removes a file, a link or an empty directory.
---```lua
---vai.fs.write_file("notes.txt", "")
---print(vai.fs.remove("notes.txt")) --> true
---print(select(3, vai.fs.remove("notes.txt"))) --> ENOENT
---```
---@param path string
---@return boolean?
---@return string? message
---@return string? code
function vai.fs.remove(path) end

---Removes a file, or a directory with all that is in it. Links are removed, not followed. It is no error if there is
---nothing of that name.
---```lua
---vai.fs.mkdirs("data/a/b")
---print(vai.fs.remove_all("data"), vai.fs.remove_all("data")) --> true true
---```
---@param path string
---@return boolean?
---@return string? message
---@return string? code
function vai.fs.remove_all(path) end

---Gives a file a second name.
---```lua
---vai.fs.write_file("one", "")
---vai.fs.link("one", "two")
---print(vai.fs.stat("one").nlink) --> 2
---```
---@param from string
---@param to string
---@return boolean?
---@return string? message
---@return string? code
function vai.fs.link(from, to) end

---Makes a symbolic link named `to` that points to `from`.
---```lua
---print(vai.fs.symlink("anything", "link"), vai.fs.readlink("link")) --> true anything
---```
---@param from string
---@param to string
---@return boolean?
---@return string? message
---@return string? code
function vai.fs.symlink(from, to) end

---Returns the path that a symbolic link points to.
---```lua
---print(select(3, vai.fs.readlink("/tmp"))) --> EINVAL
---```
---@param path string
---@return string?
---@return string? message
---@return string? code
function vai.fs.readlink(path) end

---Returns the absolute path, without links and dots.
---```lua
---print(vai.fs.realpath("/usr/../usr/.")) --> /usr
---```
---@param path string
---@return string?
---@return string? message
---@return string? code
function vai.fs.realpath(path) end

---Makes a new file that only this user may read and write. Returns the open file and its path. The template ends in
---`XXXXXX`.
---```lua
---local f, path = vai.fs.mkstemp()
---f:write("scratch"):close()
---print(vai.fs.read_file(path), vai.fs.remove(path)) --> scratch true
---```
---@param template? string `"/tmp/vai.XXXXXX"` if not given
---@return vai.file?
---@return string path_or_message
---@return string? code
function vai.fs.mkstemp(template) end

---Copies a file's contents and permissions. A file that exists is overwritten.
---```lua
---vai.fs.write_file("one", "twice")
---print(vai.fs.copy("one", "two"), vai.fs.read_file("two")) --> true twice
---```
---@param from string
---@param to string
---@return boolean?
---@return string? message
---@return string? code
function vai.fs.copy(from, to) end

---A channel of what happens to a file, or to what is in a directory (not below that): tables with `type`, `"change"`,
---`"create"`, `"remove"` or `"rename"`, and `name`, without the directory; for `"rename"`, which is also what an editor
---does that replaces a file, `from`, its name before. The file need not be there yet. `"overflow"` means that so much
---happened that some of it was lost. Closing the channel ends it, as does dropping the last handle of it; a directory
---that goes away closes the channel after a last `"remove"`.
---```lua
---vai.fs.mkdir("data")
---local changes = vai.fs.watch("data")
---vai.fs.write_file("data/new", "")
---local e = changes:recv()
---print(e.type, e.name) --> create new
---```
---@param path string
---@return vai.channel?
---@return string? message
---@return string? code
function vai.fs.watch(path) end

---An open file. Reading is buffered, writing is not; both go on from the one position that the file has.
---@class vai.file
local file = {}

---As a connection's `read`: a number of bytes, fewer at the end; `"l"` a line without its end, `"L"` with it, `"a"` all
---until the end; with nothing what comes next, at least a byte. At the end it is `nil`, for `"a"` the empty string. A
---file that has grown since can be read on.
---```lua
---local f <close> = vai.fs.open("notes.txt", "w+")
---f:write("first\nsecond"):seek("set")
---print(f:read("l"), f:read(3), f:read("a"), f:read()) --> first sec ond nil
---```
---@param what? string|integer
---@return string?
---@return string? message
---@return string? code
function file:read(what) end

---For `for line in f:lines() do`: raises where `read` would give a message.
---```lua
---local f <close> = vai.fs.open("notes.txt", "w+")
---f:write("one\ntwo\n"):seek("set")
---for line in f:lines() do
---	print(line)
---end
--- --> one
--- --> two
---```
---@return function
function file:lines() end

---Reads what comes next, at least a byte, to the places `i` to `j` of a buffer, by default all, and returns how many bytes
---that were; `nil` at the end. They go from the system to the buffer without a copy.
---```lua
---local f <close> = vai.fs.open("notes.txt", "w+")
---f:write("0123456789"):seek("set", 2)
---local bytes = vai.buffer(4)
---print(f:read_into(bytes), bytes:sub(1, 4)) --> 4 2345
---```
---@param buffer vai.buffer
---@param i? integer
---@param j? integer
---@return integer? n
---@return string? message
---@return string? code
function file:read_into(buffer, i, j) end

---Writes all of it and returns the file; or `nil`, a message, the error's name, and how many bytes went.
---```lua
---local f <close> = vai.fs.open("/dev/full", "w")
---print(select(3, f:write("x"))) --> ENOSPC 0
---```
---@param ... string|number|vai.buffer
---@return vai.file?
---@return string? message
---@return string? code
---@return integer? written
function file:write(...) end

---Sets the position, counted from `"set"` (the beginning), `"cur"` (the position now; the default) or `"end"`, and
---returns it.
---```lua
---local f <close> = vai.fs.open("notes.txt", "w+")
---f:write("0123456789")
---print(f:seek(), f:seek("set", 3), f:read(2), f:seek("end", -1), f:read()) --> 10 3 34 9 9
---```
---@param whence? string
---@param offset? integer
---@return integer? position
---@return string? message
---@return string? code
function file:seek(whence, offset) end

---Sets the length of the file.
---```lua
---local f <close> = vai.fs.open("notes.txt", "w")
---print(f:truncate(1000), f:stat().size) --> true 1000
---```
---@param size integer
---@return boolean?
---@return string? message
---@return string? code
function file:truncate(size) end

---Waits until all that was written is on the disk.
---```lua
---local f <close> = vai.fs.open("notes.txt", "w")
---print(f:write("kept"):sync()) --> true
---```
---@return boolean?
---@return string? message
---@return string? code
function file:sync() end

---As `vai.fs.stat`, of the open file. With names of fields: their values in place of the table.
---```lua
---local f <close> = vai.fs.open("notes.txt", "w")
---print(f:write("four"):stat().size) --> 4
---print(f:stat("type", "size")) --> file 4
---```
---@param ... string
---@return any
---@return any message
---@return any code
function file:stat(...) end

---Closes the file, as `local f <close>` does. Goroutines that wait in it get `nil, "closed"`. A call that is under
---way ends first.
---```lua
---local f = vai.fs.open("/dev/null")
---f:close()
---print(f:read()) --> nil closed
---```
function file:close() end

-- ---- processes, signals, the terminal ----
-- Limits and results are those of the network: `nil, "timeout"`, `nil, "closed"`, or `nil`, a message and the error's name.
-- A child process is watched through a descriptor of its own: SIGCHLD and other children of the program are not touched,
-- and whoever waits holds no thread.

---@class vai.process
vai.process = {}

---Starts a process and returns at once. The list begins with the command, which is looked for in `PATH` unless it has a
---slash; nothing passes through a shell. Options by name:
--- - `stdin`, `stdout`, `stderr`: `"inherit"` (the default), `"null"`, `"pipe"`, a file, a connection or another process's
---   pipe; for `stderr` also `"stdout"`. The other end of a `"pipe"` is `p.stdin`, `p.stdout`, `p.stderr`, a connection.
---   A pipe that a process was given is read here no more: close it.
--- - `cwd`: the directory it begins in.
--- - `env`: a table of variables beside those of this process, `false` for one that it is not to have; `clear_env`: only
---   those of `env`.
--- - `group`: it leads a process group of its own, and `kill` and the end of a block go to all of that.
---
---It gets descriptors 0 to 2 and no other, no blocked signal, and SIGPIPE as it is by default.
---```lua
---local p <close> = assert(vai.process.spawn { "sort", stdin = "pipe", stdout = "pipe" })
---p.stdin:write("b\na\n")
---p.stdin:close()
---print(p.stdout:read("l"), p.stdout:read("l"), p:wait()) --> a b 0
---print(select(3, vai.process.spawn { "no-such-command" })) --> ENOENT
---```
---@param command table
---@return vai.child?
---@return string? message
---@return string? code
function vai.process.spawn(command) end

---Runs a process to its end: a table with `code` or `signal`, and what it has written, `out` and `err`. As `spawn`, with
---`stdout` and `stderr` as pipes and an empty `stdin` unless the options say otherwise, and with `input`, a string for its
---`stdin`, and `limit`, after which it is killed and the result is `nil, "timeout"`.
---```lua
---local r = vai.process.run { "tr", "a-z", "A-Z", input = "loud", limit = 10 }
---print(r.code, r.out) --> 0 LOUD
---print(vai.process.run { "sleep", "60", limit = 0.05 }) --> nil timeout
---```
---@param command table
---@return table?
---@return string? message
---@return string? code
function vai.process.run(command) end

---A process that `vai.process.spawn` has started. `local p <close>` kills it at the end of the block, if it still runs, and
---waits for its end; one that nobody has any more runs on, and is reaped when it ends.
---@class vai.child
---@field stdin? vai.connection what it reads, where that is a pipe
---@field stdout? vai.connection what it writes
---@field stderr? vai.connection what it writes as errors
local process = {}

---Its exit code, once it has ended; `nil, "signal"` and the signal's name where one has ended it. Several may wait, and
---later calls tell the same. Where somebody else has taken the status, a `waitpid(-1)` of the host or an ignored SIGCHLD,
---it is `nil`, a message and `"ECHILD"`.
---```lua
---local p = vai.process.spawn { "sh", "-c", "exit 3" }
---print(p:wait()) --> 3
---local q = vai.process.spawn { "sleep", "60" }
---print(q:wait(0.01)) --> nil timeout
---q:kill()
---print(q:wait()) --> nil signal SIGTERM
---```
---@param limit? vai.limit
---@return integer?
---@return string? message_or_signal
---@return string? code_or_name
function process:wait(limit) end

---Sends it a signal, by name or number, SIGTERM if none is given.
---```lua
---local p = vai.process.spawn { "sleep", "60" }
---print(p:kill("SIGKILL"), p:wait()) --> true nil signal SIGKILL
---print(select(3, p:kill())) --> ESRCH
---```
---@param signal? string|integer
---@return boolean?
---@return string? message
---@return string? code
function process:kill(signal) end

---```lua
---local p = vai.process.spawn { "true" }
---print(p:pid() > 1) --> true
---```
---@return integer
function process:pid() end

---What the end of a block does with `local p <close>`: kills it if it still runs, closes its pipes, waits for its end.
---```lua
---local p = vai.process.spawn { "sleep", "60" }
---p:close()
---print(p:wait()) --> nil signal SIGKILL
---```
function process:close() end

---@class vai.signal
vai.signal = {}

---From now on the signals' names are sent into the channel as they come, and do not do what they did. Who sends them does
---not wait: a full channel misses them. Of a signal that comes several times in a moment one may be told. Goroutines that
---wait for a signal are no deadlock; as long as none does, the signals keep nobody from being told of one, as they do in Go.
---```lua
---local signals = vai.chan(4)
---vai.signal.notify(signals, "SIGTERM", "SIGINT")
---vai.process.run { "kill", "-TERM", vai.fs.readlink("/proc/self") }
---print(signals:recv()) --> SIGTERM
---```
---@param ch vai.channel
---@param ... string names
---@return boolean?
---@return string? message
---@return string? code
function vai.signal.notify(ch, ...) end

---The signals do nothing from now on, here and in processes that are started.
---```lua
---print(vai.signal.ignore("SIGHUP")) --> true
---```
---@param ... string
---@return boolean?
---@return string? message
---@return string? code
function vai.signal.ignore(...) end

---The signals, or all of them, do again what they did before `notify` or `ignore`, and no channel is told any more. The end
---of the program does it, too.
---```lua
---vai.signal.ignore("SIGTERM")
---vai.signal.reset("SIGTERM")
---print(vai.process.run { "sh", "-c", "kill -TERM $$" }.signal) --> SIGTERM
---```
---@param ... string
function vai.signal.reset(...) end

---The terminal at a descriptor: 0, 1 or 2. What is none gives `nil`, a message and `"ENOTTY"`.
---```lua
---local t, why = vai.tty(0)
---print(t and t:size() or why) --> inappropriate ioctl for device
---```
---@param fd integer
---@return vai.terminal?
---@return string? message
---@return string? code
function vai.tty(fd) end

---A terminal.
---@class vai.terminal
local tty = {}

---Its columns and rows. SIGWINCH tells that they have changed.
---```lua
---local t = vai.tty(1)
---if t then
---	print(t:size())
---else
---	print("no terminal") --> no terminal
---end
---```
---@return integer? columns
---@return integer|string rows_or_message
---@return string? code
function tty:size() end

---With `true` keys come one by one and unseen, Ctrl-C among them; with `false` the mode is what it was. However the program
---ends, but for SIGKILL, the mode is set back.
---```lua
---local t = vai.tty(0)
---if t then
---	t:raw(true)
---	print("key: " .. vai.stdin:read(1))
---	t:raw(false)
---else
---	print("no terminal") --> no terminal
---end
---```
---@param on boolean
---@return boolean?
---@return string? message
---@return string? code
function tty:raw(on) end

---What the program reads, a connection: who waits in it parks. What `io.read` has read ahead does not come here again.
---```lua
---for line in vai.stdin:lines() do
---	vai.stdout:write(line:upper(), "\n")
---end
---print("all is read") --> all is read
---```
---@type vai.connection
vai.stdin = nil

---What the program prints, a connection. What `print` and `io.write` hold back in their buffer comes later. Where nobody
---reads it any more `write` gives `nil`, a message and `"EPIPE"`.
---```lua
---vai.stdout:write("no buffer, ", 1, "\n") --> no buffer, 1
---```
---@type vai.connection
vai.stdout = nil

---Where it reports errors, a connection.
---```lua
---vai.stderr:write("something is wrong\n")
---```
---```text stderr
---something is wrong
---```
---@type vai.connection
vai.stderr = nil

-- ---- LuaSocket's interface ----
-- `vai.socket` is LuaSocket 3 on vai's connections: `tcp`, `tcp4`, `tcp6`, `udp`, `udp4`, `udp6`, `unix`, `connect`, `bind`,
-- `select`, `sleep`, `gettime`, `dns`, `try`, `newtry`, `protect`, `skip`, `choose`, `sink`, `source`, and the objects'
-- methods, with LuaSocket's results and messages. What has to wait parks the goroutine. Drivers that are written for it in
-- Lua, redis-lua and LuaSocket's own `http`, `smtp` and `ftp` among them, do so unchanged. Differences: a `connect` with a
-- time-out of 0 gives up at once and does not go on in the background; `bind` listens already; `getfd` tells nothing; options
-- that are set before an object is connected are taken as they are by default; an IPv6 object is made by its address.

---From now on `require "socket"` and `require "socket.unix"` give `vai.socket`, here and in goroutines that are started later.
---```lua
---vai.compat()
---local socket = require "socket"
---local server = socket.bind("127.0.0.1", 0)
---vai.go(function(port)
---	local c = require("socket").connect("127.0.0.1", port)
---	c:send("hello\r\n")
---	c:close()
---end, (select(2, server:getsockname())))
---local c = server:accept()
---c:settimeout(5)
---print(c:receive()) --> hello
---print(c:receive()) --> nil closed
---```
function vai.compat() end

-- ---- TLS ----
-- `local tls = require "vai.tls"`: TLS 1.2 and 1.3 by OpenSSL. It is a module of its own, built where `libssl-dev` is;
-- where it was not built, `require` says what to install.
--
-- A TLS connection is a connection: it reads, writes, waits, is sent and is closed as any other. The handshake is made by
-- whoever needs it first. A call that fails gives `nil`, what is wrong, and `"ECERT"` where it is the peer's certificate,
-- `"ETLS"` or the system's name; the first such error stays: every later call gives the same. A peer that goes without a
-- farewell (`close_notify`) is an error, `"ECONNRESET"`: what came may not be all.
--
-- Options, in a table: `ca`, whom to trust (a file, a folder or PEM text; the system's store); `cert` and `key`, files or
-- PEM text, the certificate with its chain; `certs`, for servers: a list of more such pairs, `{ cert = ..., key = ... }`: a
-- client gets the first that is for the name it asks for (SNI), and `cert` where none is; `server_name`, whose certificate
-- it must be; `verify` (true; false goes on and leaves the error in `c:info().error`); `alpn`, a list of protocols, of
-- which a server takes its first that the client has, and refuses a client that names none of them; `min_version`,
-- `"1.2"` or `"1.3"`; `client_ca`, for servers: a client must have a certificate of these; `context`, one of
-- the two below in place of all these.

---@class vai.tls
vai.tls = {}

---Connects as `vai.net.dial` and shakes hands. The certificate must be for the host of the address, or for `server_name`.
---A server of TLS 1.3 that wants a certificate of the client's and gets none says so after the handshake: the first read
---fails.
---```lua
---local tls = require "vai.tls"
---local c, why = tls.dial("tcp", "127.0.0.1:1")
---print(c, why) --> nil 127.0.0.1:1: connection refused
---```
---@param network string
---@param address string
---@param options? table
---@param limit? vai.limit for all of it
---@return vai.connection?
---@return string? message
---@return string? code
function vai.tls.dial(network, address, options, limit) end

---Makes the client's end of TLS of a connection, which is used through the new one from then on.
---```lua
---local tls = require "vai.tls"
---local plain = vai.net.pipe()
---local c = tls.client(plain, { server_name = "localhost" })
---print(c:handshake(0.01)) --> nil timeout
---```
---@param conn vai.connection
---@param options table `server_name` is needed unless `verify` is false
---@return vai.connection?
---@return string? message
---@return string? code
function vai.tls.client(conn, options) end

---Makes the server's end of TLS of a connection.
---```lua
---local tls = require "vai.tls"
---print(tls.server(vai.net.pipe(), {})) --> nil a server needs 'cert' ETLS
---```
---@param conn vai.connection
---@param options table
---@return vai.connection?
---@return string? message
---@return string? code
function vai.tls.server(conn, options) end

---Listens as `vai.net.listen`; `accept` gives TLS connections, whose handshake is made by who uses them first. So a slow
---client holds up nobody else, and `vai.net.serve` takes such a listener, too.
---```lua
---local tls = require "vai.tls"
---local l, why = tls.listen("tcp", "127.0.0.1:0", { cert = "/none.pem" })
---print(l, why:match("^cert '/none.pem'")) --> nil cert '/none.pem'
---```
---@param network string
---@param address string
---@param options table these, and `vai.net.listen`'s
---@return vai.listener?
---@return string? message
---@return string? code
function vai.tls.listen(network, address, options) end

---What clients may have in common: with the option `context` the certificates are read once, and the next handshake with
---a server goes on with its last session. Can be sent.
---```lua
---local tls = require "vai.tls"
---local context = tls.client_context { min_version = "1.3" }
---print((tls.client(vai.net.pipe(), { context = context, server_name = "localhost" })):handshake(0.01)) --> nil timeout
---```
---@param options table
---@return userdata?
---@return string? message
---@return string? code
function vai.tls.client_context(options) end

---The same for servers; `reload` changes its certificates.
---```lua
---local tls = require "vai.tls"
---print(tls.server_context { cert = "/none.pem" }) --> nil cert '/none.pem': No such file or directory ETLS
---```
---@param options table
---@return userdata?
---@return string? message
---@return string? code
function vai.tls.server_context(options) end

---Gives a server's context other certificates. Connections that are accepted from now on get them; those that are open
---keep theirs. Where something is wrong all stays as it was.
---```lua
---local tls = require "vai.tls"
---local function reload(context)
---	return (tls.reload(context, { cert = "/etc/ssl/site.pem", key = "/etc/ssl/site.key" }))
---end
---print((select(2, pcall(reload, 1))):match("TLS context expected, got number")) --> TLS context expected, got number
---```
---@param context userdata
---@param options table
---@return true?
---@return string? message
---@return string? code
function vai.tls.reload(context, options) end

-- ---- HTTP ----
-- `local http = require "vai.http"`: HTTP/1.1 on vai's connections. It is a module of its own, built where an HTTP parser
-- is (`libllhttp-dev` or `libhttp-parser-dev`); where it was not built, `require` says what to install. WebSocket needs
-- `libwslay-dev`, gzip `zlib1g-dev`: what was not there when it was built it does without.
--
-- The server refuses what two programs on the way could read in two ways: lines that end in a bare LF, continued lines,
-- blanks before a colon, control characters, a second `Host` or `Content-Length`, `Content-Length` beside
-- `Transfer-Encoding`, codings other than `chunked`, chunk extensions.

---@class vai.http
vai.http = {}

---Starts a server and returns at once. `handler(req, res)` answers one request; it is sent as `vai.go` sends a function,
---and runs in goroutines, as many as there are requests at the same time; each of them answers one request after another,
---of any connections: what the handler leaves in globals may be there for somebody else's request. A connection that
---waits for its next request holds no goroutine and no Lua state. An error of the handler is reported and answered with
---500.
---
---Options: `listen`, an address or a listener (default `"127.0.0.1:8080"`; a path is a Unix socket); `handler`; `tls`, a table as
---for `vai.tls.listen`; `max_header` (65536 bytes), `max_body` (64 MiB); in seconds `header_timeout` for a whole head
---(10), `read_timeout` for each wait for a body (60), `idle_timeout` between requests (75), `write_timeout` for each
---write (60); `log(req, res, seconds)`, called after each response; `on_error(err, req)` in place of a line on stderr;
---`reuseport`, `backlog`, `keepalive`.
---```lua
---local http = require "vai.http"
---local server = assert(http.serve {
---	listen = "127.0.0.1:0",
---	handler = function(req, res)
---		res.headers["Content-Type"] = "text/plain"
---		res:send("hello, " .. (req.query.name or "world") .. "\n")
---	end,
---})
---local c = vai.net.dial("tcp", server:addr())
---c:write("GET /?name=Lua HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
---print(c:read("a"):match("\r\n\r\n(.*)\n")) --> hello, Lua
---server:close()
---```
---@param options table
---@return vai.http_server?
---@return string? message
---@return string? code
function vai.http.serve(options) end

---A request. `path` and `query_string` are as they were sent; `query` has the decoded names and values of the query
---string, a list for a name that comes more than once. Header names are in lower case; a header that comes more than once
---is joined by commas.
---@class vai.http.request
---@field method string
---@field path string
---@field query_string string? what stands behind the question mark
---@field query table<string, string|string[]>
---@field target string path and query, or what else was sent in their place
---@field headers table<string, string>
---@field header fun(self, name: string): string? a header by its name in any case
---@field read fun(self, what?: string|integer, limit?: vai.limit): string? the body, as `connection:read` reads
---@field body fun(self, limit?: vai.limit): string? all of it; nil and `"too long"` beyond `max_body`
---@field remote_addr fun(self): string?
---@field params table<string, string> of `vai.http.mux`

---A response. `status` (200; nothing below it) and `headers` are set before the first byte of the body; a value that is a list is a header
---for each. `Content-Length`, `Transfer-Encoding` and `Date` see to themselves.
---@class vai.http.response
---@field status integer
---@field headers table<string, string|string[]> `Connection = "close"` ends the connection after it
---@field send fun(self, text: string|number) the whole response
---@field write fun(self, ...: string) adds to the body, which is sent in chunks, or as long as a `Content-Length` that was set says
---@field file fun(self, path: string) a file of this machine, with ranges and conditions; nil, message, code where there is none, and nothing is sent
---@field hijack fun(self): vai.connection the connection, which is the caller's from then on
---@field bytes integer of the body so far

---@class vai.http_server
local http_server = {}

---The address that it listens on.
---```lua
---local server = require "vai.http".serve { listen = "127.0.0.1:0", handler = function(_, res) res:send("") end }
---print(server:addr():match("^127%.0%.0%.1:")) --> 127.0.0.1:
---server:close()
---```
---@return string
function http_server:addr() end

---The number of open connections.
---```lua
---local server = require "vai.http".serve { listen = "127.0.0.1:0", handler = function(_, res) res:send("") end }
---print(server:count()) --> 0
---server:close()
---```
---@return integer
function http_server:count() end

---Accepts who has connected so far and nobody after that, closes connections that wait for a next request, and waits for
---those that answer one. A connection that has sent nothing yet has a second to do so. Where another listener shares the
---address (`reuseport`), new connections go there, and none is lost.
---```lua
---local server = require "vai.http".serve { listen = "127.0.0.1:0", handler = function(_, res) res:send("") end }
---print(server:shutdown(5)) --> true
---```
---@param limit? vai.limit
---@return true?
---@return "timeout"? message some are left; they go on until `close`
function http_server:shutdown(limit) end

---Closes the listener and all connections.
---```lua
---local server = require "vai.http".serve { listen = "127.0.0.1:0", handler = function(_, res) res:send("") end }
---server:close()
---print(server:wait()) --> true
---```
function http_server:close() end

---Waits until the server has been closed or shut down.
---```lua
---local server = require "vai.http".serve { listen = "127.0.0.1:0", handler = function(_, res) res:send("") end }
---vai.go(function() server:shutdown() end)
---print(server:wait()) --> true
---```
---@param limit? vai.limit
---@return true?
---@return "timeout"?
function http_server:wait(limit) end

---A handler for the files of a folder: types by the names' endings, `ETag` and `Last-Modified` with conditions, ranges,
---sendfile. Names that begin with a dot are not given. Options: `index` of a folder (`"index.html"`), `prefix` that is
---taken from the path first, `cache`, a value for `Cache-Control`.
---```lua
---local http = require "vai.http"
---local server = http.serve { listen = "127.0.0.1:0", handler = http.files("/usr/share") }
---local c = vai.net.dial("tcp", server:addr())
---c:write("GET /../etc/passwd HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
---print((c:read("l"):gsub("\r", ""))) --> HTTP/1.1 404 Not Found
---server:close()
---```
---@param dir string
---@param options? table
---@return function handler
function vai.http.files(dir, options) end

---A handler that calls others by method and path. In a pattern `:name` is any one word and `*name` at the end all that
---follows; both are in `req.params`, decoded. Words win over names. A pattern without a method is for all methods; GET
---answers HEAD, too. `default` is for what nothing else is for.
---```lua
---local http = require "vai.http"
---local handler = http.mux {
---	["GET /users/:id"] = function(req, res) res:send("user " .. req.params.id) end,
---	["GET /files/*path"] = function(req, res) res:send("file " .. req.params.path) end,
---}
---handler({ method = "GET", path = "/users/7" }, { send = function(_, text) print(text) end }) --> user 7
---handler({ method = "GET", path = "/files/a/b" }, { send = function(_, text) print(text) end }) --> file a/b
---```
---@param routes table<string, function>
---@return function handler
function vai.http.mux(routes) end

---The names and values of a query string or of a form, decoded.
---```lua
---local q = require "vai.http".parse_query("a=1&b=x+y&b=%2F")
---print(q.a, q.b[1], q.b[2]) --> 1	x y	/
---```
---@param text string
---@return table<string, string|string[]>
function vai.http.parse_query(text) end

---The reverse of `parse_query`, with the names in order.
---```lua
---print(require "vai.http".format_query { a = 1, b = { "x y", "/" } }) --> a=1&b=x%20y&b=%2F
---```
---@param values table
---@return string
function vai.http.format_query(values) end

---Asks for a page and returns once the head of the answer is there. Connections are kept and used again, by all goroutines
---of the process. The limit is for all of it, redirects and the reads of the body included; without one each step has its
---own, see `vai.http.client`.
---```lua
---local http = require "vai.http"
---local server = http.serve { listen = "127.0.0.1:0", handler = function(req, res) res:send("you want " .. req.path) end }
---local res = assert(http.get("http://" .. server:addr() .. "/page", 5))
---print(res.status, res:body()) --> 200	you want /page
---print(http.get("http://127.0.0.1:1/")) --> nil 127.0.0.1:1: connection refused ECONNREFUSED
---server:close()
---```
---@param url string
---@param limit? vai.limit
---@return vai.http.answer?
---@return string? message
---@return string? code
function vai.http.get(url, limit) end

---Asks for the head alone.
---```lua
---local http = require "vai.http"
---local server = http.serve { listen = "127.0.0.1:0", handler = function(_, res) res:send("four") end }
---print(http.head("http://" .. server:addr()):header("Content-Length")) --> 4
---server:close()
---```
---@param url string
---@param limit? vai.limit
---@return vai.http.answer?
---@return string? message
---@return string? code
function vai.http.head(url, limit) end

---Sends a body: a string; a function that returns pieces of it until it returns nil; or something with a method `read`, such
---as a connection or a file. `kind` is its Content-Type (`"application/octet-stream"`).
---```lua
---local http = require "vai.http"
---local server = http.serve { listen = "127.0.0.1:0", handler = function(req, res) res:send(req:body():upper()) end }
---print(http.post("http://" .. server:addr(), "text", "text/plain"):body()) --> TEXT
---server:close()
---```
---@param url string
---@param body? string|function|table|userdata
---@param kind? string
---@param limit? vai.limit
---@return vai.http.answer?
---@return string? message
---@return string? code
function vai.http.post(url, body, kind, limit) end

---A request of any kind. Options: `url`; `method` (`"GET"`); `headers`, a value that is a list is a header for each; `query`, names
---and values that are added to the address; `body` as for `post` (without a `Content-Length` it goes in chunks where it
---is no string); `limit`; `follow`, how many redirects (10; false: none); `proxy`, an address (`"http://user:password@host:port"`)
---or false.
---
---A body in pieces, or a long one, is sent while the answer may come already: `request` returns once that has begun, and `read` sends on
---while it waits, with a limit in seconds that begins anew with each piece. So a server may answer while it reads. An
---answer that is closed or has ended before all was sent costs the connection.
---
---Redirects after 301, 302 and 303 become GET; where they lead to another origin, `Authorization`, `Cookie`,
---`Proxy-Authorization` and the user of the address stay behind. Proxies are those of `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy` in the
---environment, but none for this machine. A kept connection that turns out to have been closed is replaced where the
---request may be sent twice: `GET`, `HEAD`, `OPTIONS`, `TRACE`, `PUT`, `DELETE`, or one with an `Idempotency-Key`, whose body is a string.
---What comes packed by gzip is unpacked where the module was built with zlib, unless `headers` has an `Accept-Encoding`.
---```lua
---local http = require "vai.http"
---local server = http.serve { listen = "127.0.0.1:0", handler = function(req, res)
---	if req.path == "/old" then
---		res.status, res.headers.Location = 302, "/new"
---		return res:send("")
---	end
---	res:send(req.method .. " " .. req.target)
---end }
---local res = http.request { url = "http://" .. server:addr() .. "/old", query = { a = 1 }, limit = 5 }
---print(res:body(), res.url == "http://" .. server:addr() .. "/new") --> GET /new	true
---server:close()
---```
---@param options table
---@return vai.http.answer?
---@return string? message
---@return string? code
function vai.http.request(options) end

---A client with connections and settings of its own; it can be sent, and is the same one there. Options, sizes in bytes
---and times in seconds: `max_idle` (100) connections that are kept, `max_idle_per_host` (8), `idle_timeout` (60);
---`max_per_host`, how many requests at once have a connection to one place: the others wait (no bound); `connect_timeout`
---(30), also for the handshake of TLS, `header_timeout` (60) and `read_timeout` (60) for each wait for the head and the
---body, `write_timeout` (60), all of which a limit of the call replaces; `continue_timeout` (1), how long a request with
---`Expect: 100-continue` waits before it sends its body all the same; `max_header` (65536); `max_body` (64 MiB) of
---`body()` and `read("a")`, unpacked; `max_redirects` (10); `proxy`; `gzip` (true); `user_agent`; `tls`, a table as for
---`vai.tls.client_context`.
---```lua
---local http = require "vai.http"
---local server = http.serve { listen = "127.0.0.1:0", handler = function(_, res) res:send("ok") end }
---local client = http.client { max_per_host = 2 }
---local group = vai.group()
---for _ = 1, 10 do
---	group:go(function() assert(client:get("http://" .. server:addr()):body() == "ok") end)
---end
---print(group:wait(10), server:count() <= 2) --> true true
---server:close()
---```
---@param options? table
---@return vai.http_client?
---@return string? message a certificate cannot be read
---@return string? code
function vai.http.client(options) end

---In a handler: answers a request for WebSocket and gives the socket; the connection is the handler's from then on. Anything
---else than such a request is refused, as is one of a page of another origin, and `nil` and a message are given. Options: `origins`, a list such
---as `{ "https://site.test" }`, or `"*"` (the server's own); `protocols`, a list, of which the first that the client has is
---`ws.protocol`; `max_message` (16 MiB). It needs `libwslay-dev` when the module is built.
---```lua
---local http = require "vai.http"
---local server = http.serve { listen = "127.0.0.1:0", handler = function(req, res)
---	local ws <close> = http.websocket(req, res)
---	for text in ws:messages() do ws:send("you said " .. text) end
---end }
---local ws = assert(http.websocket_dial("ws://" .. server:addr(), 5))
---ws:send("hello")
---print(ws:recv(5)) --> you said hello	text
---ws:close()
---server:close()
---```
---@param req vai.http.request
---@param res vai.http.response
---@param options? table
---@return vai.http.websocket?
---@return string? message
function vai.http.websocket(req, res, options) end

---Connects to `ws://` or `wss://`. Options: `headers`, `protocols`, `max_message`, `proxy` as of `vai.http.request`, `client`, whose
---settings of TLS, proxies and times are used.
---```lua
---print(require "vai.http".websocket_dial("ws://127.0.0.1:1/", 5)) --> nil 127.0.0.1:1: connection refused ECONNREFUSED
---```
---@param url string
---@param limit? vai.limit
---@param options? table
---@return vai.http.websocket?
---@return string? message
---@return string? code
function vai.http.websocket_dial(url, limit, options) end

---A WebSocket. Any goroutine may send; one goroutine receives, which answers pings and the peer's close, too. Frames that
---break the rules end the connection with the code that says why (1002, 1007, 1009).
---@class vai.http.websocket
---@field send fun(self, data: string, kind?: "text"|"binary"): true?, string? a whole message; text must be UTF-8
---@field recv fun(self, limit?: vai.limit): string?, string?, integer? the next message and its kind; `nil, "closed"`, code at the end, 1006 where nobody said goodbye
---@field messages fun(self): function for `for data, kind in ws:messages() do`, until the end
---@field ping fun(self, data?: string): true?, string?
---@field close fun(self, code?: integer, reason?: string) with 1000, or 3000 to 4999 of your own; waits up to 2 s for the peer's answer. `<close>` does so, too
---@field protocol string?
---@field reason string? what the peer said when it closed

---The answer to a request. It stays in the goroutine that has asked. Once its body has been read to the end the
---connection is kept for the next request; what is closed, dropped or left before that costs the connection.
---@class vai.http.answer
---@field status integer
---@field reason string
---@field url string where it came from, after redirects
---@field headers table<string, string> names in lower case; `set-cookie` is a list
---@field header fun(self, name: string): string? a header by its name in any case
---@field read fun(self, what?: string|integer, limit?: vai.limit): string? the body, as `connection:read` reads
---@field body fun(self, limit?: vai.limit): string? all of it; nil and `"too long"` beyond `max_body`
---@field close fun(self) ends it; `local r <close> = ...` does so, too
---@field hijack fun(self): vai.connection after 101: the connection, which is the caller's from then on

---@class vai.http_client
local http_client = {}

---```lua
---print(require "vai.http".client():get("http://127.0.0.1:1/")) --> nil 127.0.0.1:1: connection refused ECONNREFUSED
---```
---@param url string
---@param limit? vai.limit
---@return vai.http.answer?
---@return string? message
---@return string? code
function http_client:get(url, limit) end

---```lua
---print(require "vai.http".client():head("ftp://a/")) --> nil unknown scheme 'ftp' EINVAL
---```
---@param url string
---@param limit? vai.limit
---@return vai.http.answer?
---@return string? message
---@return string? code
function http_client:head(url, limit) end

---```lua
---print(require "vai.http".client():post("nowhere", "body")) --> nil 'nowhere' has no scheme EINVAL
---```
---@param url string
---@param body? string|function|table|userdata
---@param kind? string
---@param limit? vai.limit
---@return vai.http.answer?
---@return string? message
---@return string? code
function http_client:post(url, body, kind, limit) end

---See `vai.http.request`.
---```lua
---local client = require "vai.http".client()
---print(client:request { url = "http://127.0.0.1:1/", method = "DELETE" }) --> nil 127.0.0.1:1: connection refused ECONNREFUSED
---```
---@param options table
---@return vai.http.answer?
---@return string? message
---@return string? code
function http_client:request(options) end

---How many connections it keeps.
---```lua
---print(require "vai.http".client():idle()) --> 0
---```
---@return integer
function http_client:idle() end

---Closes the connections that it keeps. Requests under way go on.
---```lua
---local c = require "vai.http".client()
---c:close()
---print(c:idle()) --> 0
---```
function http_client:close() end

-- ---- NATS ----
-- `local nats = require "vai.nats"`: channels, requests and streams between machines, through servers of NATS. It is a
-- module of its own; where it was not built, `require` says what to do.
--
-- What crosses is data, in MessagePack, which other languages read, too: booleans, numbers, strings and tables of these
-- without metatables. Anything else raises, naming the path to it. A table with the keys 1 to n is an array there, an
-- empty one, too, any other a map; integers and floats stay what they are; strings that are UTF-8 are texts, others bytes.
-- Extensions of other programs come as `{ ext = type, data = bytes }`, nils in tables leave no field.
--
-- What cannot cross is a rendezvous: `send` returns when the message is in the queue of this process, `nc:flush` when
-- the server has it, and only a stream says that it is stored. A server of NATS keeps nothing for those who are away.
-- So a channel is a broadcast to all who listen (with `queue`, to one of those with the same), and at most once; a stream
-- is at least once. All objects can be sent to other goroutines, and are the same there.
--
-- A connection that breaks is made again, with longer and longer waits between, to any of the servers; subscriptions go
-- on, what was not written yet is sent then. Nothing is lost in silence. Channels number what they send, so the receiver
-- counts what did not arrive; a queue that overflows counts, too (`ch:lost()`); and what was written, but not confirmed by
-- the server, when the connection broke is in `nc:stats()`. Each such matter is told once on stderr, unless the program
-- takes the events (option `events`, a channel): tables with `type` `"connected"`, `"disconnected"`, `"lost"`, `"error"`
-- or `"closed"`, and as it fits `message`, `subject`, `count`, `why`, `unconfirmed` and `server`.

---@class vai.nats
vai.nats = {}

---Connects to a server: `"nats://user:password@host:port"`, `"tls://..."`, `"host"`; a list of such, or one string with
---commas, where there are several. Options: `name`, shown by the server; `user` and `password`, `token`, `nkey` (a seed),
---`credentials` (a file with JWT and seed, read for each connection); `tls`, true or options of `vai.tls`; `echo` (true: subscriptions get what this
---connection publishes); `events`; `pending` (1024), how many messages may wait to be written before `send` waits;
---`max_reconnects` (no limit) attempts after the connection broke; and in seconds `connect_timeout` (5, for each server),
---`reconnect_wait` (0.1) growing to `reconnect_max` (5), `ping_interval` (30).
---```lua
---local nats = require "vai.nats"
---print(nats.connect("127.0.0.1:1")) --> nil 127.0.0.1:1: connection refused ECONNREFUSED
---```
---@param url? string|string[] default `"127.0.0.1:4222"`
---@param options? table
---@return vai.nats_connection?
---@return string? message
---@return string? code
function vai.nats.connect(url, options) end

---A value as MessagePack. Raises where something in it cannot cross.
---```lua
---local nats = require "vai.nats"
---print(#nats.pack { 1, 2, 3 }) --> 4
---print(pcall(nats.pack, { f = print })) --> false field 'f': function cannot cross to another machine
---```
---@param value any
---@return string
function vai.nats.pack(value) end

---The value of MessagePack.
---```lua
---local nats = require "vai.nats"
---print(nats.unpack("\x2a")) --> true 42
---print(nats.unpack("\x92\x01")) --> nil not MessagePack: it ends too early
---```
---@param data string
---@return true?
---@return any value or what is wrong
function vai.nats.unpack(data) end

---@class vai.nats_connection
local nats_connection = {}

---A channel whose other ends may be on other machines. It listens from the first `recv`, `chan` or `listen` on: one that
---is only sent to takes no messages away. Options: `queue`, a name: of all who receive with the same one, one gets each
---message (nobody can count then what did not arrive); `capacity` (1024), how many values wait here to be received, and
---`policy`, what happens when there are more: `"newest"`, the one that comes is lost; `"oldest"`; `"close"`, the channel
---closes. The server is never held up.
---```lua
---local nc <close> = require "vai.nats".connect(os.getenv "NATS_URL")
---local ch = nc:chan("greetings")
---ch:listen()
---ch:send({ "hello", to = "you" })
---print(ch:recv(10).to) --> you
---```
---@param subject string words with dots between
---@param options? table
---@return vai.nats_channel
function nats_connection:chan(subject, options) end

---Asks whoever serves the subject, and waits for the answer: a value. `nil, "no responders"` at once where nobody does;
---`nil, "connection lost"` when nobody can say whether it was done; `nil` and the error that the function raised there.
---```lua
---local nc <close> = require "vai.nats".connect(os.getenv "NATS_URL")
---print(nc:request("nobody.there", 1, 10)) --> nil no responders
---```
---@param subject string
---@param value any
---@param limit? vai.limit
---@return any
---@return string? message
function nats_connection:request(subject, value, limit) end

---The same for bytes in any form.
---```lua
---local nc <close> = require "vai.nats".connect(os.getenv "NATS_URL")
---print(nc:request_bytes("nobody.there", "{}", 10)) --> nil no responders
---```
---@param subject string
---@param data string
---@param limit? vai.limit
---@param headers? table<string, string>
---@return string?
---@return table|string headers or message
function nats_connection:request_bytes(subject, data, limit, headers) end

---Answers requests with `f(value, subject)`. Options: `workers` (1), how many goroutines run it; `queue`, as for `chan`;
---`capacity` and `policy`. What it raises is the error of who asked.
---```lua
---local nc <close> = require "vai.nats".connect(os.getenv "NATS_URL")
---nc:serve("square", function(n) return n * n end)
---print(nc:request("square", 12, 10)) --> 144
---```
---@param subject string may have `*` for a word and `>` for the rest
---@param f function
---@param options? table
---@return vai.nats_server?
---@return string? message
function nats_connection:serve(subject, f, options) end

---Publishes bytes. Options: `headers`, a table; `reply`, the subject for answers; `limit`.
---```lua
---local nc <close> = require "vai.nats".connect(os.getenv "NATS_URL")
---print(nc:publish("log.line", "all is well", { headers = { Level = "info" } })) --> true
---```
---@param subject string
---@param data string
---@param options? table
---@return true?
---@return string? message
function nats_connection:publish(subject, data, options) end

---Subscribes to bytes: messages with `subject`, `data`, `reply` and `headers`. Options as of `chan`.
---```lua
---local nc <close> = require "vai.nats".connect(os.getenv "NATS_URL")
---local sub = nc:subscribe("log.>")
---nc:publish("log.one", "text")
---local m = sub:recv(10)
---print(m.subject, m.data) --> log.one text
---```
---@param subject string may have `*` for a word and `>` for the rest
---@param options? table
---@return vai.nats_subscription?
---@return string? message
function nats_connection:subscribe(subject, options) end

---A stream of JetStream, in which the server stores what is sent. With `subjects`, a list, it is made where it is not there
---yet, and these options are its configuration: `storage` (`"file"`, `"memory"`), `retention`, `discard`, `max_msgs`,
---`max_bytes`, `max_age` (seconds), `max_msg_size`, `num_replicas`, `duplicate_window` (seconds, within which a message with
---the id of another one is stored once), `description`. With `durable`, the name of a consumer, which all who receive
---with it share, messages can be received; options of that: `ack_wait` (30 seconds) until a message that was not
---acknowledged is delivered again, `max_deliver`, `max_ack_pending`, `filter_subject`, `deliver_policy`, `batch` (16),
---how many are fetched at a time, and `heartbeat` (3 seconds): so often the server says that it is still there while
---`recv` waits, which asks again, perhaps another server of the cluster, after two and a half without a word. `limit`
---bounds the call.
---```lua
---local nc <close> = require "vai.nats".connect(os.getenv "NATS_URL")
---local st = assert(nc:stream("JOBS", { subjects = { "jobs" }, durable = "workers", storage = "memory" }))
---print(st:send({ n = 1 })) --> 1 false
---local m = st:recv(10)
---print(m.value.n, m.sequence, m.redelivered, m:ack()) --> 1 1 false true
---```
---@param name string
---@param options? table
---@return vai.nats_stream?
---@return string? message
---@return integer? code of JetStream
function nats_connection:stream(name, options) end

---Waits until the server has got all that was published before.
---```lua
---local nc <close> = require "vai.nats".connect(os.getenv "NATS_URL")
---print(nc:flush(10)) --> true
---```
---@param limit? vai.limit
---@return true?
---@return string? message
function nats_connection:flush(limit) end

---Sends what was published, for at most so long (2 seconds), and closes: channels when they are empty, waiting requests at
---once. `nil` and why where something may not have been sent.
---```lua
---local nc = require "vai.nats".connect(os.getenv "NATS_URL")
---print(nc:close(), nc:is_closed()) --> true true
---```
---@param limit? vai.limit
---@return true?
---@return string? message
function nats_connection:close(limit) end

---Takes nothing new, waits until what has come was received, sends what was published, and closes.
---```lua
---local nc = require "vai.nats".connect(os.getenv "NATS_URL")
---print(nc:drain(10)) --> true
---```
---@param limit? vai.limit
---@return true?
---@return string? message
function nats_connection:drain(limit) end

---```lua
---local nc <close> = require "vai.nats".connect(os.getenv "NATS_URL")
---print(nc:is_closed()) --> false
---```
---@return boolean # by `close`, or because all attempts to connect again have failed
function nats_connection:is_closed() end

---```lua
---local nc <close> = require "vai.nats".connect(os.getenv "NATS_URL")
---print(nc:err()) --> nil
---```
---@return string? # why it is closed
function nats_connection:err() end

---Counters: `reconnects`; `unconfirmed`, messages that were written when a connection broke and may be lost; `unsent`, those
---that were still to be written when it was closed; `pending`, those that wait to be written; and `server`, `max_payload`.
---```lua
---local nc <close> = require "vai.nats".connect(os.getenv "NATS_URL")
---print(nc:stats().max_payload) --> 1048576
---```
---@return table
function nats_connection:stats() end

---A channel through servers of NATS. `for v in ch do` receives until it is closed, `#ch` is how many values wait here.
---@class vai.nats_channel
---@field subject string
local nats_channel = {}

---Sends to all who listen. It waits only where `pending` messages wait to be written, as when no server is there.
---```lua
---local nc <close> = require "vai.nats".connect(os.getenv "NATS_URL")
---print(nc:chan("numbers"):send(1)) --> true
---```
---@param value any not nil
---@param limit? vai.limit
---@return true?
---@return string? message
function nats_channel:send(value, limit) end

---```lua
---local nc <close> = require "vai.nats".connect(os.getenv "NATS_URL")
---print(nc:chan("numbers"):recv(0.01)) --> nil timeout
---```
---@param limit? vai.limit
---@return any
---@return string? message
function nats_channel:recv(limit) end

---```lua
---local nc <close> = require "vai.nats".connect(os.getenv "NATS_URL")
---print(nc:chan("numbers"):try_recv()) --> nil empty
---```
---@return any
---@return string? message
function nats_channel:try_recv() end

---Returns when the server knows that this channel listens: what anybody sends afterwards comes.
---```lua
---local nc <close> = require "vai.nats".connect(os.getenv "NATS_URL")
---print(nc:chan("numbers"):listen(10)) --> true
---```
---@param limit? vai.limit
---@return true?
---@return string? message
function nats_channel:listen(limit) end

---The channel of this process in which values arrive. `vai.select` takes the object itself, too, to receive from it.
---```lua
---local nc <close> = require "vai.nats".connect(os.getenv "NATS_URL")
---local ch = nc:chan("numbers")
---print(vai.select { ch, timeout = 0.01 }) --> nil timeout
---```
---@return vai.channel
function nats_channel:chan() end

---How many values are known to be lost, and of which kind: `full`, the queue overflowed; `gap`, they did not arrive; `bad`,
---they were no MessagePack. `breaks` is how often the connection was another one: what was sent meanwhile by others than
---vai's channels nobody can count. Of a sender the gaps are known from its first value that came here on.
---```lua
---local nc <close> = require "vai.nats".connect(os.getenv "NATS_URL")
---local ch = nc:chan("numbers", { capacity = 2, policy = "oldest" })
---ch:listen()
---for i = 1, 5 do ch:send(i) end
---nc:flush()
---local n, by = ch:lost()
---print(n, by.full, ch:recv()) --> 3 3 4
---```
---```text stderr
---vai.nats: numbers: 1 message lost: the queue was full
---```
---@return integer
---@return table<string, integer>
function nats_channel:lost() end

---Ends receiving here. What has arrived can still be received; others go on.
---```lua
---local nc <close> = require "vai.nats".connect(os.getenv "NATS_URL")
---local ch = nc:chan("numbers")
---ch:close()
---print(ch:recv()) --> nil closed
---```
function nats_channel:close() end

---```lua
---local nc <close> = require "vai.nats".connect(os.getenv "NATS_URL")
---print(nc:chan("numbers"):is_closed()) --> false
---```
---@return boolean
function nats_channel:is_closed() end

---```lua
---local nc <close> = require "vai.nats".connect(os.getenv "NATS_URL")
---print(nc:chan("numbers", { capacity = 5 }):cap()) --> 5
---```
---@return integer
function nats_channel:cap() end

---```lua
---local nc <close> = require "vai.nats".connect(os.getenv "NATS_URL")
---print(nc:chan("numbers"):err()) --> nil
---```
---@return string? # why it closed by itself: its policy, or what the server refuses
function nats_channel:err() end

---@class vai.nats_subscription
---@field subject string
local nats_subscription = {}

---The next message: `subject`, `data`, `reply`, `headers`; `m:value()`, its data as a value; `m:respond(data)`, an answer.
---```lua
---local nc <close> = require "vai.nats".connect(os.getenv "NATS_URL")
---print(nc:subscribe("log"):recv(0.01)) --> nil timeout
---```
---@param limit? vai.limit
---@return table?
---@return string? message
function nats_subscription:recv(limit) end

---As `channel:lost`.
---```lua
---local nc <close> = require "vai.nats".connect(os.getenv "NATS_URL")
---print((nc:subscribe("log"):lost())) --> 0
---```
---@return integer
---@return table<string, integer>
function nats_subscription:lost() end

---Ends it. What has arrived can still be received.
---```lua
---local nc <close> = require "vai.nats".connect(os.getenv "NATS_URL")
---local sub = nc:subscribe("log")
---sub:close()
---print(sub:recv()) --> nil closed
---```
function nats_subscription:close() end

---What `serve` returns.
---@class vai.nats_server
local nats_server = {}

---No more requests; it waits until those that have come are answered.
---```lua
---local nc <close> = require "vai.nats".connect(os.getenv "NATS_URL")
---print(nc:serve("square", print):close(10)) --> true
---```
---@param limit? vai.limit
---@return true?
---@return string? message
function nats_server:close(limit) end

---As `channel:lost`: requests that nobody answers.
---```lua
---local nc <close> = require "vai.nats".connect(os.getenv "NATS_URL")
---print((nc:serve("square", print):lost())) --> 0
---```
---@return integer
---@return table<string, integer>
function nats_server:lost() end

---A stream. `for m in st do` receives until it is closed.
---@class vai.nats_stream
---@field name string
---@field durable? string
local nats_stream = {}

---Sends, and waits until the server has stored it. When the connection breaks, or no answer comes for 2 s, it asks again,
---with the same id, so that the message is stored once. Options: `id`, of your own; `subject`, where the stream has several; `headers`.
---```lua
---local nc <close> = require "vai.nats".connect(os.getenv "NATS_URL")
---local st = nc:stream("ORDERS", { subjects = { "orders.*" }, storage = "memory" })
---print(st:send({ item = 7 }, 10, { subject = "orders.new", id = "order-7" })) --> 1 false
---print(st:send({ item = 7 }, 10, { subject = "orders.new", id = "order-7" })) --> 1 true
---```
---@param value any not nil
---@param limit? vai.limit
---@param options? table
---@return integer? sequence
---@return boolean|string duplicate or message
function nats_stream:send(value, limit, options) end

---The next message: `value` (or `error`, where its bytes are no MessagePack), `data`, `subject`, `headers`, `sequence`,
---`redelivered`, `deliveries`, `pending` (how many are left). `m:ack()` says that it is done, and returns true when the
---server knows, however often it takes; `m:nak(delay)` wants it delivered again, `m:term()` never again, `m:working()` asks
---for more time. With the limit 0 they do not wait, and may be lost.
---```lua
---local nc <close> = require "vai.nats".connect(os.getenv "NATS_URL")
---local st = nc:stream("EVENTS", { subjects = { "events" }, durable = "d", storage = "memory" })
---print(st:recv(0.01)) --> nil timeout
---```
---@param limit? vai.limit
---@return table?
---@return string? message
function nats_stream:recv(limit) end

---What the server knows of it, as it says it: `state.messages` and so on.
---```lua
---local nc <close> = require "vai.nats".connect(os.getenv "NATS_URL")
---print(nc:stream("INFO", { subjects = { "i" }, storage = "memory" }):info().state.messages) --> 0
---```
---@param limit? vai.limit
---@return table?
---@return string? message
function nats_stream:info(limit) end

---Deletes it at the server, with all that is in it.
---```lua
---local nc <close> = require "vai.nats".connect(os.getenv "NATS_URL")
---print(nc:stream("OLD", { subjects = { "old" }, storage = "memory" }):delete()) --> true
---```
---@param limit? vai.limit
---@return true?
---@return string? message
function nats_stream:delete(limit) end

---Receives no more. The stream stays, and what was not acknowledged is delivered to others.
---```lua
---local nc <close> = require "vai.nats".connect(os.getenv "NATS_URL")
---local st = nc:stream("CLOSED", { subjects = { "c" }, durable = "d", storage = "memory" })
---st:close()
---print(st:recv()) --> nil closed
---```
function nats_stream:close() end

-- ---- tests of concurrent programs ----

---Runs of a program in which a seed decides whose turn it is.
---@class vai.test
vai.test = {}

---What has happened in a run; `tostring` gives a line for each turn: when it was over (seconds since the run began), whose it
---was, where that goroutine was then and why its turn was over, and who came next.
---@class vai.test.trace
---@field seed string what the run can be repeated with
---@field turns vai.test.turn[]
---@field goroutines integer how many there were; they are numbered from 1, the one that called, in the order of their start
---@field made string[] where each of them was made: `"file.lua:12"`
---@field seconds number how long the run took by its own clock
---@field outside boolean a goroutine has waited for input, output or a process: then the seed does not decide everything
---@field exhausted boolean the run was broken off, because it had too many turns
---@field incomplete boolean there was no memory for the whole trace

---@class vai.test.turn
---@field goroutine integer whose turn it was
---@field at number when it was over
---@field place string where the goroutine was then, at which call: `"file.lua:12 recv"`, or `""` if it has ended
---@field why string what it waits for (`"chan receive"`, as in `vai.dump`), or `"yields"`, `"preempted"` or `"ends"`
---@field next integer whose turn came next
---@field point integer which of the goroutine's points that was: it comes to one at each call of a method of vai's objects, yield and slice. Twice its number, and one more if it waited in that call
---@field chosen boolean whether it was not the default, which is to go on, or else whoever has waited longest

---Calls `f` with the other arguments, here, as the first goroutine of a *run*: of it and of the goroutines that it starts, and
---those that they start, one at a time has the turn, in an order that the seed decides. The same seed and the same program
---give the same schedule, on any number of processors.
---
---- A turn is over when its goroutine waits, yields or ends; where it calls a method of one of vai's objects, as the seed wants
---  it; and after each 1,000 instructions.
---- The clock (`vai.now`, `sleep`, limits, deadlines, timers, tickers) begins at 1 and stands as long as a goroutine can go
---  on. When none can it jumps to the next timer. So a test of an hour's timeouts takes no time. `os.time` and
---  `os.clock` are the real ones.
---- `select`'s choices and `math.random` come out of the seed. What memory addresses decide (`tostring({})`), the order of
---  `pairs` over string keys in another process, ids (`vai.id`) and the moments of finalizers do not.
---- A goroutine that yields while no other can go on lets the clock jump, too, as does one that computes for ten million
---  instructions meanwhile: otherwise a loop that waits for a time would have no end.
---- When `f` has returned the other goroutines are canceled, and the run is over when they have ended.
---
---The run fails if `f` raises, if an error in a goroutine of `vai.go` is not caught, if all goroutines wait and no timer can
---wake one (a deadlock; the message has the dump), or after a million turns. Then an error is raised that names the seed, and what
---all had come to is in `vai.test.trace()`.
---
---Goroutines that exist already go on as always. What they send into the run comes at times that no seed knows, and what only
---they could send is a deadlock of the run. Input, output and processes work, too, when they come: while a goroutine waits
---for those and no other can go on, the clock's next jump comes after as much real time, and the trace says that the seed does
---not decide everything. There is one run at a time in a process. Code in a run takes two to three times as long.
---```lua
---local function count()
---	local n, wg = vai.map(), vai.waitgroup()
---	n:set("n", 0)
---	for _ = 1, 2 do
---		wg:go(function() n:set("n", n:get("n") + 1) end)
---	end
---	wg:wait()
---	return n:get("n")
---end
---local trace, n = vai.test.run(2, count)
---assert(select(2, vai.test.run(2, count)) == n and tostring(vai.test.trace()) == tostring(trace))
---print(select(2, vai.test.run(1, function() local t = vai.now() vai.sleep(3600) return vai.now() - t end))) --> 3600.0
---```
---@param seed? integer|string a number, or a schedule as `vai.test.explore` prints it. Nil: `VAI_TEST_SEED` of the environment, or else a new one each time, which the error names
---@param f function it is called in this goroutine: it shares its locals, and errors have their usual tracebacks
---@param ... any
---@return vai.test.trace trace
---@return any ... the results of f
function vai.test.run(seed, f, ...) end

---Calls `f` again and again, each time in a run of another schedule, until one fails: the default order first, then by turns the
---same with one change and an order by chance, in which priorities change a few times. Of the
---schedule that fails all changes are taken away that the failure does not need. The error that is raised has the failure,
---the shortest schedule that fails, with the goroutines and the lines where one gave its turn to another, and what
---`vai.test.run` replays it with. `f` makes all that it uses anew each time, and raises where something is wrong.
---With `VAI_TEST_SEED` in the environment only that schedule is run.
---
---What has no changes to try is tried with some seeds for `select` and `math.random`. That no schedule failed is no proof:
---there are more of them than anybody can try.
---```lua
---local ok, err = pcall(vai.test.explore, function()
---	local n, wg = vai.map(), vai.waitgroup()
---	n:set("n", 0)
---	for _ = 1, 2 do
---		wg:go(function() n:set("n", n:get("n") + 1) end)
---	end
---	wg:wait()
---	assert(n:get("n") == 2, "an update is lost")
---end)
---print(ok, err:match("an update is lost"), err:match("choices: %d")) --> false an update is lost choices: 1
---```
---@param f function
---@param options? vai.test.options
---@return integer schedules how many were tried
function vai.test.explore(f, options) end

---@class vai.test.options
---@field seed? integer the first of the seeds that orders by chance come from. Default 1
---@field runs? integer so many schedules at most. Default 10000
---@field seconds? number so long at most, in real time. Default 10, of which at least a fifth is for making a schedule that fails shorter
---@field turns? integer a run with so many turns is broken off, and has failed. Default 100000

---The trace of the last run that this goroutine has made, also if it has failed.
---```lua
---pcall(vai.test.run, 3, function() error("failed", 0) end)
---print(vai.test.trace().goroutines) --> 1
---```
---@return vai.test.trace?
function vai.test.trace() end

-- ---- this goroutine ----

---Lets other goroutines run that are ready.
---```lua
---local ch = vai.chan(1)
---vai.go(function() ch:send("ran") end)
---while #ch == 0 do
---	vai.yield()
---end
---print(ch:recv()) --> ran
---```
function vai.yield() end

---The id of this goroutine; 1 is main.
---```lua
---print(vai.id()) --> 1
---```
---@return integer
---@nodiscard
function vai.id() end

---Ties this goroutine to its OS thread, which runs no other goroutine meanwhile: for C libraries that keep something
---for each thread. Calls nest. If the goroutine ends while it is tied, the thread ends, too. A goroutine that runs on
---main's thread is moved to another one first; this raises if the system gives no thread within a second.
---```lua
---vai.async(function()
---	vai.lock_thread()
---	print("here every C function runs on one and the same thread")
---	vai.unlock_thread()
---end):join()
--- --> here every C function runs on one and the same thread
---```
function vai.lock_thread() end

---Undoes one call of `lock_thread`. Raises in a goroutine that is not tied to its thread.
---```lua
---vai.lock_thread()
---vai.unlock_thread()
---print((pcall(vai.unlock_thread))) --> false
---```
function vai.unlock_thread() end

-- ---- the scheduler ----

---The name and version of the module, as in `vai 0.1.0`.
---```lua
---print(vai._VERSION:match("^vai %d+%.%d+%.%d+") ~= nil) --> true
---```
---@type string
vai._VERSION = nil

---The number of goroutines, main included.
---```lua
---local quit = vai.chan()
---local task = vai.async(function() quit:recv() end)
---print(vai.count()) --> 2
---quit:close()
---task:join()
---```
---@return integer
---@nodiscard
function vai.count() end

---How many goroutines may run Lua at the same moment: the number of Ps in use. With `n`, sets the number and returns
---the old one. `VAI_MAXPROCS` sets it at the start. Until one of the two has set it, the number is `vai.numcpu()`,
---and changes with that.
---```lua
---local old = vai.maxprocs(1)
---print(vai.maxprocs(old)) --> 1
---```
---@param n? integer 1 to 1024
---@return integer
function vai.maxprocs(n) end

---The number of CPUs that this process may use: those of its affinity, or fewer if its cgroup, or one above that, has
---a quota (rounded up). In a container with `--cpus=1.5` on a machine with 64 CPUs it is 2. It is read anew about
---once a second while goroutines run.
---```lua
---print(vai.numcpu() >= 1) --> true
---```
---@return integer
---@nodiscard
function vai.numcpu() end

---Counters of the scheduler: a table of numbers as they are at the moment.
---```lua
---local before = vai.stats().spawned
---vai.async(function() end):join()
---print(vai.stats().spawned - before) --> 1
---```
---@return vai.stats
---@nodiscard
function vai.stats() end

---What `vai.stats()` gives: how much there is of something now, or, where it says "since the start", how often
---something has happened. A P is a processor of the scheduler (`vai.maxprocs()` of them run Lua), an M one of its threads.
---@class vai.stats
---@field goroutines integer alive now, main included
---@field spawned integer goroutines made since the start; main is none of them
---@field ended integer goroutines that have ended since the start
---@field parks integer waits since the start that gave the P to another goroutine
---@field steals integer times since the start that a P took goroutines out of another's queue
---@field stolen integer goroutines that moved that way
---@field handoffs integer times since the start that an M gave its P away: to main's thread, to the thread of a goroutine that is locked to it, to another M that takes over from main's thread, or because all were to stand still
---@field wakeups integer threads woken, or made, since the start because there was work and an idle P
---@field global_gets integer goroutines taken from the queue that all Ps share, since the start
---@field overflows integer goroutines moved to that queue because a P's own was full, since the start
---@field timers_fired integer timers that were due, since the start: sleeps, limits, tickers, `after`, `timer`
---@field stacks integer C stacks that have been made, in use or kept for the next goroutine
---@field procs integer Ps in use, as `vai.maxprocs()`
---@field idle_procs integer Ps without work now
---@field threads integer Ms now, main's included; the monitor's thread is not counted
---@field idle_threads integer Ms asleep now
---@field spinning integer Ms that look for work now
---@field preempted integer times since the start that a running goroutine was asked to give way
---@field retaken integer Ps taken, since the start, from Ms that sat in a C call
---@field states string how Lua states are made: "clone", or "build" and why

-- ---- errors and reports ----

---Sets a handler: `f(err, traceback, id)` is called in the main goroutine for each error that would otherwise end the
---program, and for each error of a function of `vai.net.serve`. nil removes the handler. To be called in the main
---goroutine.
---```lua
---local told = vai.chan(1)
---vai.on_panic(function(err, traceback, id)
---	told:send(("goroutine %d: %s"):format(id, err))
---end)
---vai.go(error, "no luck", 0)
---print(told:recv()) --> goroutine 2: no luck
---```
---@param f? fun(err: any, traceback: string, id: integer)
function vai.on_panic(f) end

---Writes what every goroutine does: its state, what it waits for and for how long, its traceback, where
---it was created; the calling goroutine first, then main, then by age. See [Dumps](#dumps).
---```lua
---local task = vai.async(function() vai.chan():recv() end)
---while task:status() ~= "waiting" do
---	vai.yield()
---end
---print(vai.dump("goroutines.txt")) --> true
---for line in io.lines("goroutines.txt") do
---	if line:find("^goroutine") then
---		print(line)
---	end
---end
--- --> goroutine 1 [running]:
--- --> goroutine 2 [chan receive]:
---task:cancel()
---```
---@param file? file*|string a file handle or a file's name; default: stderr
---@return true?
---@return string? message where the file cannot be written
---@return integer? errno
function vai.dump(file) end

return vai
