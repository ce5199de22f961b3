-- Reasons for which an account may be out of an honest room. The room removed or refused it, a session left, or the
-- link failed for long. Without a reason the account must be in.

local jid = require "util.jid";

local xmlns_user = "http://jabber.org/protocol/muc#user";

-- Minimum time for which the account tries to rejoin before it tells its sessions, in seconds: eight attempts.
local patience = 85;

-- Seconds for which a broken link or a silent room may explain a fault.
local aftermath = 1800;

-- Seconds for which stanzas of the room may be in flight.
local longest_way = 600;

local causes = {};
causes.__index = causes;

-- now(): the time
function causes.new(now)
	return setmetatable({ now = now; rooms = {} }, causes);
end

local function of(self, room, account)
	local accounts = self.rooms[room.jid] or {};
	self.rooms[room.jid] = accounts;
	local known = accounts[account] or {};
	accounts[account] = known;
	return known;
end

-- The room and the account cannot reach each other.
function causes:trouble(room)
	room.trouble = self.now();
end

function causes:has_trouble(room)
	return room.silent or room.trouble and self.now() - room.trouble < aftermath or false;
end

-- The room and a session both show the account as in the room, and it must stay in.
function causes:is_in(room, account)
	of(self, room, account).stays = true;
end

-- The account may leave: a session has left, or the module was unloaded.
function causes:may_go(room, account)
	of(self, room, account).stays = false;
end

local function reasons(stanza)
	local x = stanza:get_child("x", xmlns_user);
	local found = { destroyed = x and x:get_child("destroy") ~= nil };
	for _, tag in ipairs(x and x.tags or {}) do
		if tag.attr.code then found[tag.attr.code] = true; end
	end
	return found;
end

local function is_expulsion(codes)
	return codes["301"] or codes["307"] and not codes["333"] or codes["321"] or codes["322"] or codes.destroyed;
end

-- The room sends a stanza to the account.
function causes:room_sends(room, stanza)
	if stanza.name ~= "presence" or stanza.attr.type ~= "unavailable" then return; end
	local codes = reasons(stanza);
	if not codes["110"] or codes["303"] then return; end
	local known = of(self, room, jid.node(stanza.attr.to));
	known.lost_at = known.lost_at or self.now();
	if is_expulsion(codes) then known.put_out, known.stays = self.now(), false; end
end

-- The account has asked to join, and is refused until something changes.
function causes:room_refuses(room, account)
	local known = of(self, room, account);
	known.refused, known.stays = self.now(), false;
end

-- Records from time to time whether the room lists the account.
function causes:note(room, account, is_listed)
	local known = of(self, room, account);
	if is_listed then
		known.lost_at = nil;
	else
		known.lost_at = known.lost_at or self.now();
	end
end

-- A session in the room gets its own unavailable. Returns a description of the fault, or nothing.
function causes:explain(room, account, stanza)
	local known, codes, now = of(self, room, account), reasons(stanza), self.now();
	local function is_recent(time) return time and now - time < longest_way; end
	local has_tried = known.lost_at and now - known.lost_at >= patience;
	known.stays = false;
	if is_expulsion(codes) then
		return not is_recent(known.put_out) and "is out of a room that did not put it out" or nil;
	elseif self:has_trouble(room) or has_tried or is_recent(known.refused) then
		return;
	end
	return "is out of a room without a cause";
end

-- Whether the account must be in the room at the end.
function causes:should_be_in(room, account)
	return of(self, room, account).stays == true;
end

return causes;
