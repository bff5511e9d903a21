-- SPDX-License-Identifier: MIT
-- The work of fib.lua in stock Lua without vai. Prints when it began and ended, in
-- nanoseconds: the runner compares two such processes side by side with one. Stock
-- Lua has no clock of the wall finer than a second, hence date(1).
local of, result = 27, 196418
local n = math.tointeger(tonumber(arg[1] or 64))

local function now()
  local date <close> = assert(io.popen("date +%s%N"))
  return date:read("n")
end

local function fib(i)
  if i < 2 then
    return i
  end
  return fib(i - 1) + fib(i - 2)
end

local start = now()
for _ = 1, n do
  assert(fib(of) == result)
end
print(start, now())
