package = "mod_minimix"
version = "0.2.0-1"
-- Built from this folder, by luarocks make or tools/rock.
source = { url = "file://." }
description = {
	summary = "A Prosody module that makes the account, not each client, the occupant of group chats";
	license = "MIT";
}
dependencies = { "lua >= 5.2" }
build = {
	type = "builtin";
	modules = { mod_minimix = "lua-out/mod_minimix.lua" };
}
