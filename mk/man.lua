-- SPDX-License-Identifier: MIT
-- lua5.4 mk/man.lua HEADER...: vai(3) from the comments of the headers, to stdout. What stands before a group of
-- declarations is printed below them.
local function line(text)
	text = text:gsub("\\", "\\e")
	print((text:gsub("^[.']", "\\&%0")))
end

-- Comments are lists of lines; code is a list of lines, too.
local function emit(code, comment)
	if #code > 0 then
		print(".PP\n.nf\n.ft B")
		for _, l in ipairs(code) do
			line((l:gsub("VAI_API ", ""):gsub("\t", "    ")))
		end
		print(".ft R\n.fi")
	end
	if #comment > 0 then
		print(#code > 0 and ".RS" or ".PP")
		for _, l in ipairs(comment) do
			line(l)
		end
		if #code > 0 then
			print(".RE")
		end
	end
end

local function header(name)
	local code, comment, inside = {}, {}, false
	local function flush()
		emit(code, comment)
		code, comment = {}, {}
	end
	for l in io.lines(name) do
		local section = l:match("^/%* %-%-%-%- (.*) %-%-%-%- %*/$")
		if section then
			flush()
			print(".SS " .. section)
		elseif l:find("SPDX", 1, true) then
			flush()
		elseif inside or l:match("^/%*") then
			if not inside then
				flush()
			end
			comment[#comment + 1] = l:gsub("^/%* ?", ""):gsub("^ %* ?", ""):gsub(" ?%*/$", "")
			inside = not l:find("*/", 1, true)
		elseif l == "" then
			flush()
		elseif not l:match("^#") and not l:match('^extern "C"') and l ~= "}" then
			code[#code + 1] = l
		end
	end
	flush()
end

print([[.TH VAI 3 "" "vai 0.1.0" "vai"
.SH NAME
vai \- goroutines on all cores for C, C++ and Lua 5.4
.SH SYNOPSIS
.nf
.B #include <vai.h>
.B #include <vai_lua.h>
.PP
.B cc host.c $(pkg-config --cflags --libs vai)
.fi]])
for _, name in ipairs(arg) do
	print(".SH " .. name:match("[^/]*$"))
	header(name)
end
