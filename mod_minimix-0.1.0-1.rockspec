package = "mod_minimix"
version = "0.1.0-1"
-- Built from the folder it is in: luarocks make, or tools/rock.
source = { url = "file://." }
description = {
	summary = "A Prosody module: the account, not each client, is in the group chat";
	license = "MIT";
}
dependencies = { "lua >= 5.2" }
build = {
	type = "builtin";
	modules = { mod_minimix = "lua-out/mod_minimix.lua" };
}
