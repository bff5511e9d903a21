-- SPDX-License-Identifier: MIT
return { name = "second" }
