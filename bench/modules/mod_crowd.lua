-- Loaded by the benchmark only, as a component: occupants of a room without clients. Stanzas to them end here.

local st = require "util.stanza";
local jid = require "util.jid";

local host = module.host;

local function swallow()
	return true;
end

for _, name in ipairs({ "message", "presence", "iq" }) do
	module:hook(name.."/bare", swallow, 1e6);
end

local function presence(room_jid, number)
	local nick = string.format("crowd%d", number);
	return st.presence({ from = nick.."@"..host, to = room_jid.."/"..nick })
		:tag("c", { xmlns = "http://jabber.org/protocol/caps", hash = "sha-1", node = "https://client.example.org/", ver = "q07IKJEyjvHSyhy//CH0CxmKi8w=" }):up()
		:tag("x", { xmlns = "vcard-temp:x:update" })
			:text_tag("photo", string.format("%040d", number)):up()
		:tag("x", { xmlns = "http://jabber.org/protocol/muc" }):up();
end

-- While they join, the room sends no presence, because none of them would read it. Creates the room if necessary.
function module.environment.enter(room_jid, count)
	local muc = prosody.hosts[jid.host(room_jid)].modules.muc;
	local room = muc.get_room_from_jid(room_jid) or muc.create_room(room_jid);
	local shown_roles = room._data.presence_broadcast;
	room._data.presence_broadcast = {};
	for number = 1, count do
		module:send(presence(room_jid, number));
	end
	room._data.presence_broadcast = shown_roles;
end

-- This number of them leave, one after the other, and return.
function module.environment.storm(room_jid, count)
	for number = 1, count do
		local away = presence(room_jid, number);
		away.attr.type = "unavailable";
		module:send(away);
	end
	for number = 1, count do
		module:send(presence(room_jid, number));
	end
end
