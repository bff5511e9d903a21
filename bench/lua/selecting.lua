-- SPDX-License-Identifier: MIT
-- What select4 and select32 share: goroutines that send numbers, each on an unbuffered channel of its own, to one that
-- selects.
local vai = require "vai"
local go, chan, waitgroup, select = vai.go, vai.chan, vai.waitgroup, vai.select

-- For that many senders and at least `least` numbers: how many there are; receive(cases), which takes all of them;
-- start() -> their channels; run(), in which a goroutine receives.
return function(producers, least)
  local each = (least + producers - 1) // producers
  local n = producers * each

  local function produce(ch)
    for i = 1, each do
      ch:send(i)
    end
  end

  local function receive(cases)
    local sum = 0
    for _ = 1, n do
      local _, v = select(cases)
      sum = sum + v
    end
    assert(sum == producers * (each * (each + 1) // 2))
  end

  local function start()
    local channels = {}
    for i = 1, producers do
      channels[i] = chan()
      go(produce, channels[i])
    end
    return channels
  end

  local function run()
    local channels, wg = start(), waitgroup()
    wg:go(receive, channels)
    wg:wait()
  end

  return n, receive, start, run
end
