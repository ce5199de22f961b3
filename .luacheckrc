std = "min"
max_line_length = false

-- The compiled module may only use functions common to Lua 5.1 to 5.4, and the names that Prosody defines.
files["lua-out"] = {
	read_globals = {
		prosody = { other_fields = true; fields = { full_sessions = { read_only = false; other_fields = true } } };
		module = {
			fields = {
				"name", "host", "environment", "reloading", "hook", "hook_global", "unhook", "hook_object_event", "unhook_object_event",
				"wrap_event", "fire_event", "log", "send", "send_iq", "add_timer", "depends", "context", "shared", "require", "open_store",
				"add_feature", "add_identity", "add_item", "remove_item", "handle_items", "get_host_items", "get_host_type", "provides",
				"get_option", "get_option_scalar", "get_option_string", "get_option_number", "get_option_boolean",
				"get_option_array", "get_option_set", "get_option_inherited_set", "get_option_path",
				"measure", "metric", "hourly", "daily", "weekly", "set_status", "log_status",
				-- Only in 13.0. The module tests for it before use.
				"may", "could", "default_permission", "default_permissions", "on_ready",
				"get_option_integer", "get_option_period", "get_option_enum",
				load = { read_only = false }; unload = { read_only = false };
				save = { read_only = false }; restore = { read_only = false }; ready = { read_only = false };
			};
		};
	};
	ignore = { "212/self" }; -- functions that the admin shell and mod_adhoc call as methods
}

files["spec"] = { std = "lua54+busted"; read_globals = { prosody = { other_fields = true } }; self = false }
for _, path in ipairs { "spec/support/modules", "spec/support/fixtures", "e2e/support/modules", "demo/modules", "bench/modules" } do
	files[path] = { std = "lua54"; globals = { "prosody", "module" }; self = false }
end
-- The virtual clock replaces the real one, and each server under test is the global `prosody`.
files["spec/support/clock.lua"] = { globals = { "os.time", "os.date" } }
files["spec/support/prosody.lua"] = { globals = { "prosody", "CFG_PLUGINDIR" } }
