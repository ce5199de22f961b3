-- Access to the module's internals, by names of upvalues of its functions, so that the module needs no test interface.
-- Only this file depends on the module's data.

local inspect = {};

-- Tables that grow with the actions of accounts.
inspect.growing = { "accounts", "pendingIqs", "iqsOfSession", "joined", "questions", "logs", "changed" };

local is_module = {}; -- by source

local function is_of_module(f)
	local source = debug.getinfo(f, "S").source;
	if is_module[source] == nil then is_module[source] = source:find("mod_minimix.lua", 1, true) ~= nil; end
	return is_module[source];
end

-- Visits all functions of the module that can be reached from a value. Calls on_upvalue(f, index, name, value) for each
-- upvalue, and on_field(table, key, value) for each function in a table. Either may return true to stop.
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
			if (type(upvalue) == "function" or type(upvalue) == "table") and walk(upvalue, seen, on_upvalue, on_field) then
				return true;
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

-- Entry points for Prosody: the module's own functions, and its handlers of events.
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

local function holds_functions(t)
	local _, value = next(t);
	return type(value) == "function";
end

-- The module's tables, by their names in the bundle. Tables of data come before tables of functions with the same name.
-- host: support.host
function inspect.tables(host)
	local found = {};
	walk_all(host, host:module(), function (_, _, name, value)
		if type(value) ~= "table" then return; end
		if not found[name] or holds_functions(found[name]) and not holds_functions(value) then found[name] = value; end
	end);
	return found;
end

-- By instance of the module, which keeps the same table.
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

-- Functions that replace those of the module. They may be replaced again.
local replacements = setmetatable({}, { __mode = "k" });

-- Replaces functions by their names, wherever they are used: { [name] = wrap(original) -> function }. Returns whether
-- there are any.
function inspect.replace_all(host, wraps)
	local new, is_new = {}, {};
	local function replacement(key, value)
		local wrap = wraps[key];
		if not wrap or type(value) ~= "function" or is_new[value] then return; end
		if not is_of_module(value) and not replacements[value] then return; end
		if not new[value] then
			new[value] = wrap(value);
			is_new[new[value]] = true;
			replacements[new[value]] = true;
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

function inspect.replace(host, name, wrap)
	return inspect.replace_all(host, { [name] = wrap });
end

-- Memberships

function inspect.membership(host, occupant_jid, room)
	local account = inspect.accounts(host)[occupant_jid];
	return account and account.memberships[room];
end

-- Returns "joined" and so on; "none" without a membership.
function inspect.phase(membership)
	if not membership then return "none"; end
	return membership.phase or membership.place.phase;
end

function inspect.is_attached(membership, session)
	return membership ~= nil and membership.attached[session] ~= nil;
end

-- Calls f(membership) for all memberships.
function inspect.each_membership(host, f)
	for _, account in pairs(inspect.accounts(host)) do
		for _, membership in pairs(account.memberships) do f(membership); end
	end
end

local function count(t)
	local n = 0;
	for _ in pairs(t) do n = n + 1; end
	return n;
end

-- Each phase ends by an operation with a timeout, a timer, or a turn in a queue.
local ends = {
	lost = function (place)
		local next_step = place.next;
		return next_step and (next_step.kind == "queue" or next_step.timer);
	end;
	joining = function (place) return place.operation and place.operation.timer; end;
	entering = function (place) return place.operation and place.timer; end;
	joined = function (place) return not place.operation or place.operation.timer; end;
	leaving = function (place) return not place.operation or place.operation.timer; end;
};

local function has_request(membership, session)
	for _, request in ipairs(membership.queue or {}) do
		if request.session == session and request.kind == "join" then return true; end
	end
	return false;
end

-- Combinations of a membership's fields that must not occur.
local nonsense = {
	["a phase without an end"] = function (_, place) return not ends[place.phase](place); end;
	["a queue without an operation"] = function (m, place)
		return place.phase == "joined" and m.queue and not place.operation;
	end;
	["detached with sessions attached"] = function (m) return m.detachedAt and next(m.attached); end;
	["in the room without a session, and without the time of its last one"] = function (m, place)
		return place.phase == "joined" and not m.detachedAt and not next(m.attached);
	end;
	["in the room without having been admitted"] = function (m, place)
		return (place.phase == "joined" or place.phase == "entering") and not m.established;
	end;
	["with a time of its admission, and not admitted"] = function (m) return m.since and not m.established; end;
	["in the room without an own presence"] = function (m, place) return place.phase == "joined" and not m.view.self; end;
	["a part of a log without this reader"] = function (m)
		return m.part and m.part.log.readers[m.username] ~= m;
	end;
	["a list of occupants without this reader"] = function (m) return m.view.list and not m.view.list.readers[m.view]; end;
	["a wrong count of readers"] = function (m)
		return m.view.list and m.view.list.readerCount ~= count(m.view.list.readers);
	end;
	["a wrong count of occupants"] = function (m)
		return m.view.list and m.view.list.count ~= count(m.view.list.occupants);
	end;
	["a queued join of an attached session, without an operation"] = function (m, place)
		if place.phase ~= "joined" or place.operation then return false; end
		for session in pairs(m.attached) do
			if has_request(m, session) then return true; end
		end
	end;
};

-- Returns a description of an inconsistent membership, or nothing.
function inspect.problem(host)
	local problem;
	inspect.each_membership(host, function (membership)
		local place = membership.place;
		for name, is_so in pairs(place and nonsense or {}) do
			if is_so(membership, place) then
				problem = ("%s in %s is %s: %s"):format(membership.username, membership.room, place.phase, name);
			end
		end
	end);
	return problem;
end

return inspect;
