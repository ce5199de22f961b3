-- A room and the account "alice" with its sessions. Lists the stanzas that each of them gets, one line for a stanza.

local busted = require "busted";
local st = require "util.stanza";
local jid = require "util.jid";
local spec_host = require "support.host";
local spec_room = require "support.room";
local xml = require "support.xml";

local xmlns_muc = "http://jabber.org/protocol/muc";
local xmlns_user = xmlns_muc.."#user";
local domain = "rooms.example.org";

local scene = {};
scene.__index = scene;

local used_in_test = {};

-- fields: room (for support.room), remote (the rooms are on another server), resource (minimix_resource, if not the
-- default), options, modules, storage, data, wrap_store (for support.host), bounces (errors to a room are expected: the
-- account is not in it), prosody (the rooms are those of Prosody's mod_muc)
function scene.new(fields)
	fields = fields or {};
	local options = fields.options or {};
	options.minimix_resource = fields.resource;
	local self = setmetatable({
		host = spec_host.new {
			options = options;
			modules = fields.modules;
			storage = fields.storage;
			data = fields.data;
			wrap_store = fields.wrap_store;
			accounts = { "alice" };
		};
		remote = fields.remote;
		resource = fields.resource == nil and "minimix" or fields.resource or nil;
		bounces = fields.bounces;
		rooms = {};
		clients = {};
		looked_at = {};
	}, scene);
	if fields.prosody then
		self.host:add_component(domain, "muc");
	else
		self.room = self:add_room("room", fields.room);
	end
	table.insert(used_in_test, self);
	return self;
end

-- Adds another room of the same service.
function scene:add_room(name, fields)
	local all = { jid = name.."@"..domain };
	for key, value in pairs(fields or {}) do all[key] = value; end
	local room = self.host:attach(spec_room.new(all), { remote = self.remote });
	self.rooms[name] = room;
	return room;
end

-- Restarts the server. The rooms keep their state.
function scene:restart(options)
	self.host:restart(options);
	for _, room in pairs(self.rooms) do
		self.host:attach(room, { remote = self.remote });
	end
end

-- Sets minimix_resource to another value, from the next restart or reload on.
function scene:change_resource(value)
	self.host.options.minimix_resource = value;
	require "core.configmanager".set(self.host.name, "minimix_resource", value);
	self.resource = value == nil and "minimix" or value or nil;
end

-- Returns the occupant JID of an account.
function scene:occupant_jid(username)
	return jid.join(username or "alice", self.host.name, self.resource);
end

local function is_of_own_session(client, stanza)
	return stanza.name == "presence" and jid.bare(stanza.attr.from) == client.bare_jid;
end

local function without_own_sessions(client, stanzas)
	local others = {};
	for _, stanza in ipairs(stanzas) do
		if not is_of_own_session(client, stanza) then
			table.insert(others, stanza);
		end
	end
	return others;
end

-- Returns an available session of "alice" or of another account. Its presence is already read. options: for
-- support.host
function scene:client(resource, username, options)
	local client = self.host:client(username or "alice", resource, options);
	client:available();
	client:take();
	for _, other in ipairs(self.clients) do
		if other.bare_jid == client.bare_jid then
			other.inbox = without_own_sessions(other, other.inbox);
		end
	end
	table.insert(self.clients, client);
	return client;
end

function scene:deliver()
	self.host:deliver();
end

-- Lets time pass. Stanzas in flight to a room are delivered soon.
function scene:wait(seconds)
	local step = math.max(1, seconds / 300);
	self:deliver();
	for _ = 1, math.ceil(seconds / step) do
		self.host:tick(step);
		self:deliver();
	end
end

-- Stanzas of a client. Content is XML.

local function address(nick, room)
	return jid.join(room or "room", domain, nick);
end

function scene.x(content)
	return ("<x xmlns='%s'>%s</x>"):format(xmlns_muc, content or "");
end

-- fields: id ("j1"), muc (children of <x/>), content (more of the presence), room ("room")
function scene.join(nick, fields)
	fields = fields or {};
	return ("<presence id='%s' to='%s'>%s%s</presence>"):format(
		fields.id or "j1", address(nick, fields.room), fields.content or "", scene.x(fields.muc));
end

-- fields: id, type, content, room
function scene.presence(nick, fields)
	fields = fields or {};
	local presence = xml.parse("<presence>"..(fields.content or "").."</presence>");
	presence.attr.id, presence.attr.type, presence.attr.to = fields.id, fields.type, address(nick, fields.room);
	return presence;
end

-- fields: id, content, room
function scene.leave(nick, fields)
	fields = fields or {};
	return scene.presence(nick, { type = "unavailable"; id = fields.id; content = fields.content; room = fields.room });
end

-- fields: id ("m1"), type ("groupchat"), to (a nick), content (instead of the body), room
function scene.message(body, fields)
	fields = fields or {};
	local message = xml.parse("<message>"..(fields.content or "").."</message>");
	message.attr.id, message.attr.type, message.attr.to = fields.id or "m1", fields.type or "groupchat", address(fields.to, fields.room);
	if body then
		message:body(body);
	end
	return message;
end

function scene.whisper(nick, body, fields)
	fields = fields or {};
	return scene.message(body, { type = "chat"; to = nick; id = fields.id; content = fields.content; room = fields.room });
end

-- fields: id ("q1"), type ("get"), to (a nick), room
function scene.query(payload, fields)
	fields = fields or {};
	return ("<iq type='%s' id='%s' to='%s'>%s</iq>"):format(
		fields.type or "get", fields.id or "q1", address(fields.to, fields.room), payload);
end

function scene.error(kind, condition)
	return ("<error type='%s'><%s xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"):format(kind, condition);
end

-- Returns the presence that a room sends about an occupant. codes: "110 100"; attributes of <item/>; content of <x/>
function scene.status(codes, attributes, content)
	local x = st.stanza("x", { xmlns = xmlns_user });
	local item = { affiliation = "none"; role = "participant" };
	for name, value in pairs(attributes or {}) do item[name] = value; end
	x:tag("item", item):up();
	for code in (codes or ""):gmatch("%d+") do
		x:tag("status", { code = code }):up();
	end
	if content then x:add_child(xml.parse(content)); end
	return tostring(x);
end

-- Holds back the stanzas of a room from now on. Returns two functions. The first lets a number of stanzas pass, or all,
-- and then stops holding back. The second stops without sending them.
function scene.hold_back(room)
	local send, held = room.send, {};
	function room.send(stanza)
		table.insert(held, st.clone(stanza));
	end
	return function (count)
		for _ = 1, math.min(count or #held, #held) do
			send(table.remove(held, 1));
		end
		if not count then room.send = send; end
	end, function ()
		room.send = send;
	end;
end

-- Joins with a session, and drops the stanzas that it and the room received.
function scene:enter(client, nick, fields)
	client:send(scene.join(nick or "Alice", fields));
	self:deliver();
	client:take();
	self:upstream();
end

-- "Bob" enters the room, and then "Alice" with her phone.
function scene:fill()
	self.room:enter "Bob";
	local phone = self:client "phone";
	self:enter(phone);
	return phone;
end

-- Returns a scene with both in the room.
function scene.in_room(fields)
	local s = scene.new(fields);
	return s, s:fill();
end

-- The room removes Alice's account with status 333, and admits it again.
function scene:lose_and_return()
	self.room:remove("Alice", "333");
	self:wait(10);
end

-- Returns a scene with Alice's phone and laptop in the room, and the occupant Bob.
function scene.two_devices(fields)
	local s = scene.new(fields);
	local bob = s.room:enter "Bob";
	local phone, laptop = s:client "phone", s:client "laptop";
	s:enter(phone);
	s:enter(laptop);
	return s, phone, laptop, bob;
end

-- Attaches a second session to the room, and returns it.
function scene:enter_laptop()
	local laptop = self:client "laptop";
	self:enter(laptop);
	return laptop;
end

-- The occupant Bob sends numbers, one in each message.
function scene:count(from, to)
	for i = from, to do self.room:say("Bob", tostring(i)); end
end

-- Returns a list of numbers as text. Counts down if `to` is smaller.
function scene.numbers(from, to)
	local numbers = {};
	for i = from, to, from <= to and 1 or -1 do table.insert(numbers, tostring(i)); end
	return numbers;
end

-- Returns the bodies of the groupchat messages among these stanzas.
function scene.bodies(stanzas)
	local bodies = {};
	for _, stanza in ipairs(stanzas) do
		if stanza.attr.type == "groupchat" then table.insert(bodies, stanza:get_child_text "body"); end
	end
	return bodies;
end

-- Joins with a session. Returns the bodies of its history.
function scene:history(client)
	client:send(scene.join "Alice");
	self:deliver();
	return scene.bodies(client:take());
end

-- Fires an event of mod_s2s for the link to the rooms' server, such as "destroyed".
function scene:link(event)
	self.host:fire("s2sout-"..event, {
		session = { type = "s2sout"; direction = "outgoing"; from_host = self.host.name; to_host = domain };
	});
end

-- Passes a stanza to the server, also a stanza that a room would not send. name: a nick, another JID, or nil for the
-- room itself. Returns whether the module handled it.
function scene:from(name, stanza, to)
	local parsed = xml.parse(stanza);
	parsed.attr.from = name and name:find "[@.]" and name or address(name);
	parsed.attr.to = to or self:occupant_jid();
	return self.host:from_room(parsed);
end

-- Lines

local function abbreviate(address_or_nil)
	return address_or_nil and address_or_nil:gsub("@"..domain, "", 1) or "-";
end

local function status_codes(stanza)
	local codes = {};
	local x = stanza:get_child("x", xmlns_user);
	for status in (x or st.stanza("x")):childtags("status") do
		table.insert(codes, status.attr.code);
	end
	table.sort(codes);
	return codes;
end
scene.codes = status_codes;

-- Returns a list without the nil values.
local function list(...)
	local words = {};
	for i = 1, select("#", ...) do
		table.insert(words, (select(i, ...)) or nil);
	end
	return words;
end

local function content(stanza)
	if stanza.attr.type == "error" then
		local kind, condition = stanza:get_error();
		return { kind, condition };
	elseif stanza.name == "iq" then
		return list(stanza.tags[1] and stanza.tags[1].name);
	elseif stanza.name == "presence" then
		return list(stanza:get_child_text("show"));
	end
	local subject = stanza:get_child_text("subject");
	local carbon = stanza:find("{urn:xmpp:carbons:2}sent/{urn:xmpp:forward:0}forwarded/{jabber:client}message")
		or stanza:find("{urn:xmpp:carbons:2}received/{urn:xmpp:forward:0}forwarded/{jabber:client}message");
	return list(
		subject and "subject:"..subject,
		stanza:get_child_text("body"),
		carbon and "carbon:"..carbon:get_child_text("body")
	);
end

local function line(...)
	local words = {};
	for _, part in ipairs { ... } do
		table.move(part, 1, #part, #words + 1, words);
	end
	return table.concat(words, " ");
end

-- Returns "presence unavailable room/Alice 110": name, type, sender, status codes in order, content
function scene.line(stanza)
	return line(
		{ stanza.name, stanza.attr.type or "-", (abbreviate(stanza.attr.from)) },
		status_codes(stanza),
		content(stanza)
	);
end

function scene.lines(stanzas)
	local lines = {};
	for i, stanza in ipairs(stanzas) do
		lines[i] = scene.line(stanza);
	end
	return lines;
end

-- Returns the stanzas that arrived since the last call. All must be addressed to this session. Presence of the
-- account's other sessions is left out.
function scene.take(client)
	local stanzas = without_own_sessions(client, client:take());
	for _, stanza in ipairs(stanzas) do
		if stanza.attr.to ~= client.jid then
			error("not addressed to "..client.jid..": "..tostring(stanza), 2);
		end
	end
	return stanzas;
end

function scene.seen(client)
	return scene.lines(scene.take(client));
end

-- Self-pings and archive queries of the module. Those of sessions never come from the account.
local function is_of_its_own(self, stanza)
	return stanza.name == "iq" and stanza.attr.from == self:occupant_jid()
		and (stanza:get_child("ping", "urn:xmpp:ping") or stanza:get_child("query", "urn:xmpp:mam:2"));
end

local function sender(self, stanza)
	local username, _, resource = jid.split(stanza.attr.from);
	if stanza.attr.from == self:occupant_jid(username) then return username; end
	return resource and username.."/"..resource or stanza.attr.from;
end

-- Returns "alice presence - room/Alice join". "alice" is the account as an occupant; a session would be "alice/phone",
-- the bare JID itself "alice@".
local function upstream_line(self, stanza)
	return line(
		{ sender(self, stanza), stanza.name, stanza.attr.type or "-", (abbreviate(stanza.attr.to)) },
		list(stanza:get_child("x", xmlns_muc) and "join"),
		content(stanza)
	);
end

-- Returns the stanzas that reached a room since the last call, without the module's own queries.
function scene:arrived(room)
	room = room or self.room;
	local stanzas = {};
	for i = (self.looked_at[room] or 0) + 1, #room.received do
		if not is_of_its_own(self, room.received[i]) then
			table.insert(stanzas, room.received[i]);
		end
	end
	self.looked_at[room] = #room.received;
	return stanzas;
end

function scene:upstream(room)
	local lines = self:arrived(room);
	for i, stanza in ipairs(lines) do
		lines[i] = upstream_line(self, stanza);
	end
	return lines;
end

-- Returns the stanzas that left the server since the last call, delivered or not.
function scene:sent()
	local lines = {};
	for _, stanza in ipairs(self.host:take()) do
		if not is_of_its_own(self, stanza) then table.insert(lines, upstream_line(self, stanza)); end
	end
	return lines;
end

-- Returns the nicks of the occupants that the spec did not add.
function scene:occupants(room)
	local nicks = {};
	for _, occupant in ipairs((room or self.room).occupants) do
		if not occupant.inbox then table.insert(nicks, occupant.nick); end
	end
	return nicks;
end

-- Whether the account has forgotten a room: its stanzas pass to Prosody.
function scene:is_forgotten(name)
	local before = #self.host.unhandled;
	self:from(address("Somebody", name), "<presence/>");
	return #self.host.unhandled > before;
end

-- Rules that hold in every spec.

-- Runs specs in four variants, which must all give the same result. f(new_scene) declares the specs.
function scene.everywhere(f)
	for _, is_bare in ipairs { false, true } do
		for _, remote in ipairs { false, true } do
			local name = ("in a room of %s server, as the account's %s JID"):format(
				remote and "another" or "this", is_bare and "bare" or "full");
			busted.describe(name, function ()
				f(function (fields)
					fields = fields or {};
					fields.remote = remote;
					if is_bare then fields.resource = false; end
					return scene.new(fields);
				end);
			end);
		end
	end
end

-- Excludes a scene from the checks after the test, and frees it: for tests that use many scenes.
function scene:forget()
	for i = #used_in_test, 1, -1 do
		if used_in_test[i] == self then table.remove(used_in_test, i); end
	end
	self.host:forget();
end

-- R6: services remove occupants that send errors.
local function assert_no_errors(self)
	self:deliver();
	for _, room in pairs(self.rooms) do
		for _, stanza in ipairs(room.received) do
			if stanza.attr.type == "error" and stanza.name ~= "iq" then
				error("R6: a room was sent an error: "..tostring(stanza), 2);
			end
		end
	end
end

busted.after_each(function ()
	local scenes = used_in_test;
	used_in_test = {};
	for _, used in ipairs(scenes) do
		if not used.bounces then assert_no_errors(used); end
	end
end);

return scene;
