-- The inside of the module, found by name as upvalues of its functions: production code needs no door for the specs.
-- What the specs know of the module's data is in this file alone.

local inspect = {};

-- Tables that grow with what accounts do.
inspect.growing = { "accounts", "pendingIqs", "iqsOfSession", "joined", "questions", "logs", "changed" };

local function is_of_module(f)
	return debug.getinfo(f, "S").source:find("mod_minimix.lua", 1, true) ~= nil;
end

-- Calls on_upvalue(f, index, name, value) for each upvalue of each function of the module that can be reached from a value,
-- and on_field(table, key, value) for each function that a table holds. Either returns true to end it.
local function walk(value, seen, on_upvalue, on_field)
	if seen[value] then return; end
	if type(value) == "function" then
		if not is_of_module(value) then return; end
		seen[value] = true;
		local i = 1;
		while true do
			local name, upvalue = debug.getupvalue(value, i);
			if not name then return; end
			if on_upvalue(value, i, name, upvalue) then return true; end
			if type(upvalue) == "function" or type(upvalue) == "table" and name:find "^____" then
				if walk(upvalue, seen, on_upvalue, on_field) then return true; end
			end
			i = i + 1;
		end
	elseif type(value) == "table" then
		seen[value] = true;
		for key, field in pairs(value) do
			if type(field) == "function" then
				if on_field and on_field(value, key, field) then return true; end
				if walk(field, seen, on_upvalue, on_field) then return true; end
			end
		end
	end
end

-- What Prosody calls: the module's own functions, and its handlers of events.
local function walk_all(host, api, on_upvalue, on_field)
	local seen = {};
	for _, name in ipairs { "load", "save", "restore", "unload" } do
		if walk(api[name], seen, on_upvalue, on_field) then return; end
	end
	for _, events in ipairs { prosody.hosts[host.name].events, prosody.events } do
		for _, handlers in pairs(events._event_map) do
			for handler in pairs(handlers) do
				if walk(handler, seen, on_upvalue, on_field) then return; end
			end
		end
	end
end

-- The module's own tables, by the names that they have in the bundle. host: support.host
function inspect.tables(host)
	local found = {};
	walk_all(host, host:module(), function (_, _, name, value)
		if type(value) == "table" and not found[name] then found[name] = value; end
	end);
	return found;
end

-- By instance of the module: it is the same table all its life.
local known = setmetatable({}, { __mode = "k" });

-- Accounts by occupant JID.
function inspect.accounts(host)
	local api = host:module();
	if not known[api] then
		walk_all(host, api, function (_, _, name, value)
			if name == "accounts" and type(value) == "table" then
				known[api] = value;
				return true;
			end
		end);
	end
	return known[api] or {};
end

-- Puts something in the place of the functions of the module that have a name, wherever they are used:
-- wrap(original) -> function. Returns whether there are any.
function inspect.replace(host, name, wrap)
	local new, is_new = {}, {};
	local function replacement(key, value)
		if key ~= name or type(value) ~= "function" or is_new[value] or not is_of_module(value) then return; end
		if not new[value] then
			new[value] = wrap(value);
			is_new[new[value]] = true;
		end
		return new[value];
	end
	walk_all(host, host:module(), function (f, i, key, value)
		local other = replacement(key, value);
		if other then debug.setupvalue(f, i, other); end
	end, function (t, key, value)
		t[key] = replacement(key, value) or value;
	end);
	return next(new) ~= nil;
end

-- Memberships

function inspect.membership(host, occupant_jid, room)
	local account = inspect.accounts(host)[occupant_jid];
	return account and account.memberships[room];
end

-- "joined" and so on; "none" without a membership.
function inspect.phase(membership)
	if not membership then return "none"; end
	return membership.phase or membership.place.phase;
end

function inspect.is_attached(membership, session)
	return membership ~= nil and membership.attached[session] ~= nil;
end

return inspect;
