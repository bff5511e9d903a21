-- SPDX-License-Identifier: MIT
-- Sizes: a .c at most 1,000 lines, a .h 400, a function 60, half of them at most 12, a line 120 columns
-- (a tab is 4). And the head: the SPDX line first, include guards in headers.
package.path = "spec/lint/?.lua;" .. package.path
local files = require "files"

local lengths = {}

-- A function's brace stands alone in the first column; it begins where the line before the brace
-- that is not a continuation does. Counted from there to the closing brace.
local function functions(path, lines)
	local open
	for n, line in ipairs(lines) do
		if line == "{" then
			open = n - 1
			while open > 1 and lines[open]:find("^[\t)]") do
				open = open - 1
			end
		elseif line == "}" and open then
			local length = n - open + 1
			lengths[#lengths + 1] = length
			if length > 60 then
				files.complain(path, open, "a function of %d lines (at most 60)", length)
			end
			open = nil
		end
	end
end

local function width(line)
	local column = 0
	for i = 1, utf8.len(line) or #line do
		column = line:byte(i) == 9 and column - column % 4 + 4 or column + 1
	end
	return column
end

local function head(path, lines)
	if not (lines[1] or ""):find("^/%* SPDX%-License%-Identifier: MIT %*/$") then
		files.complain(path, 1, "the first line is not the SPDX line")
	elseif not (lines[2] or ""):find("^/[*/]") then
		files.complain(path, 2, "no comment that says what the file is")
	end
	if path:find("%.h$") then
		local guard = table.concat(lines, "\n"):match("\n#ifndef (VAI_[%u%d_]*_H)\n#define %1\n")
		local name = path:match("([%w_]+)%.h$"):upper():gsub("^VAI_", "")
		if path ~= "src/vai.h" and (not guard or not guard:find(name .. "_H$")) then
			files.complain(path, 1, "no include guard 'VAI_..._H'")
		end
	end
end

local all = files.list("src ext spec/c spec/fuzz spec/sim bench/c bench/api", "%.[chS]$")
for _, path in ipairs(all) do
	local lines = files.lines(path)
	local limit = path:find("%.h$") and 400 or 1000
	if #lines > limit then
		files.complain(path, 1, "%d lines (at most %d)", #lines, limit)
	end
	for n, line in ipairs(lines) do
		if width(line) > 120 then
			files.complain(path, n, "%d columns (at most 120)", width(line))
		end
	end
	head(path, lines)
	if not path:find("%.S$") then
		functions(path, lines)
	end
end
table.sort(lengths)
local median = lengths[#lengths // 2 + 1] or 0
if median > 12 then
	files.complain("src", 1, "half of the functions are longer than %d lines (at most 12)", median)
end
local longest = lengths[#lengths] or 0
files.finish("size: %d files, %d functions, median %d lines, longest %d", #all, #lengths, median, longest)
