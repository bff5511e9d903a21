-- SPDX-License-Identifier: MIT
-- What the lints share: the project's files, and how to complain.
local M = { bad = 0 }

-- Files under the folders, by name pattern, sorted.
function M.list(folders, pattern)
	local out = {}
	local pipe = assert(io.popen("find " .. folders .. " -type f 2>/dev/null | LC_ALL=C sort"))
	for path in pipe:lines() do
		if path:find(pattern) then
			out[#out + 1] = path
		end
	end
	pipe:close()
	return out
end

function M.lines(path)
	local out = {}
	for line in io.lines(path) do
		out[#out + 1] = line
	end
	return out
end

function M.complain(path, line, fmt, ...)
	M.bad = M.bad + 1
	io.stderr:write(("%s:%d: " .. fmt .. "\n"):format(path, line, ...))
end

-- Ends the lint: says that all is well, or fails.
function M.finish(fmt, ...)
	if M.bad > 0 then
		os.exit(1)
	end
	print(fmt:format(...))
end

return M
