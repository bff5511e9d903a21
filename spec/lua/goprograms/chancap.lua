-- SPDX-License-Identifier: BSD-3-Clause
-- After test/chancap.go of the Go distribution. Copyright 2009 The Go Authors. All rights reserved.
-- Use of this source code is governed by a BSD-style license: see the file LICENSE here.
-- Length and capacity of channels.
local vai = require("vai")

local c = vai.chan(10)
assert(#c == 0 and c:cap() == 10)
for i = 1, 3 do
	c:send(i)
end
assert(#c == 3 and c:cap() == 10)
c = vai.chan()
assert(#c == 0 and c:cap() == 0)
for _, n in ipairs({ -1, math.mininteger, 1 << 59, math.maxinteger }) do
	local ok, err = pcall(vai.chan, n)
	assert(not ok and err:find("chan"), err)
end
