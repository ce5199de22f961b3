-- The occupants that rooms have shown to each account, recorded apart from the shared lists.

local st = require "util.stanza";
local jid = require "util.jid";
local inspect = require "fuzz.inspect";

local views = {};

-- By instance of the module; and by reader the presences that the account has seen: { [nick] = presence }
local watched = setmetatable({}, { __mode = "k" });
local shown = setmetatable({}, { __mode = "k" });

local function content(occupants, reader)
	local copy = {};
	for nick, held in occupants.eachOccupant(reader) do copy[nick] = held; end
	return copy;
end

local function shown_to(reader)
	shown[reader] = shown[reader] or {};
	return shown[reader];
end

local function noting_kept(keep)
	return function (room, reader, nick, held)
		local kept = keep(room, reader, nick, held);
		shown_to(reader)[nick] = kept and held or nil;
		return kept;
	end;
end

local function noting_removed(original)
	return function (reader, nick)
		original(reader, nick);
		shown_to(reader)[nick] = nil;
	end;
end

local function noting_end(forget)
	return function (reader)
		forget(reader);
		shown[reader] = nil;
	end;
end

-- Only the content of the stanza counts.
local function noting_broadcast(host, intern)
	return function (pass)
		return function (broadcast, stanza)
			local passed = pass(broadcast, stanza);
			if passed then
				local room, nick = jid.bare(stanza.attr.from), jid.resource(stanza.attr.from);
				local view = inspect.membership(host, stanza.attr.to, room).view;
				shown_to(view)[nick] = stanza.attr.type == nil and intern(st.clone(stanza)) or nil;
			end
			return passed;
		end;
	end;
end

-- Records the calls of the module's functions from now on.
local function watch(host, occupants, intern)
	inspect.each_membership(host, function (membership)
		shown[membership.view] = content(occupants, membership.view);
	end);
	inspect.replace_all(host, {
		keepOccupant = noting_kept;
		forgetOccupant = noting_removed;
		setOwnNick = noting_removed;
		forgetOccupants = noting_end;
		passOn = noting_broadcast(host, intern);
	});
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
	local occupants = watched[api];
	if not occupants then
		local interned = inspect.table(host, "state_interned");
		occupants = inspect.table(host, "state_occupants");
		if not (occupants and interned) then return "there is no module of occupants"; end
		watched[api] = occupants;
		watch(host, occupants, interned.intern);
	end
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
