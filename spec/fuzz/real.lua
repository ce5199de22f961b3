-- A room of Prosody's own mod_muc, with the interface of the room in support.room. Actions that it does not support do
-- nothing.

local st = require "util.stanza";
local jid = require "util.jid";

local real = {};

local methods = {};

-- Returns the room of mod_muc. Nil before it is created and after it is destroyed.
local function room_of(self)
	return prosody.hosts[self.domain].modules.muc.get_room_from_jid(self.jid);
end

local computed = {};

function computed.occupants(self)
	local list = {};
	local room = room_of(self);
	if not room then return list; end
	for nick, occupant in room:each_occupant() do
		for real_jid in occupant:each_session() do
			table.insert(list, { nick = jid.resource(nick), jid = real_jid });
		end
	end
	return list;
end

function computed.subject(self)
	local room = room_of(self);
	local data = room and room._data;
	return data and data.subject or "";
end

function real.__index(self, key)
	if computed[key] then return computed[key](self); end
	return methods[key];
end

function real.new(domain)
	return setmetatable({ jid = "real@"..domain, domain = domain, is_real = true, questions = {}, members = {} }, real);
end

-- Finds an occupant by real JID or by nick.
function methods:occupant(name)
	for _, occupant in ipairs(self.occupants) do
		if occupant.jid == name or occupant.nick == name then return occupant; end
	end
end

-- mod_muc destroys a room that is not persistent when its only occupant changes the nick.
local function create(self)
	local muc = prosody.hosts[self.domain].modules.muc;
	local room = muc.get_room_from_jid(self.jid) or muc.create_room(self.jid);
	room:set_persistent(true);
end

-- Runs at each start of the server.
function methods:start(host, on_stanza)
	host:add_component(self.domain, "muc", { muc_tombstones = false });
	for _, name in ipairs { "message/bare", "message/full", "message/host" } do
		prosody.hosts[self.domain].events.add_handler(name, function (event) on_stanza(event.stanza); end, 1000);
	end
	host:run(function () create(self); end);
end

function methods:speak(body)
	local room = room_of(self);
	if room then
		room:broadcast_message(st.message({ type = "groupchat"; from = self.jid.."/Robot"; id = body }, body));
	end
end

function methods:kick(nick)
	room_of(self):set_role(true, self.jid.."/"..nick, nil, "why not");
end

methods.remove = methods.kick;

function methods:ban(nick)
	room_of(self):set_affiliation(true, jid.bare(self:occupant(nick).jid), "outcast");
end

function methods:pardon(account)
	local room = room_of(self);
	if room then room:set_affiliation(true, account, nil); end
end

function methods:destroy()
	room_of(self):destroy(nil, "because");
	create(self);
end

function methods.enter() end
function methods.rename() end
function methods.forget() end

return real;
