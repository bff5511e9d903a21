-- SPDX-License-Identifier: MIT
-- Documents: a link to a file or to a heading leads somewhere; doc/LOCKS.md has the ranks of src/base/lock.h, in
-- their order; README.md names each package that mk/deps installs for building and testing; a function vai__... that
-- a page in doc/ names is there; the map in doc/ARCHITECTURE.md has all files and folders; doc/API.md has each
-- variable of the environment.
package.path = "spec/lint/?.lua;" .. package.path
local files = require "files"

local function is_fence(line)
	return line:find("^```") ~= nil
end

-- A heading's anchor as GitHub makes it: no marks, blanks as hyphens, in lower case.
local function anchor_of(heading)
	local text = heading:gsub("`", ""):gsub("%[(.-)%]%b()", "%1"):lower()
	return (text:gsub("[^%w%s_-]", ""):gsub("%s", "-"))
end

local anchors = {}
local function anchors_of(path)
	if not anchors[path] then
		local set, inside = {}, false
		for _, line in ipairs(files.lines(path)) do
			inside = is_fence(line) ~= inside
			local heading = not inside and line:match("^#+%s+(.*)$")
			if heading then
				set[anchor_of(heading)] = true
			end
		end
		anchors[path] = set
	end
	return anchors[path]
end

local function exists(path)
	local f = io.open(path)
	return f and f:close()
end

-- doc/../src/x is src/x.
local function resolve(from, target)
	local path = (from:match("^(.*/)") or "") .. target
	local n
	repeat
		path, n = path:gsub("[^/.]+/%.%./", "", 1)
	until n == 0
	return path
end

local function check_link(path, n, link)
	if link:find("^%a+:") then
		return
	end
	local target, anchor = link:match("^([^#]*)#?(.*)$")
	local file = target == "" and path or resolve(path, target)
	if not exists(file) then
		files.complain(path, n, "a link to %s, which is not there", link)
	elseif anchor ~= "" and not anchors_of(file)[anchor] then
		files.complain(path, n, "a link to %s, a heading that is not there", link)
	end
end

local all = files.list(".", "%.md$")
local pages = {}
for _, path in ipairs(all) do
	path = path:gsub("^%./", "")
	if not path:find("^build/") then
		pages[#pages + 1] = path
		local inside = false
		for n, line in ipairs(files.lines(path)) do
			inside = is_fence(line) ~= inside
			for link in (inside and "" or line:gsub("`[^`]*`", "")):gmatch("%]%(([^)%s]+)%)") do
				check_link(path, n, link)
			end
		end
	end
end

local function ranks(path, pattern)
	local list = {}
	for _, line in ipairs(files.lines(path)) do
		list[#list + 1] = line:match(pattern)
	end
	return table.concat(list, " ")
end
local coded = ranks("src/base/lock.h", "^\tVAI_RANK_(%u+)")
local told = ranks("doc/LOCKS.md", "^| `(%u+)` |")
if coded ~= told then
	files.complain("doc/LOCKS.md", 1, "its ranks are %s; those of src/base/lock.h are %s", told, coded)
end
-- A function of vai's that a page in doc/ names is there.
local sources = {}
for _, path in ipairs(files.list("src", "%.[chS]$")) do
	sources[#sources + 1] = table.concat(files.lines(path), "\n")
end
sources = table.concat(sources, "\n")
for _, path in ipairs(pages) do
	for n, line in ipairs(path:find("^doc/") and files.lines(path) or {}) do
		for name in line:gmatch("`(vai__[%l%d_]+)`") do
			if not sources:find("%f[%w_]" .. name .. "%f[^%w_]") then
				files.complain(path, n, "%s is not in src", name)
			end
		end
	end
end

-- The map in doc/ARCHITECTURE.md has each file of src/, alone or by its folder, each .c file of ext/ and each folder of
-- the project; and what it has is there.
local map = table.concat(files.lines("doc/ARCHITECTURE.md"), "\n"):match("\n## 2%..-\n## 3%.")
local function is_on_map(name)
	return map:find("`" .. name .. "`", 1, true) or map:find("`" .. name .. ".h`", 1, true)
end
for _, path in ipairs(files.list("src", "%.[chS]$")) do
	local folder, stem = path:match("^src/(.-)([^/]+)%.%a$")
	local by_folder = folder ~= "" and map:find("| `" .. folder .. "`", 1, true)
	if not is_on_map(folder .. stem) and not is_on_map(stem) and not by_folder then
		files.complain(path, 1, "not in the map of doc/ARCHITECTURE.md")
	end
end
for _, path in ipairs(files.list("ext", "%.c$")) do
	if not is_on_map(path:match("^(.*)%.c$")) then
		files.complain(path, 1, "not in the map of doc/ARCHITECTURE.md")
	end
end
for folder in io.popen("ls -d */ .ci/"):lines() do
	if folder ~= "src/" and folder ~= "build/" and not map:find("\n| `" .. folder, 1, true) then
		files.complain(folder, 1, "not in the map of doc/ARCHITECTURE.md")
	end
end
for row in map:gmatch("\n| `([%w_./]+)` |") do
	local source = row:find("^ext/") and row or "src/" .. row
	if not exists(row) and not exists(source) and not exists(source .. ".h") and not exists(source .. ".c") then
		files.complain("doc/ARCHITECTURE.md", 1, "the map has %s, which is not there", row)
	end
end

-- doc/API.md has each variable of the environment that the sources ask for.
local api = table.concat(files.lines("doc/API.md"), "\n")
for name in sources:gmatch('getenv%("(VAI_[%u_]+)"%)') do
	if not api:find("\n| `" .. name .. "[`=]") then
		files.complain("doc/API.md", 1, "its table of the environment does not have %s", name)
	end
end

local readme, group = table.concat(files.lines("README.md"), "\n"), nil
for n, line in ipairs(files.lines("mk/deps")) do
	group = line:match("^(%l+)%)$") or group
	local package = line:match("^\tneed (%S+)")
	if package and (group == "build" or group == "test") and not readme:find("`" .. package .. "`", 1, true) then
		files.complain("mk/deps", n, "README.md does not list %s", package)
	end
end
files.finish("docs: %d pages", #pages)
