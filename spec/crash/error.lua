-- SPDX-License-Identifier: MIT
-- An uncaught error in a goroutine ends the program: message, traceback, where it was created.
-- expect-status: 2
-- expect-stdout: before
-- expect-stderr: goroutine %d+
-- expect-stderr: error%.lua:@raise@: boom
-- expect-stderr: stack traceback:
-- expect-stderr: error%.lua:@raise@: in [^\n]*inner
-- expect-stderr: error%.lua:@call@
-- expect-stderr: created [^\n]*error%.lua:@go@
local vai = require("vai")

print("before")
local function inner()
	error("boom") --@raise
end

local function outer()
	local x = 1
	inner() --@call
	return x
end

vai.go(outer) --@go
vai.sleep(1000)
print("not reached")
