-- SPDX-License-Identifier: MIT
-- Nothing is used but the module loaded.
-- expect-status: 0
-- expect-stdout: table
-- within: 10
print(type(require("vai")))
