-- Loaded by the benchmark only, as a component: occupants of a room who have no clients. What is sent to them ends here.

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

-- While they come, the room shows nobody to anybody: none of them would look.
function module.environment.enter(room_jid, count)
	local room = prosody.hosts[jid.host(room_jid)].modules.muc.get_room_from_jid(room_jid);
	local shown_roles = room._data.presence_broadcast;
	room._data.presence_broadcast = {};
	for number = 1, count do
		module:send(presence(room_jid, number));
	end
	room._data.presence_broadcast = shown_roles;
end
