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

-- Visits all functions of the module that can be reached from a value. Calls on_upvalue(f, index, name, value, trail) for
-- each upvalue, and on_field(table, key, trail) for each function in a table. trail: the steps to the function or table.
local function walk(value, trail, seen, on_upvalue, on_field)
	if seen[value] then return; end
	if type(value) == "function" then
		if not is_of_module(value) then return; end
		seen[value] = true;
		local i = 1;
		while true do
			local name, upvalue = debug.getupvalue(value, i);
			if not name then return; end
			on_upvalue(value, i, name, upvalue, trail);
			if type(upvalue) == "function" or type(upvalue) == "table" then
				walk(upvalue, { from = trail; key = i; name = name }, seen, on_upvalue, on_field);
			end
			i = i + 1;
		end
	elseif type(value) == "table" then
		seen[value] = true;
		for key, field in pairs(value) do
			if type(field) == "function" then
				if on_field then on_field(value, key, trail); end
				walk(field, { from = trail; key = key }, seen, on_upvalue, on_field);
			end
		end
	end
end

-- Entry points for Prosody: the module's own functions, and its handlers of events. Calls visit(function, key): the key
-- is the same in each instance of the module. There is none for events with several handlers.
local function each_entry(host, api, visit)
	for _, name in ipairs { "load", "save", "restore", "unload" } do visit(api[name], name); end
	for number, events in ipairs { prosody.hosts[host.name].events, prosody.events } do
		for event, handlers in pairs(events._event_map) do
			local own = {};
			for handler in pairs(handlers) do
				if type(handler) == "function" and is_of_module(handler) then table.insert(own, handler); end
			end
			for _, handler in ipairs(own) do
				visit(handler, not own[2] and type(event) == "string" and number.." "..event or nil);
			end
		end
	end
end

local function walk_all(host, api, on_upvalue, on_field)
	local seen = {};
	each_entry(host, api, function (f, key)
		walk(f, { key = key; is_entry = true }, seen, on_upvalue, on_field);
	end);
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

-- Places of the module's variables: upvalues and fields with functions, by name. The functions of an instance refer to
-- each other as those of any other instance. So the whole module is walked once, and the trails lead to the places.

local surveys = {}; -- by source and names of entry points: the events depend on the configuration

-- Returns the places by name: { f, i } or { t, key }, with the trail to f or t.
local function survey(host, api)
	local places, known = {}, {};
	local function add(name, place)
		places[name] = places[name] or {};
		table.insert(places[name], place);
	end
	walk_all(host, api, function (f, i, name, _, trail)
		local id = debug.upvalueid(f, i);
		if known[id] then return; end
		known[id] = true;
		add(name, { f = f; key = i; trail = trail });
	end, function (t, key, trail)
		add(key, { t = t; key = key; trail = trail });
	end);
	return places;
end

local known_entries = setmetatable({}, { __mode = "k" }); -- by instance

-- Returns the entry points of an instance: by key, and all keys as one text.
local function entries_of(host, api)
	local entries = known_entries[api];
	if entries then return entries; end
	local keys = { debug.getinfo(api.load, "S").source };
	entries = { by_key = {} };
	each_entry(host, api, function (f, key)
		if key then
			entries.by_key[key] = f;
			table.insert(keys, key);
		end
	end);
	table.sort(keys);
	entries.keys = table.concat(keys, "\n");
	known_entries[api] = entries;
	return entries;
end

-- Returns the function or table at the end of a trail. Nil if the module differs from the one that was walked.
local function follow(host, api, trail)
	if trail.is_entry then return trail.key and entries_of(host, api).by_key[trail.key]; end
	local from = follow(host, api, trail.from);
	if type(from) == "table" then return from[trail.key]; end
	if type(from) ~= "function" or not trail.name or not is_of_module(from) then return; end
	local name, value = debug.getupvalue(from, trail.key);
	if name == trail.name then return value; end
end

local function place_in(host, api, name, place)
	local value = follow(host, api, place.trail);
	if place.t then
		return type(value) == "table" and type(value[name]) == "function" and { t = value; key = place.key } or nil;
	elseif type(value) == "function" and is_of_module(value) and debug.getupvalue(value, place.key) == name then
		return { f = value; key = place.key };
	end
end

