-- SPDX-License-Identifier: MIT
-- The memory that a parked goroutine costs which has called into each standard library.
local bench = dofile((arg[0]:match("^.*/") or "") .. "bench.lua")

bench.parked("parked_libs", bench.count(100000), function(ch, ready, ended)
  assert(("x"):rep(3):upper() == "XXX" and table.concat({ 1, 2 }, ",") == "1,2")
  assert(math.max(1, 2) == 2 and utf8.char(955) == "λ" and os.time() > 0)
  assert(io.type(io.stdout) == "file" and debug.getinfo(1, "l") and coroutine.running())
  ready:done()
  ch:recv()
  ended:done()
end)
