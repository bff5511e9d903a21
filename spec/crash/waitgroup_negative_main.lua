-- SPDX-License-Identifier: MIT
-- expect-status: 1
-- expect-stderr: negative waitgroup counter
require("vai").waitgroup():done()
