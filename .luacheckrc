std = "lua54"
max_line_length = 120
exclude_files = { "build", "lua/vai/types.lua" }
files["spec/lua"] = { std = "+busted", max_line_length = 140 }
files["rockspec"] = { std = "+rockspec" }