-- Returns the places of variables with this name in an instance of the module.
local function places_of(host, api, name)
	local kind = entries_of(host, api).keys;
	if not surveys[kind] then surveys[kind] = survey(host, api); end
	local places = {};
	for i, place in ipairs(surveys[kind][name] or {}) do
		places[i] = place_in(host, api, name, place);
		-- Functions of this instance have been replaced.
		if not places[i] then return survey(host, api)[name] or {}; end
	end
	return places;
end

local function value_at(place)
	if place.t then return place.t[place.key]; end
	local _, value = debug.getupvalue(place.f, place.key);
	return value;
end

-- Returns one table of the module, as inspect.tables does.
function inspect.table(host, name)
	local found;
	for _, place in ipairs(places_of(host, host:module(), name)) do
		local value = value_at(place);
		if type(value) == "table" and (not found or holds_functions(found) and not holds_functions(value)) then found = value; end
	end
	return found;
end

-- By instance of the module, which keeps the same table.
local known = setmetatable({}, { __mode = "k" });

-- Accounts by occupant JID.
function inspect.accounts(host)
	local api = host:module();
	if not api then return {}; end
	known[api] = known[api] or inspect.table(host, "accounts");
	return known[api] or {};
end

-- Functions that replace those of the module. They may be replaced again.
local replacements = setmetatable({}, { __mode = "k" });

-- Replaces functions by their names, wherever they are used: { [name] = wrap(original) -> function }. Returns whether
-- there are any.
function inspect.replace_all(host, wraps)
	local new, is_new = {}, {};
	local function replacement(wrap, value)
		if type(value) ~= "function" or is_new[value] then return; end
		if not is_of_module(value) and not replacements[value] then return; end
		if not new[value] then
			new[value] = wrap(value);
			is_new[new[value]] = true;
			replacements[new[value]] = true;
		end
		return new[value];
	end
	local places = {};
	for name in pairs(wraps) do places[name] = places_of(host, host:module(), name); end
	for name, wrap in pairs(wraps) do
		for _, place in ipairs(places[name]) do
			local other = replacement(wrap, value_at(place));
			if other and place.t then
				place.t[place.key] = other;
			elseif other then
				debug.setupvalue(place.f, place.key, other);
			end
		end
	end
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

-- Combinations of a membership's fields that must not occur: { description, is_so(membership, place) }.
local nonsense = {
	{ "a phase without an end"; function (_, place) return not ends[place.phase](place); end };
	{ "a queue without an operation"; function (m, place)
		return place.phase == "joined" and m.queue and not place.operation;
	end };
	{ "detached with sessions attached"; function (m) return m.detachedAt and next(m.attached); end };
	{ "in the room without a session, and without the time of its last one"; function (m, place)
		return place.phase == "joined" and not m.detachedAt and not next(m.attached);
	end };
	{ "in the room without having been admitted"; function (m, place)
		return (place.phase == "joined" or place.phase == "entering") and not m.established;
	end };
	{ "with a time of its admission, and not admitted"; function (m) return m.since and not m.established; end };
	{ "in the room without an own presence"; function (m, place) return place.phase == "joined" and not m.view.self; end };
	{ "a part of a log without this reader"; function (m)
		return m.part and m.part.log.readers[m.username] ~= m;
	end };
	{ "a list of occupants without this reader"; function (m) return m.view.list and not m.view.list.readers[m.view]; end };
	{ "a wrong count of readers"; function (m)
		return m.view.list and m.view.list.readerCount ~= count(m.view.list.readers);
	end };
	{ "a wrong count of occupants"; function (m)
		return m.view.list and m.view.list.count ~= count(m.view.list.occupants);
	end };
	{ "a queued join of an attached session, without an operation"; function (m, place)
		if place.phase ~= "joined" or place.operation then return false; end
		for session in pairs(m.attached) do
			if has_request(m, session) then return true; end
		end
	end };
};

-- Returns a description of an inconsistent membership, or nothing.
function inspect.problem(host)
	local problem;
	inspect.each_membership(host, function (membership)
		local place = membership.place;
		if not place then return; end
		for i = 1, #nonsense do
			if nonsense[i][2](membership, place) then
				problem = ("%s in %s is %s: %s"):format(membership.username, membership.room, place.phase, nonsense[i][1]);
			end
		end
	end);
	return problem;
end

return inspect;
