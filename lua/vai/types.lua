---@meta vai
-- SPDX-License-Identifier: MIT
-- Types of the module "vai" for the Lua language server. Never loaded at run time.
-- Times are seconds. "Raises" is error(); expected failure is nil and a reason.

---@class vai
---@field _VERSION string
local vai = {}

-- ---- goroutines ----

---What runs or ran as a goroutine.
---@class vai.task
local task = {}

---Waits for its end: true and the results of its function, or false and its error.
---@param timeout? number
---@return boolean? ok nil: the time is over
---@return any ... results; the error; or "timeout"
function task:join(timeout) end

---Raises an error in the goroutine, at its next Lua instruction or where it waits: join gives
---false and the reason, and nothing is reported. One that has not begun never runs.
---To-be-closed variables run, and may wait. Who catches the error has some 20 milliseconds to
---clean up, in which waits work; then it is raised again, and again, so that the goroutine ends.
---To-be-closed variables may take ten seconds, of which one of processor time, or until
---the goroutine is canceled once more: then it is raised in them, too. A function that catches
---the error and returns has ended well. Any error that leaves it after it was canceled
---counts as its end.
---@param reason? any what can be sent; default "canceled"; the first counts
---@return boolean alive false: it had ended
function task:cancel(reason) end

---@return "runnable"|"running"|"waiting"|"done"|"failed"
---@nodiscard
function task:status() end

---@return integer
---@nodiscard
function task:id() end

---Runs f(...) as a goroutine. What f captures and the arguments are copied. An error that f
---does not catch ends the program with status 2, unless vai.on_panic says otherwise.
---@param f function
---@param ... any
---@return vai.task
function vai.go(f, ...) end

---As vai.go, but an error is kept for task:join; one that nobody joined is reported on stderr
---when the task is dropped.
---@param f function
---@param ... any
---@return vai.task
---@nodiscard
function vai.async(f, ...) end

---What a goroutine of vai.spawn is called and may use. What it starts itself is not bounded.
---@class vai.options
---@field name? string for reports and dumps; up to 63 bytes
---@field memory? integer bytes of its Lua state, at least 65536. Beyond it "not enough memory" is raised; who catches that has an eighth more, once; the next time the goroutine ends
---@field cpu? number seconds of processor time. Then it is ended as by task:cancel, with the error "cpu time exceeded"
---@field libs? string[] the standard libraries that it has besides the base functions: "string", "table", "math", "utf8", "coroutine", "io", "os", "debug", "package" (with `require`). Functions of others that f captures it has in any case

---As vai.async, with bounds. An unknown option raises.
---@param opts vai.options
---@param f function
---@param ... any
---@return vai.task
---@nodiscard
function vai.spawn(opts, f, ...) end

---Ties this goroutine to its OS thread, which runs no other meanwhile: for C libraries that keep
---something for each thread. Nests. A thread that is still locked when its goroutine ends, ends, too.
function vai.lock_thread() end

---Raises in a goroutine that is not locked.
function vai.unlock_thread() end

---Lets others run.
function vai.yield() end

---The id of this goroutine; 1 is main.
---@return integer
---@nodiscard
function vai.id() end

---How many goroutines there are, main included.
---@return integer
---@nodiscard
function vai.count() end

---How many goroutines may run Lua at the same moment; with n sets it and returns the old.
---@param n? integer 1 to 1024
---@return integer
function vai.maxprocs(n) end

---The CPUs that this process may use.
---@return integer
---@nodiscard
function vai.numcpu() end

---Calls f(err, traceback, id) in the main goroutine for each error that would have ended the
---program; nil as before. To be called in the main goroutine.
---@param f? fun(err: any, traceback: string, id: integer)
function vai.on_panic(f) end

