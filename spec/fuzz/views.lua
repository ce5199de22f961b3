-- The occupants that rooms have shown to each account, recorded apart from the shared lists.

local jid = require "util.jid";
local inspect = require "fuzz.inspect";

local views = {};

-- By instance of the module; and by reader the presences that the account has seen: { [nick] = presence }
local watched = setmetatable({}, { __mode = "k" });
local shown = setmetatable({}, { __mode = "k" });

-- A function that changes a view has been called in this event.
local recorded = false;

local function content(occupants, reader)
	local copy = {};
	for nick, held in occupants.eachOccupant(reader) do copy[nick] = held; end
	return copy;
end

local function shown_to(reader)
	shown[reader] = shown[reader] or {};
	return shown[reader];
end

-- Records the calls of the module's functions from now on.
local function watch(host, occupants)
	inspect.each_membership(host, function (membership)
		shown[membership.view] = content(occupants, membership.view);
	end);
	inspect.replace(host, "keepOccupant", function (keep)
		return function (room, reader, nick, held)
			local kept = keep(room, reader, nick, held);
			recorded = true;
			shown_to(reader)[nick] = kept and held or nil;
			return kept;
		end;
	end);
	for _, name in ipairs { "forgetOccupant", "setOwnNick" } do
		inspect.replace(host, name, function (original)
			return function (reader, nick)
				original(reader, nick);
				recorded = true;
				shown_to(reader)[nick] = nil;
			end;
		end);
	end
	inspect.replace(host, "forgetOccupants", function (forget)
		return function (reader)
			forget(reader);
			recorded = true;
			shown[reader] = nil;
		end;
	end);
end

local wrapped = setmetatable({}, { __mode = "k" });

-- Records presence that moves an account on without a call of these functions. Only its content counts.
local function watch_presence(host)
	local events = prosody.hosts[host.name].events;
	if wrapped[events] then return; end
	wrapped[events] = true;
	for _, name in ipairs { "presence/full", "presence/bare" } do
		events.add_wrapper(name, function (handlers, event_name, event)
			local stanza = event.stanza;
			local membership = inspect.membership(host, stanza.attr.to, jid.bare(stanza.attr.from));
			local view = membership and membership.view;
			local list, position = view and view.list, view and view.position;
			recorded = false;
			local result = handlers(event_name, event);
			local api = host:module();
			if view and not recorded and api and watched[api] and (view.list ~= list or view.position ~= position) then
				shown_to(view)[jid.resource(stanza.attr.from)] = stanza.attr.type == nil and watched[api].intern(stanza) or nil;
			end
			return result;
		end);
	end
end

local function same(one, other)
	for nick, held in pairs(one) do
		if other[nick] ~= held then return false; end
	end
	for nick in pairs(other) do
		if one[nick] == nil then return false; end
	end
	return true;
end

-- Describes an account with another view than its room has shown it. Returns nothing if there is none.
function views.problem(host)
	local api = host:module();
	if not api then return; end
	if not watched[api] then
		local tables = inspect.tables(host);
		if not (tables.state_occupants and tables.state_interned) then return "there is no module of occupants"; end
		watched[api] = { occupants = tables.state_occupants; intern = tables.state_interned.intern };
		watch(host, tables.state_occupants);
		watch_presence(host);
	end
	local occupants = watched[api].occupants;
	local problem;
	inspect.each_membership(host, function (membership)
		local seen = content(occupants, membership.view);
		if not same(seen, shown_to(membership.view)) then
			problem = ("%s has another view of %s than it was shown"):format(membership.username, membership.room);
		elseif inspect.phase(membership) == "joined" and seen[membership.nick] then
			problem = ("%s sees itself among the others in %s"):format(membership.username, membership.room);
		end
	end);
	return problem;
end

return views;
