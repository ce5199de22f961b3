-- The module's own tables, found by name as upvalues of its functions: production code needs no door for the specs.

local function is_of_module(f)
	return debug.getinfo(f, "S").source:find("mod_minimix.lua", 1, true) ~= nil;
end

local function visit(value, found, seen)
	if seen[value] then return; end
	if type(value) == "function" then
		if not is_of_module(value) then return; end
		seen[value] = true;
		local i = 1;
		while true do
			local name, upvalue = debug.getupvalue(value, i);
			if not name then return; end
			if type(upvalue) == "table" and not found[name] then found[name] = upvalue; end
			if type(upvalue) == "table" or type(upvalue) == "function" then visit(upvalue, found, seen); end
			i = i + 1;
		end
	elseif type(value) == "table" then
		seen[value] = true;
		for _, field in pairs(value) do
			if type(field) == "function" then visit(field, found, seen); end
		end
	end
end

-- By instance of the module: its tables are the same all its life.
local known = setmetatable({}, { __mode = "k" });

-- host: support.host. Returns the tables by the names they have in the bundle.
local function tables(host)
	local api = host:module();
	if known[api] then return known[api]; end
	local found, seen = {}, {};
	known[api] = found;
	for _, name in ipairs { "load", "save", "restore", "unload" } do
		visit(api[name], found, seen);
	end
	for _, events in ipairs { prosody.hosts[host.name].events, prosody.events } do
		for _, handlers in pairs(events._handlers or {}) do
			for _, handler in ipairs(handlers or {}) do visit(handler, found, seen); end
		end
	end
	return found;
end

return { tables = tables };