---Counters of the scheduler.
---@class vai.stats
---@field goroutines integer alive now
---@field spawned integer
---@field ended integer
---@field parks integer
---@field steals integer
---@field stolen integer
---@field handoffs integer
---@field wakeups integer
---@field global_gets integer
---@field overflows integer
---@field timers_fired integer
---@field stacks integer
---@field procs integer
---@field idle_procs integer
---@field threads integer
---@field idle_threads integer
---@field spinning integer
---@field preempted integer how often a goroutine was interrupted
---@field retaken integer processors taken from goroutines in C calls
---@field states string how Lua states are made: "clone" or "build", and why

---@return vai.stats
---@nodiscard
function vai.stats() end

---Writes what every goroutine does: its state, what it waits for and for how long, its traceback, where
---it was created; the calling goroutine first, then main, then by age. See "Debugging".
---@param file? file*|string a file handle or a file's name; default: stderr
---@return true?
---@return string? message where the file cannot be written
---@return integer? errno
function vai.dump(file) end

-- ---- channels ----

---A queue between goroutines. #ch is the number of messages in it; `for v in ch do` receives
---until it is closed and drained.
---@class vai.channel
---@operator len: integer
---@operator call: any
local channel = {}

---@param capacity? integer 0, the default: the sender waits for a receiver
---@return vai.channel
---@nodiscard
function vai.chan(capacity) end

---Raises "send on closed channel", and for nil.
---@param v any
---@param timeout? number
---@return true?
---@return "timeout"?
function channel:send(v, timeout) end

---@param timeout? number
---@return any value nil: closed and drained, or the time is over
---@return "closed"|"timeout"|nil
function channel:recv(timeout) end

---@param v any
---@return true?
---@return "full"?
function channel:try_send(v) end

---@return any
---@return "empty"|"closed"|nil
function channel:try_recv() end

---Raises "close of closed channel".
function channel:close() end

---@return integer
---@nodiscard
function channel:cap() end

---@return boolean
---@nodiscard
function channel:is_closed() end

---A case: a channel to receive from, { channel, value } to send, false for none.
---@alias vai.case vai.channel|{ [1]: vai.channel|false, [2]: any }|false

---@class vai.cases
---@field [integer] vai.case
---@field timeout? number
---@field default? boolean do not wait

---Waits for one of the cases; of several ready ones a random one goes. Unknown options are errors.
---@param cases vai.cases
---@return integer? i the case's place in the list
---@return any value what was received; true for a send; "timeout" or "default" without a case
---@return "closed"? err
function vai.select(cases) end

-- ---- synchronisation ----

---A counter that goroutines wait for to reach zero.
---@class vai.waitgroup
local waitgroup = {}

---@return vai.waitgroup
---@nodiscard
function vai.waitgroup() end

---Raises "negative waitgroup counter".
---@param n? integer default 1
function waitgroup:add(n) end

---add(-1)
function waitgroup:done() end

---@param timeout? number
---@return true?
---@return "timeout"?
function waitgroup:wait(timeout) end

---add(1) and vai.go(f, ...); done when it has ended.
---@param f function
---@param ... any
---@return vai.task
function waitgroup:go(f, ...) end

-- ---- time ----

---@param seconds number
function vai.sleep(seconds) end

---Seconds of a clock that only goes forward.
---@return number
---@nodiscard
function vai.now() end

---A channel that gets vai.now() once.
---@param seconds number
---@return vai.channel
---@nodiscard
function vai.after(seconds) end

---@class vai.timer
local timer = {}

---Runs f(...) as a goroutine later.
---@param seconds number
---@param f function
---@param ... any
---@return vai.timer
function vai.timer(seconds, f, ...) end

---@return boolean stopped true: it was pending and does not fire
function timer:stop() end

---Starts it again, whether it was stopped, has fired or is pending.
---@param seconds number
---@return boolean pending it was pending
function timer:reset(seconds) end

---@class vai.ticker
local ticker = {}

---Sends vai.now() into its channel again and again; a slow receiver misses ticks.
---@param seconds number
---@return vai.ticker
---@nodiscard
function vai.ticker(seconds) end

---@return vai.channel
---@nodiscard
function ticker:chan() end

---@return boolean stopped it was running
function ticker:stop() end

---@param seconds number
function ticker:reset(seconds) end

return vai
