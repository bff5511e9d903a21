-- SPDX-License-Identifier: MIT
-- Nothing is used but the module loaded.
-- expect-status: 0
-- expect-stdout: table
print(type(require("vai")))
