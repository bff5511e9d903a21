std = "lua54"
max_line_length = 120
exclude_files = { "build", "lua/vai/types.lua" }
files["spec/lua"] = { std = "+busted" }
files["rockspec"] = { std = "+rockspec" }
