-- SPDX-License-Identifier: MIT
-- What the pipelines of integers share: produce(ch) sends 1 to n and closes the channel, consume(ch) receives them
-- all, run(capacity) has two goroutines do that.
local vai = require "vai"

return function(n)
  local function produce(ch)
    for i = 1, n do
      ch:send(i)
    end
    ch:close()
  end

  local function consume(ch)
    local sum = 0
    for v in ch do
      sum = sum + v
    end
    assert(sum == n * (n + 1) // 2)
  end

  local function run(capacity)
    local ch, wg = vai.chan(capacity), vai.waitgroup()
    wg:go(produce, ch)
    wg:go(consume, ch)
    wg:wait()
  end

  return produce, consume, run
end
