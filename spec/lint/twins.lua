-- SPDX-License-Identifier: MIT
-- Twins: no two places of src/ have the same code for long. Twelve lines in a row that are alike but for names,
-- numbers and strings, or eight that are the same to the letter, are to be written once. Comments, blank lines,
-- includes, lone braces, strings, and lines of enums and tables (of methods, of names) do not count.
package.path = "spec/lint/?.lua;" .. package.path
local files = require "files"

local ALIKE, SAME = 12, 8

local keywords = {}
for word in ([[if else for while do switch case default return break continue goto sizeof static const struct enum
	union void int bool char unsigned typedef inline extern]]):gmatch("%a+") do
	keywords[word] = true
end

-- The lines that count: { number =, text =, shape = }.
local function code_of(path)
	local text = table.concat(files.lines(path), "\n")
	text = text:gsub("/%*.-%*/", function(comment)
		return (comment:gsub("[^\n]", ""))
	end)
	local out, number = {}, 0
	for line in (text .. "\n"):gmatch("(.-)\n") do
		number = number + 1
		line = line:gsub("%s+", " "):gsub("^ ", ""):gsub(" $", "")
		local thin = line:find("^[%p ]*$") or line:find("^#") or line:find("^{.*},?$") or line:find("^%[.*%] = ")
			or line:find("^%.[%w_]+ = .*,$") or line:find("^[%u_%d]+[, (]") or line:find('^"')
		if not thin then
			local shape = line:gsub('"[^"]*"', "S"):gsub("[%a_][%w_]*", function(word)
				return not keywords[word] and "I" or nil
			end)
			out[#out + 1] = { number = number, text = line, shape = shape }
		end
	end
	return out
end

local places, complained = { text = {}, shape = {} }, {}

-- Complains of each run of `length` lines that stood somewhere before; a longer run is one complaint.
local function look(path, code, field, length, what)
	local seen, skip = places[field], 0
	for i = 1, #code - length + 1 do
		local run = {}
		for k = i, i + length - 1 do
			run[#run + 1] = code[k][field]
		end
		local key = table.concat(run, "\n")
		local before = seen[key]
		if before and i > skip and not (before.path == path and code[i].number - before.line < length) then
			skip = i + length
			local pair = path .. before.path .. field
			if not complained[pair] then
				complained[pair] = true
				files.complain(path, code[i].number, "%d lines in a row as at %s:%d%s", length, before.path, before.line, what)
			end
		end
		seen[key] = before or { path = path, line = code[i].number }
	end
end

local all = files.list("src ext", "%.[ch]$")
for _, path in ipairs(all) do
	local code = code_of(path)
	look(path, code, "text", SAME, "")
	look(path, code, "shape", ALIKE, ", but for names")
end
files.finish("twins: %d files, none shares %d lines of code, or %d to the letter", #all, ALIKE, SAME)
