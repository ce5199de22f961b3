-- The view that a client builds from a room's stanzas: occupant list, own nick, answers to its requests.

local jid = require "util.jid";
local scene = require "support.scene";

local xmlns_user = "http://jabber.org/protocol/muc#user";

local view = {};
view.__index = view;

-- Starts the view of a client. `nick` ("Alice") identifies the own presence if the room sends no 110.
function view.of(client, nick)
	return setmetatable({
		client = client;
		room = "room@rooms.example.org";
		asked = nick or "Alice";
		nick = nil; -- while the client is in the room
		others = {}; -- by nick
		left = 0; -- own presences of type unavailable, without nick changes
		subjects = 0;
		said = {}; -- bodies, in order
		errors = {}; -- by "name id": conditions, in order
		results = {}; -- by id: IQ results
		entered = {}; -- ids of own presences with 110
	}, view);
end

local function has_code(stanza, wanted)
	for _, code in ipairs(scene.codes(stanza)) do
		if code == wanted then return true; end
	end
	return false;
end

local function new_nick(stanza)
	local item = stanza:get_child("x", xmlns_user):get_child("item");
	return item and item.attr.nick;
end

local function on_own_presence(self, stanza, nick)
	if stanza.attr.type == nil then
		self.nick = nick;
		table.insert(self.entered, stanza.attr.id or "");
	elseif has_code(stanza, "303") then
		self.nick = new_nick(stanza);
	else
		self.nick, self.others = nil, {};
		self.left = self.left + 1;
	end
end

local function is_own(self, stanza, nick)
	return has_code(stanza, "110") or nick:lower() == (self.nick or self.asked):lower();
end

local function on_presence(self, stanza)
	local nick = jid.resource(stanza.attr.from);
	if not nick then return; end
	if is_own(self, stanza, nick) then
		self.others[nick] = nil;
		on_own_presence(self, stanza, nick);
	else
		self.others[nick] = stanza.attr.type == nil or nil;
	end
end

local function on_message(self, stanza)
	local body = stanza:get_child_text("body");
	if body then
		table.insert(self.said, body);
	elseif stanza:get_child("subject") then
		self.subjects = self.subjects + 1;
	end
end

local function on_error(self, stanza)
	local key = stanza.name.." "..(stanza.attr.id or "-");
	local _, condition = stanza:get_error();
	self.errors[key] = self.errors[key] or {};
	table.insert(self.errors[key], condition or "no condition");
end

-- Reads the stanzas that have arrived since the last call. Returns the view.
function view:now()
	for _, stanza in ipairs(scene.take(self.client)) do
		if jid.bare(stanza.attr.from) ~= self.room then
			error("not from the room: "..tostring(stanza), 2);
		elseif stanza.attr.type == "error" then
			on_error(self, stanza);
		elseif stanza.name == "presence" then
			on_presence(self, stanza);
		elseif stanza.name == "message" then
			on_message(self, stanza);
		elseif stanza.attr.type == "result" then
			self.results[stanza.attr.id] = (self.results[stanza.attr.id] or 0) + 1;
		end
	end
	return self;
end

-- Returns the condition of the only error for a request such as "message m1"; nil without an error.
function view:error(request)
	local conditions = self:now().errors[request];
	assert(not conditions or #conditions == 1, "more than one error for "..request);
	return conditions and conditions[1];
end

-- Returns the requests that got an error, sorted.
function view:failed()
	local requests = {};
	for request in pairs(self:now().errors) do table.insert(requests, request); end
	table.sort(requests);
	return requests;
end

-- Returns the nicks of the other occupants in the client's list, sorted.
function view:occupants()
	local nicks = {};
	for nick in pairs(self:now().others) do table.insert(nicks, nick); end
	table.sort(nicks);
	return nicks;
end

return view;
