-- Two or four accounts with three devices each, honest and lying rooms on this server and on others, random events, and
-- the conditions that must hold after each event.

local st = require "util.stanza";
local jid = require "util.jid";
local clock = require "support.clock";
local faulty = require "support.faulty";
local spec_host = require "support.host";
local spec_room = require "support.room";
require "fuzz.remember";
local causes = require "fuzz.causes";
local forms = require "fuzz.forms";
local inspect = require "fuzz.inspect";
local views = require "fuzz.views";
local ledger = require "fuzz.ledger";
local liar = require "fuzz.liar";
local model = require "fuzz.model";
local real = require "fuzz.real";

local xmlns_muc = "http://jabber.org/protocol/muc";
-- The accounts of a world, and the nicks that their clients ask for.
local few = { accounts = { "alice", "anna" }; nicks = { "Alice", "Alice", "Alice", "Anna", "Al", "Bob", "Eve" } };
local crowd = { accounts = { "alice", "anna", "aida", "arno" }; nicks = { "Alice", "Anna", "Aida", "Arno", "Al", "Bob", "Eve" } };
local bots = { "Bob", "Carol", "Dave" };
local shows = { "chat", "away", "xa", "dnd" };
local lives = 3; -- devices of an account

-- Seconds until every operation has ended. The longest pause between two attempts is less than 20 minutes. Two checks
-- of a quiet room are needed to notice that the account is out.
local until_settled = 5400;

-- Seconds without a session after which an account leaves its rooms.
local inactive_after = 2 * 3600;

-- Seconds for which a link may delay stanzas. After that it breaks.
local longest_delay = 125;

-- Seconds of a delay that explains no fault.
local harmless_delay = 20;

local world = {};
world.__index = world;

local function chosen(list, n)
	return list[n % #list + 1];
end

local function violation(self, ...)
	if not self.violation then
		self.violation = table.concat({ ... }, " ");
	end
end

-- setting: see fuzz.generate; plant(host): changes each instance of the module
function world.new(setting, plant)
	local faults = setting.faults and faulty.new() or nil;
	local people = setting.crowd and crowd or few;
	local self = setmetatable({
		accounts = people.accounts;
		nicks = people.nicks;
		faults = faults;
		host = spec_host.new {
			options = {
				minimix_resource = setting.resource and "minimix";
				minimix_inactive_after = inactive_after;
			};
			modules = setting.carbons and { "carbons" } or nil;
			accounts = people.accounts;
			wrap_store = faults and faults.wrap;
			records = false;
		};
		setting = setting;
		plant = plant;
		sessions = {}; -- by slot
		former = {}; -- former sessions of a slot
		rooms = {};
		honest = {};
		liars = {};
		service = {}; -- rooms by JID
		on_way = {}; -- in flight from remote rooms to the accounts
		sent_at = setmetatable({}, { __mode = "k" }); -- times of the stanzas in flight to remote rooms
		ledger = ledger.new();
		causes = causes.new(function () return clock.now; end);
		last_seen = {}; -- time of an account's last session
		said = 0;
	}, world);
	self:add_honest("red@rooms.example.org");
	self:add_honest("blue@rooms.example.net", { remote = true, whois = "anyone", folds = setting.folds });
	self:add_honest("green@rooms.example.net", { remote = true, creates = true });
	self:add_liar("liar.example.org");
	self:add_liar("liar.example.net", true);
	if setting.omits then self.honest[setting.omits].omits_110 = true; end
	if setting.prosody then self:add_real("muc.example.org"); end
	self:connect_rooms();
	self:plant_again();
	for _, name in ipairs { "on_service", "on_remote" } do
		self.host[name] = function (host, stanza)
			self:check_error(self.service[jid.bare(stanza.attr.to)], stanza);
			local done = spec_host[name](host, stanza);
			local last = host.wire[#host.wire];
			if last then self.sent_at[last] = self.sent_at[last] or clock.now; end
			return done;
		end;
	end
	return self;
end

function world:occupant_jid(account)
	return (account and account.."@" or "")..self.host.name..(self.setting.resource and "/minimix" or "");
end

function world:plant_again()
	local api = self.plant and self.host:module();
	if api and api ~= self.planted then
		self.planted = api;
		self.plant(self.host);
	end
end

-- Rooms

function world:add_honest(address, fields)
	fields = fields or {};
	local room = spec_room.new {
		jid = address; remote = fields.remote; whois = fields.whois; creates = fields.creates; occupant_ids = true; folds = fields.folds;
		records = false;
		on_iq = function (room, stanza) return self:iq_to_bot(room, stanza); end;
	};
	room.questions = {};
	function room.explain(account, stanza)
		return self.causes:explain(room, account, stanza);
	end
	function room.note_in(account)
		if self:occupant_of(room, account) then self.causes:is_in(room, account); end
	end
	table.insert(self.honest, room);
	table.insert(self.rooms, room);
	self.service[address] = room;
end

function world:add_real(domain)
	local room = real.new(domain);
	self.real = room;
	table.insert(self.honest, room);
	table.insert(self.rooms, room);
	self.service[room.jid] = room;
end

function world:add_liar(domain, remote)
	local occupants = {};
	for _, account in ipairs(self.accounts) do
		table.insert(occupants, self:occupant_jid(account));
		table.insert(occupants, self:occupant_jid(account));
	end
	table.insert(occupants, self.accounts[1].."@"..self.host.name);
	table.insert(occupants, self:occupant_jid "nobody");
	local room = liar.new(domain, occupants);
	room.remote = remote;
	table.insert(self.liars, room);
	table.insert(self.rooms, room);
	self.service[room.jid] = room;
end

-- Returns the occupant that a service takes for the holder of a nick. A room that folds changes nicks to small letters.
local function holder_of(room, nick)
	for _, occupant in ipairs(room.occupants) do
		if occupant.nick == nick or room.folds and occupant.nick:lower() == nick:lower() then return occupant; end
	end
end

local function folded(room, stanza)
	local nick = jid.resource(stanza.attr.to);
	if not nick then return stanza; end
	local holder = holder_of(room, nick);
	local copy = st.clone(stanza);
	copy.attr.to = room.jid.."/"..(holder and holder.nick or nick:lower());
	return copy;
end

function world:receive(room, stanza)
	if room.folds then stanza = folded(room, stanza); end
	local entry = not room.lies and self.ledger:entry(stanza);
	if entry then
		entry.arrived = true;
		entry.excused = entry.excused or room.silent;
	end
	local before = self.handled;
	self.handled = not room.lies and stanza or nil;
	-- Prosody sends unavailable to the addresses that got directed presence from a session. There is no answer to it.
	local is_farewell = stanza.name == "presence" and stanza.attr.type == "unavailable";
	if room.lies or not is_farewell or room:occupant(stanza.attr.from) then
		room:receive(stanza);
	end
	self.handled = before;
end

-- Stanzas that the room sends while it handles a stanza are the answer to it.
function world:note_answer(room, stanza, answer)
	if answer.attr.type ~= "error" then return; end
	local entry = self.ledger:entry(stanza);
	local account = jid.node(stanza.attr.from);
	local _, condition = answer:get_error();
	if entry and answer.name == "message" then
		entry.refused = true;
	elseif answer.name == "presence" and stanza.attr.from == self:occupant_jid(account) and stanza:get_child("x", xmlns_muc)
		and condition ~= "service-unavailable" and condition ~= "conflict" then
		self.causes:room_refuses(room, account);
	end
end

-- Whether an address is that of an account in rooms.
function world:is_of_account(address)
	return address == self:occupant_jid(jid.node(address));
end

-- Stanzas of a local room reach the account at once. Others are in flight.
function world:send(room, stanza)
	local handled = self.handled;
	if handled then self:note_answer(room, handled, stanza); end
	if not room.lies then self.causes:room_sends(room, stanza); end
	if stanza.name == "presence" and self:is_of_account(stanza.attr.to) then
		if room.omits_110 then stanza = forms.of(forms.without_110, stanza); end
		if room.form then stanza = forms.of(room.form, stanza); end
	end
	if room.remote then
		table.insert(self.on_way, { room = room, stanza = st.clone(stanza); since = clock.now; entry = handled and self.ledger:entry(handled) });
	else
		self:arrive(room, stanza);
	end
end

function world:connect(room)
	if room == self.real then
		return room:start(self.host, function (stanza)
			local entry = self.ledger:entry(stanza);
			if entry then entry.arrived = true; end
		end);
	end
	self.host:on_stanza_to(room.domain or room.jid, function (stanza)
		self:receive(room, stanza);
	end, { remote = room.remote });
	room.send = function (stanza)
		self:send(room, stanza);
	end;
end

function world:connect_rooms()
	for _, room in ipairs(self.rooms) do self:connect(room); end
end

-- R6: a service removes the sender of an error. This is correct for an account that is not in the room.
function world:check_error(room, stanza)
	if not room or stanza.attr.type ~= "error" or stanza.name == "iq" then return; end
	if stanza.name == "message" and stanza.attr.id == "pm" then return; end
	if self:is_known(room.jid, stanza.attr.from) then
		return violation(self, "an error went to", room.jid..":", tostring(stanza));
	end
	for _, session in pairs(self.sessions) do
		local place = session.places[room.jid];
		if session.client.jid == stanza.attr.from and place and place.been_in then
			violation(self, "a session's error went to", room.jid..":", tostring(stanza));
		end
	end
end

function world:is_known(address, from)
	return inspect.membership(self.host, from, address);
end

local function is_live(stanza)
	return stanza.name == "message" and stanza.attr.type ~= "error" and stanza:get_child("body")
		and not stanza:get_child("delay", "urn:xmpp:delay");
end

-- A stanza of a room reaches the account.
function world:arrive(room, stanza)
	if room.lies then
		-- Prosody itself fails on some stanzas that a remote server may send.
		local ok, problem = pcall(self.host.from_room, self.host, stanza);
		if not ok and tostring(problem):find "mod_minimix" then error(problem, 0); end
	elseif is_live(stanza) then
		self:arrive_live(room, stanza);
	else
		self.host:from_room(stanza);
	end
	self:read_all();
end

-- Each session in the room gets the message once. Sessions outside do not get it.
function world:arrive_live(room, stanza)
	self:read_all();
	local account = jid.node(stanza.attr.to);
	local anybody = false;
	for _, session in pairs(self.sessions) do
		anybody = anybody or session.account == account and model.place(session, room).state == "in";
	end
	if not anybody and stanza.attr.type ~= "groupchat" then
		-- Prosody delivers it like any message to the account.
		return self.host:from_room(stanza);
	end
	self:count_copies(room, stanza:get_child_text("body"), account, function () self.host:from_room(stanza); end);
end

-- account: checks only its sessions; nil for all accounts
function world:count_copies(room, body, account, say)
	local before = {};
	for slot, session in pairs(self.sessions) do
		if not account or session.account == account then
			before[slot] = model.place(session, room).state;
		end
	end
	self.watched, self.counts = body, {};
	say();
	self:read_all();
	for slot, session in pairs(self.sessions) do
		local count = self.counts[session] or 0;
		local state = before[slot] or "out";
		if state == "in" and count ~= 1 or state == "out" and count > 0 or count > 1 then
			violation(self, session.client.jid, "is", state, room.jid, "and got", tostring(count), "copies of", body);
		end
	end
	self.watched = nil;
end

function world:deliver(count)
	local host = self.host;
	for _ = 1, count do
		if host.wire[1] then
			local rest = table.move(host.wire, 2, #host.wire, 1, {});
			host.wire = { host.wire[1] };
			local stanza = table.remove(host.wire, 1);
			local room = self.service[jid.bare(stanza.attr.to)] or self.service["lies@"..jid.host(stanza.attr.to)];
			if room then
				host:run(function () self:receive(room, stanza); end);
			end
			host.wire = table.move(host.wire, 1, #host.wire, #rest + 1, rest);
		end
		local arriving = table.remove(self.on_way, 1);
		if arriving then self:arrive(arriving.room, arriving.stanza); end
	end
end

function world:deliver_all()
	for _ = 1, 1000 do
		if not (self.host.wire[1] or self.on_way[1]) then return; end
		self:deliver(10);
	end
	violation(self, "the account and a room answer each other for ever");
end

-- Sessions

-- Each slot holds one device, connected or not.
function world:account_of(slot)
	return self.accounts[(slot - 1) // lives + 1], "r"..((slot - 1) % lives + 1);
end

function world:open(slot)
	local account, resource = self:account_of(slot);
	local before = self.sessions[slot];
	if before then self:end_session(slot); end
	local client = self.host:client(account, resource, { bosh = self.setting.bosh });
	local session = model.session(client, account, self.former[slot]);
	self.sessions[slot] = session;
	client:available();
	if self.setting.carbons then
		client:send("<iq type='set' id='carbons'><enable xmlns='urn:xmpp:carbons:2'/></iq>");
	end
	client:take();
	return session;
end

function world:end_session(slot)
	local session = self.sessions[slot];
	self:read(session);
	self.sessions[slot], self.former[slot] = nil, session;
end

-- Returns the session of a device that can send.
function world:speaker(n)
	local slot = n % (lives * #self.accounts) + 1;
	local session = self.sessions[slot] or self:open(slot);
	if session.client:is_connected() then return session, slot; end
end

function world:session(n)
	local slot = n % (lives * #self.accounts) + 1;
	return self.sessions[slot], slot;
end

local function count_copies(self, session, stanza)
	if self.watched and stanza:get_child_text("body") == self.watched then
		self.counts[session] = (self.counts[session] or 0) + 1;
	end
end

-- R5: each stanza that a session gets is from an address that has sent something, whatever rooms claim.
function world:may_speak(session, from)
	if self.service[from] or from == session.client.bare_jid or from == self.host.name then return true; end
	for _, room in ipairs(self.liars) do
		if room.spoke[from] then return true; end
	end
end

function world:read_stanza(session, stanza)
	local from = stanza.attr.from and jid.bare(stanza.attr.from);
	if from and stanza.attr.type ~= "error" and not self:may_speak(session, from) then
		violation(self, session.client.jid, "got something from somebody that has said nothing:", tostring(stanza));
	end
	local room = self.service[from or ""];
	if room then
		count_copies(self, session, stanza);
		local problem = model.gets(session, room, stanza);
		if problem then
			violation(self, session.client.jid, "got", problem..":", tostring(stanza));
		end
		local place = session.places[room.jid];
		if place and place.state == "in" then place.been_in = true; end
	elseif stanza:get_child("sent", "urn:xmpp:carbons:2") then
		self:check_carbon(session, stanza);
	end
end

-- XEP-0280 6.1: only devices in the room get carbons of its private messages. A message of a session outside is copied
-- to all devices.
function world:check_carbon(session, stanza)
	local message = stanza:find("{urn:xmpp:carbons:2}sent/{urn:xmpp:forward:0}forwarded/{jabber:client}message");
	local room = message and message.attr.to and self.service[jid.bare(message.attr.to)];
	local entry = message and self.ledger:entry(message);
	if room and entry and entry.from_inside and model.is_out(session, room) then
		violation(self, session.client.jid, "got a carbon of a room it is not in:", tostring(stanza));
	end
end

-- A stanza for a session in hibernation counts as received when it is queued.
function world:read(session)
	local client = session.client;
	for _, stanza in ipairs(client:take()) do
		self:read_stanza(session, stanza);
	end
	local queue = client.queue;
	for i = (session.read_of_queue or 0) + 1, #queue do
		self:read_stanza(session, queue[i]);
	end
	session.read_of_queue = #queue;
end

function world:read_all()
	for _, session in pairs(self.sessions) do
		local client = session.client;
		if client.inbox[1] or #client.queue ~= (session.read_of_queue or 0) then self:read(session); end
	end
end

-- Names

-- Some ids occur twice, because clients repeat ids by accident.
function world:new_id(n)
	self.said = self.said + 1;
	if n % 10 == 0 then return "same"..n % 3; end
	return "id"..self.said;
end

function world:text()
	self.said = self.said + 1;
	return "text "..self.said;
end

function world:room(n)
	return chosen(self.rooms, n);
end

function world:honest_room(n)
	return chosen(self.honest, n);
end

function world:occupant_of(room, account)
	return not room.lies and room:occupant(self:occupant_jid(account)) or nil;
end

local function own_nick(session, room)
	return model.place(session, room).nick or "Alice";
end

local function bot_in(room, n)
	local inside = {};
	for _, nick in ipairs(bots) do
		local occupant = room:occupant(nick);
		if occupant and occupant.inbox then table.insert(inside, nick); end
	end
	return inside[1] and chosen(inside, n) or nil;
end

-- Occupants that a spec has added keep their IQs until an event answers them.
function world:iq_to_bot(room, stanza)
	local nick = jid.resource(stanza.attr.to);
	if room.stalled and not nick and stanza:get_child("query", "urn:xmpp:mam:2") then
		table.insert(room.stalled, st.clone(stanza));
		return true;
	end
	local receiver = nick and room:occupant(nick);
	if receiver and receiver.inbox and room:occupant(stanza.attr.from) and (stanza.attr.type == "get" or stanza.attr.type == "set") then
		table.insert(room.questions, st.clone(stanza));
	end
end

-- A room ignores the joins of an account that it lists and the server has lost. Nothing tells the account its nick there.
local function note_lost_in(room)
	room.has_lost = room.has_lost or room.silent;
end

-- Events of clients

local events = {};

function events:open(n)
	self:open(n % (lives * #self.accounts) + 1);
end

local function ends(how)
	return function (self, n)
		local session, slot = self:speaker(n);
		if session then
			session.client[how](session.client);
			self:end_session(slot);
		end
	end
end

events.close = ends "close";
events.lose = ends "lose";

function events:hibernate(n)
	local session = self:speaker(n);
	if session then
		self:read(session);
		session.client:hibernate();
		session.read_of_queue = 0;
	end
end

function events:resume(n)
	local session = self:session(n);
	if session and session.client.session.hibernating then
		self:read(session);
		local count = #session.client.queue;
		session.client:resume();
		for _ = 1, count do table.remove(session.client.inbox, 1); end
		session.read_of_queue = 0;
	end
end

function events:expire(n)
	local session, slot = self:session(n);
	if session and session.client.session.hibernating then
		self:read(session);
		session.client:expire();
		self:end_session(slot);
	end
end

function events:offline(n)
	local session = self:speaker(n);
	if not session then return; end
	for _, room in ipairs(self.rooms) do
		model.leaves(session, room, true);
	end
	session.client:unavailable();
end

function events:priority(n, m)
	local session = self:speaker(n);
	if session then session.client:available(m % 10 - 2); end
end

local extras = {
	[0] = "<password>secret</password>"; "<history maxstanzas='0'/>"; "<mav xmlns='urn:xmpp:muc:affiliations:1'/>";
	"<password>wrong</password>"; "<history since='never' maxchars='x' seconds='-1'/>"; "<history maxstanzas='2'/><unknown xmlns='what'/>";
};

function events:join(n, m, o, p)
	local session = self:speaker(n);
	if not session then return; end
	local room = self:room(m);
	local id = (p % 13 ~= 0 or model.has_sent_without_id(session, room)) and self:new_id(p) or nil;
	-- mod_muc fails on a join without a nick.
	local nick = (o % 40 ~= 0 or room == self.real) and chosen(self.nicks, o) or nil;
	local presence = st.presence { id = id; to = room.jid..(nick and "/"..nick or "") };
	presence:tag("x", { xmlns = xmlns_muc });
	if room.password and p % 4 ~= 0 then
		presence:text_tag("password", room.password);
	elseif extras[p % 20] then
		presence:add_child(require "support.xml".parse("<x>"..extras[p % 20].."</x>").tags[1]);
	end
	presence:up();
	if p % 3 == 0 then presence:text_tag("show", chosen(shows, o)); end
	model.joins(session, room, id, nick);
	session.client:send(presence);
end

function events:leave(n, m, o)
	local session = self:speaker(n);
	if not session then return; end
	local room = self:room(m);
	local nick, id = o % 5 ~= 0 and own_nick(session, room) or nil, self:new_id(o);
	model.asks(session, "presence", room, id);
	model.leaves(session, room, false, id);
	self.causes:may_go(room, session.account);
	session.client:send(st.presence { type = "unavailable"; id = id; to = room.jid..(nick and "/"..nick or "") });
end

function events:show(n, m, o)
	local session = self:speaker(n);
	if not session then return; end
	local room, id = self:room(m), self:new_id(o);
	model.asks(session, "presence", room, id);
	local presence = st.presence { id = id; to = room.jid.."/"..own_nick(session, room) }:text_tag("show", chosen(shows, o));
	if o % 3 == 0 then presence:text_tag("priority", tostring(o % 5)); end
	session.client:send(presence);
end

function events:rename(n, m, o)
	local session = self:speaker(n);
	if not session then return; end
	local room, id = self:room(m), self:new_id(o);
	model.asks(session, "presence", room, id);
	session.client:send(st.presence { id = id; to = room.jid.."/"..chosen(self.nicks, o) });
end

function world:send_message(session, room, message)
	local id, body = message.attr.id, self:text();
	-- A local room may have refused the session's join in the meantime.
	self:read(session);
	model.asks(session, "message", room, id);
	if not room.lies then self.ledger:sent(session, room, id, body, model.is_inside(session, room)); end
	-- The module has forgotten the messages in flight. Services may change ids, so their reflections count for later ones.
	self.forgetful = self.forgetful and (self.host.wire[1] or self.on_way[1]) and true;
	if self.forgetful then self.ledger:excuse_all(); end
	session.client:send(message:text_tag("body", body));
end

function events:say(n, m, o)
	local session = self:speaker(n);
	if not session then return; end
	local room, id = self:room(m), o % 9 ~= 0 and self:new_id(o) or nil;
	self:send_message(session, room, st.message { type = "groupchat"; id = id; to = room.jid });
end

function events:whisper(n, m, o)
	local session = self:speaker(n);
	if not session then return; end
	local room, id = self:room(m), self:new_id(o);
	self:send_message(session, room, st.message { type = "chat"; id = id; to = room.jid.."/"..chosen(bots, o) });
end

local queries = { "jabber:iq:version", "vcard-temp", "urn:xmpp:ping", "http://jabber.org/protocol/disco#info", "http://jabber.org/protocol/muc#admin" };

-- mod_muc fails on an admin query without a nick or JID.
function world:query(room, p)
	local xmlns = chosen(queries, p);
	return room == self.real and xmlns:find "#admin" and "urn:xmpp:ping" or xmlns;
end

function events:ask(n, m, o, p)
	local session = self:speaker(n);
	if not session then return; end
	local room, id = self:room(m), self:new_id(o);
	local nick = p % 3 ~= 0 and (p % 3 == 1 and own_nick(session, room) or chosen(bots, p)) or nil;
	model.asks(session, "iq", room, id, not room.lies and model.is_in(session, room) and not id:find "same");
	session.client:send(st.iq { type = p % 5 == 0 and "set" or "get"; id = id; to = room.jid..(nick and "/"..nick or "") }
		:tag("query", { xmlns = self:query(room, p) }):up());
end

-- Answers an IQ of a room or an occupant, from the session that got it or from another one.
function events:answer(n, m)
	local session = self:speaker(n);
	local query = session and session.asked_by;
	if query then
		session.asked_by = nil;
		session.client:send(m % 2 == 0 and st.reply(query) or st.error_reply(query, "cancel", "service-unavailable"));
	end
end

-- A client answers an IQ that it must not answer.
function events:bounce(n, m, o)
	local session = self:speaker(n);
	if not session then return; end
	local room = self:room(m);
	local to = o % 2 == 0 and room.jid or room.jid.."/"..chosen(bots, o);
	local name = o % 3 == 0 and "presence" or "message";
	local place = session.places[room.jid];
	if not (place and (place.been_in or place.state == "out")) then return; end
	session.client:send(st.stanza(name, { type = "error"; id = self:new_id(o); to = to })
		:tag("error", { type = "cancel" }):tag("service-unavailable", { xmlns = "urn:ietf:params:xml:ns:xmpp-stanzas" }):up():up());
end

local nonsense = {
	function (to) return st.presence { to = to; type = "nonsense" }; end;
	function (to) return st.presence { to = to; type = "probe" }; end;
	function (to) return st.presence { to = to; type = "unsubscribed" }; end;
	function (to) return st.message { to = to; type = "nonsense" }; end;
	function (to) return st.message { to = to; type = "groupchat" }; end;
	function (to) return st.message { to = to; type = "groupchat"; id = "same1" }:tag("subject"):up():tag("body"):up(); end;
	function (to) return st.iq { to = to; type = "get"; id = "empty" }; end;
	function (to) return st.iq { to = to; type = "result"; id = "unasked" }; end;
	function (to) return st.iq { to = to; type = "error"; id = "unasked" }; end;
	function (to) return st.presence { to = to }:tag("x", { xmlns = xmlns_muc.."#user" }):tag("status"):up():up(); end;
};

function events:nonsense(n, m, o)
	local session = self:speaker(n);
	if not session then return; end
	local room = self:room(m);
	local to = o % 2 == 0 and room.jid or room.jid.."/"..chosen({ "Alice", "Bob", ("z"):rep(1000), "\226\130\172" }, n + o);
	local stanza = chosen(nonsense, n * 7 + o)(to);
	model.asks(session, "presence", room, stanza.attr.id).direct = true;
	model.asks(session, "message", room, stanza.attr.id);
	model.asks(session, "iq", room, stanza.attr.id);
	session.client:send(stanza);
end

local hasty = { "say", "whisper", "ask", "show", "rename", "leave", "join", "say", "nonsense", "say" };

-- A session that sends before it is in the room.
function events:burst(n, m, o, p)
	events.join(self, n, m, o, p);
	for i = 1, p % 5 + 1 do
		events[chosen(hasty, o + i * (p % 7 + 1))](self, n, m, o + i, p + i);
	end
end

-- All accounts join the rooms on this server, and their sessions end. They read the same list of occupants.
function events:gather()
	for i in ipairs(self.accounts) do
		local slot = (i - 1) * lives;
		events.join(self, slot, 0, i - 1, 7);
		if self.real then events.join(self, slot, #self.rooms - 1, i - 1, 7); end
		events.close(self, slot);
	end
end

-- Events of honest rooms

local function of_bot(act)
	return function (self, n, m, o)
		local room = self:honest_room(n);
		local bot = bot_in(room, m);
		if bot then
			self.host:run(function () act(self, room, bot, o); end);
		end
	end
end

local function of_account(act)
	return function (self, n, m, o)
		local room, account = self:honest_room(n), chosen(self.accounts, m);
		local occupant = self:occupant_of(room, account);
		if occupant then
			self.host:run(function () act(self, room, occupant, o); end);
		end
	end
end

function events:enter(n, m)
	local room, nick = self:honest_room(n), chosen(bots, m);
	if not holder_of(room, nick) then
		self.host:run(function () room:enter(nick); end);
	end
end

events.gone = of_bot(function (_, room, bot) room:leave(bot); end);
events.speak = of_bot(function (self, room, bot) room:say(bot, self:text()); end);
events.subject = of_bot(function (self, room, bot) room:set_subject(bot, self:text()); end);
events.update = of_bot(function (_, room, bot, o)
	room:update(bot, st.presence():text_tag("show", chosen(shows, o)));
end);
events.rename_bot = of_bot(function (_, room, bot, o)
	local nick = chosen({ "Bob", "Carol", "Dave", "Alice" }, o);
	if o % 40 > 35 then nick = nick:lower(); end
	if not holder_of(room, nick) then room:rename(bot, nick); end
end);

function events:murmur(n, m, o)
	local room, occupant = self:honest_room(n), self:occupant_of(self:honest_room(n), chosen(self.accounts, m));
	local bot = bot_in(room, o);
	if bot and occupant then
		self.host:run(function () room:whisper(bot, occupant.nick, self:text()); end);
	end
end

function events:query(n, m, o)
	local room, occupant = self:honest_room(n), self:occupant_of(self:honest_room(n), chosen(self.accounts, m));
	local bot = bot_in(room, o);
	if bot and occupant then
		self.host:run(function () room:query(bot, occupant.nick, st.stanza("query", { xmlns = chosen(queries, o) })); end);
	end
end

function events:reply(n, m)
	local room = self:honest_room(n);
	local question = table.remove(room.questions, 1);
	if question then
		local reply = m % 3 ~= 0 and st.reply(question) or st.error_reply(question, "cancel", "feature-not-implemented");
		self.host:run(function () room.send(reply); end);
	end
end

events.kick = of_account(function (_, room, occupant, o)
	local codes = { "307", "321", "322", "332", "333" };
	if o % 2 == 0 then room:kick(occupant.nick, "why not"); else room:remove(occupant.nick, chosen(codes, o)); end
end);
events.ban = of_account(function (_, room, occupant) room:ban(occupant.nick); end);
events.forget = of_account(function (self, room, occupant, o)
	self.causes:trouble(room);
	-- A forgotten occupant is not told. A room restarts only when no stanza is in flight.
	room.lossy = room.lossy or o % 2 == 0;
	if o % 2 ~= 0 then self:deliver_all(); end
	room.restarted = room.restarted or o % 2 ~= 0;
	room:forget(o % 2 == 0 and occupant.nick or nil);
end);
events.force = of_account(function (self, room, occupant, o)
	local nick = chosen(self.nicks, o);
	if not holder_of(room, nick) then room:rename(occupant.nick, nick); end
end);

-- An honest room may make mistakes: it marks another occupant's presence with 110.
function events:mistake(n, m, o)
	local room, account = self:honest_room(n), self:occupant_jid(chosen(self.accounts, m));
	local bot = bot_in(room, o);
	self:deliver_all();
	local membership = self:is_known(room.jid, account);
	if bot and inspect.phase(membership) == "joined" and room:occupant(account) then
		self.host:run(function ()
			room.send(st.presence { from = room.jid.."/"..bot; to = account }
				:tag("x", { xmlns = xmlns_muc.."#user" })
					:tag("item", { affiliation = "none"; role = "participant" }):up()
					:tag("status", { code = "110" }):up()
				:up()
				:tag("mistake", { xmlns = model.xmlns_mistake }):up());
		end);
	end
end

function events:pardon(n)
	local room = self:honest_room(n);
	room.members = {};
	if room == self.real then
		for _, account in ipairs(self.accounts) do
			self.host:run(function () room:pardon(account.."@"..self.host.name); end);
		end
	end
end

-- An occupant of mod_muc's room sends a message.
function events:broadcast()
	if not self.real then return; end
	local body = self:text();
	self:read_all();
	self:count_copies(self.real, body, nil, function ()
		self.host:run(function () self.real:speak(body); end);
	end);
end

function events:destroy(n)
	local room = self:honest_room(n);
	self.host:run(function () room:destroy("elsewhere@"..jid.host(room.jid), "because"); end);
end

function events:lock(n)
	local room = self:honest_room(n);
	room.password = not room.password and "secret" or nil;
end

function events:silent(n)
	local room = self:honest_room(n);
	self.causes:trouble(room);
	room.silent = not room.silent;
	if self.has_lost then note_lost_in(room); end
end

function events:limit(n)
	local room = self:honest_room(n);
	room.limit = not room.limit and #room.occupants or nil;
end

function events:form(n, m)
	self:honest_room(n).form = forms.chosen(m);
end

-- The room's archive answers late, after everything else that is in flight.
function events:stall(n)
	local room = self:honest_room(n);
	if room.stalled then
		self:release(room);
	else
		room.stalled = {};
	end
end

function world:release(room)
	local stalled = room.stalled or {};
	room.stalled = nil;
	self.host:run(function ()
		for _, question in ipairs(stalled) do
			room.send(st.error_reply(question, "cancel", "service-unavailable"));
		end
	end);
end

-- Events of links

function events:deliver(n)
	self:deliver(n % 4 == 0 and 20 or n % 3 + 1);
end

local function lose_on_way(self)
	for _, arriving in ipairs(self.on_way) do
		self.causes:trouble(arriving.room);
		arriving.room.unheard = true;
		if arriving.entry then arriving.entry.excused = true; end
	end
	self.on_way = {};
end

local function lose_on_wire(self)
	for _, stanza in ipairs(self.host.wire) do
		self.causes:trouble(self.service[jid.bare(stanza.attr.to)] or {});
		local entry = self.ledger:entry(stanza);
		if entry then entry.excused = true; end
	end
	self.host:drop();
end

-- Lost presence is not sent again. The sessions' view may then differ from the room's.
function events:drop(n)
	if n % 2 == 0 then
		lose_on_wire(self);
	else
		for _, arriving in ipairs(self.on_way) do arriving.room.lossy = true; end
		lose_on_way(self);
	end
	self.host:fire_global(n % 3 == 0 and "s2sin-destroyed" or "s2sout-destroyed", {});
end

function events:link(n)
	local domain = chosen({ "rooms.example.net", "liar.example.net" }, n);
	local outgoing = { type = "s2sout"; direction = "outgoing"; from_host = self.host.name; to_host = domain };
	local incoming = { type = "s2sin"; direction = "incoming"; from_host = domain; to_host = self.host.name };
	self.host:fire(n % 2 == 0 and "s2sin-destroyed" or "s2sout-destroyed", { session = n % 2 == 0 and incoming or outgoing });
end

-- A link breaks before it delays stanzas for long. If the account missed its admission, it answers the room with errors
-- for some minutes. A room that has lost a stanza does not ignore stanzas at the same time.
function events:time(n)
	local seconds = chosen({ 0.2, 1, 2, 5, 31, 61, 125, 1000 }, n);
	if seconds > 10 then
		for _, room in ipairs(self.honest) do room.silent = room.silent and not room.unheard; end
		self:deliver_all();
	end
	self:tick(math.min(seconds, longest_delay));
	if seconds > longest_delay then
		self:deliver_all();
		self:tick(seconds - longest_delay);
	end
end

-- Events of the server

function events:reload()
	self.ledger:excuse_all();
	for _, room in ipairs(self.honest) do
		-- A reload ends the wait for an answer. Without its id, a late answer looks like that to the next presence.
		if room.form then self.causes:trouble(room); end
	end
	self.host:reload();
end

-- Accepts the log lines of storage that fails.
function world:expect_faults()
	for _, entry in ipairs(self.faults and self.host.log or {}) do
		if entry.level == "error" and entry.message:find "storage is away$" then entry.level = "expected"; end
	end
end

-- Seconds until everything is written once storage works again.
local until_written = 20;

-- The server ends before everything is written: the next one does not know these memberships.
function world:lose_unwritten()
	if not self.faults or self.host:metric "storage_waiting" == 0 then return; end
	for _, room in ipairs(self.honest) do
		self.causes:trouble(room);
		for _, account in ipairs(self.accounts) do self.causes:may_go(room, account); end
		note_lost_in(room);
	end
	self.has_lost = true;
end

-- Rooms remove occupants that the account's server does not know.
function world:remove_unknown()
	if not self.has_lost or self.faults and self.faults.kind then return; end
	self.has_lost = nil;
	self:deliver_all();
	for _, room in ipairs(self.honest) do
		for _, account in ipairs(self.accounts) do
			local occupant = self:occupant_of(room, account);
			if occupant and not self:is_known(room.jid, self:occupant_jid(account)) then
				room.lossy = true;
				self.host:run(function () room[room.is_real and "kick" or "forget"](room, occupant.nick); end);
			end
		end
	end
end

local function restarts(killed)
	return function (self)
		self.ledger:excuse_all();
		if killed then self:forget_last_hour(); else self.host:stop(); end
		self:lose_unwritten();
		self:expect_faults();
		self.host:restart { killed = true };
		for slot in pairs(self.sessions) do self:end_session(slot); end
		lose_on_way(self);
		self:connect_rooms();
	end
end

events.restart = restarts(false);
events.kill = restarts(true);

function events:unload()
	self.ledger:excuse_all();
	self:lose_unwritten();
	for _, room in ipairs(self.honest) do
		self.causes:trouble(room);
		for _, account in ipairs(self.accounts) do self.causes:may_go(room, account); end
		-- The next instance does not know this leave. The room may confirm it after its answer to a join from before.
		room.has_lost = room.has_lost or (self.host.wire[1] or self.on_way[1]) ~= nil;
		-- Such a room ignores the leave of a join that it has not answered yet.
		self.has_lost = self.has_lost or room.silent;
	end
	self.host:unload();
	self:read_all();
	self.forgetful = true;
	-- The module does not know sessions from before it was loaded. Their full JIDs are in no room.
	for _, session in pairs(self.sessions) do
		for _, place in pairs(session.places) do place.been_in = nil; end
	end
	self.host:load();
end

-- Storage fails for some calls, for some seconds, or until it is mended.
function events:fail(n, m, o, p)
	local calls = o % 3 == 0 and p % 3 + 1 or nil;
	self.faults:fail(chosen(faulty.kinds, n), chosen({ "reads", "writes", "both" }, m), nil, nil, calls);
	if o % 3 == 1 then
		clock.timer.add_task(p % 60, function () self.faults:work(); end);
	end
end

function events:mend()
	self.faults:work();
end

function events:jump(n)
	clock.jump(chosen({ 3, 7200, 5184000, -3, -7200, -5184000 }, n));
end

-- Events of lying rooms

function events:lie(n, m, o, p)
	local room = chosen(self.liars, p);
	room:lie(n, m, o, p // 2);
end

function events:attack(n, m, o, p)
	chosen(self.liars, p):attack(n, m, o, p // 2);
end

function events:mood(n, m)
	local room = chosen(self.liars, n);
	room.mood = m % liar.moods + 1;
end

-- Conditions after each event

function world:check_rooms()
	for _, room in ipairs(self.honest) do
		local count = {};
		for _, occupant in ipairs(room.occupants) do
			local account = jid.bare(occupant.jid);
			count[account] = (count[account] or 0) + 1;
			if not occupant.inbox and count[account] > 1 then
				violation(self, account, "is in", room.jid, "twice");
			end
		end
	end
end

-- Conditions when all operations have ended.

-- In steps of 20 seconds. Steps are longer where nothing happens.
function world:wait(seconds)
	self:deliver_all();
	local left = seconds;
	while left > 0 and not self.violation do
		local step = math.min(math.max(20, clock.until_next() or left), left);
		left = left - step;
		self:tick(step);
		self:deliver_all();
	end
end

-- A stanza that is delayed for so long counts as lost. It may have been sent in the middle of the time that has passed.
function world:note_delay()
	local sent, arriving = self.host.wire[1], self.on_way[1];
	local first = math.min(sent and self.sent_at[sent] or clock.now, arriving and arriving.since or clock.now);
	if clock.now - first <= harmless_delay then return; end
	for _, room in ipairs(self.honest) do
		if room.remote then self.causes:trouble(room); end
	end
end

function world:tick(seconds)
	for _, room in ipairs(self.liars) do room.left = 10; end
	self.host:tick(seconds);
	self:note_delay();
	for _, room in ipairs(self.honest) do
		-- A room that has restarted may answer a resync late, as a first join. Its former occupants then stay in the view.
		room.lossy = room.lossy or room.restarted and seconds > 10 and self.host.wire[1] ~= nil;
	end
	self:read_all();
	self:note_accounts();
end

function world:has_session(account)
	for _, session in pairs(self.sessions) do
		if session.account == account then return true; end
	end
	return false;
end

-- The time of an account's last use is written once an hour.
function world:forget_last_hour()
	for account, time in pairs(self.last_seen) do
		self.last_seen[account] = math.min(time, clock.now - 4000);
	end
end

-- Compares accounts with the lists of the rooms. Accounts without use for `minimix_inactive_after` leave.
function world:note_accounts()
	local is_unused = {};
	for _, account in ipairs(self.accounts) do
		if self:has_session(account) then self.last_seen[account] = clock.now; end
		is_unused[account] = clock.now - (self.last_seen[account] or 0) > inactive_after - 600;
	end
	for _, room in ipairs(self.honest) do
		local listed = {};
		for _, occupant in ipairs(room.occupants) do listed[occupant.jid] = true; end
		for _, account in ipairs(self.accounts) do
			self.causes:note(room, account, listed[self:occupant_jid(account)] == true);
			if is_unused[account] then self.causes:may_go(room, account); end
		end
	end
end

-- Whether the account's nick belongs to another occupant.
local function is_mistaken(room, membership, occupant)
	local other = holder_of(room, membership.nick);
	return other ~= nil and other ~= occupant;
end

local function check_place(self, session, room, membership, occupant)
	local name, place = session.client.jid, model.place(session, room);
	local attached = inspect.is_attached(membership, name);
	if attached ~= (place.state == "in") then
		return violation(self, name, "is", place.state, room.jid, "and", attached and "attached" or "not attached");
	end
	if place.state ~= "in" then return; end
	if not occupant then
		return violation(self, name, "is in", room.jid, "and its account is not");
	elseif place.nick ~= occupant.nick and room.lossy and is_mistaken(room, membership, occupant) then
		-- The account missed its nick change, and another occupant with its old nick answers its pings. The account follows
		-- that occupant's nick changes, because rooms may send its own without 110.
		return;
	elseif place.nick ~= occupant.nick then
		return violation(self, name, "takes itself for", tostring(place.nick), "where it is", occupant.nick);
	elseif room.lossy then
		return;
	end
	local seen, there = {}, {};
	for nick in pairs(place.view) do table.insert(seen, nick); end
	for _, other in ipairs(room.occupants) do table.insert(there, other.nick); end
	table.sort(seen);
	table.sort(there);
	if table.concat(seen, ",") ~= table.concat(there, ",") then
		violation(self, name, "sees", table.concat(seen, ","), "in", room.jid, "where there are", table.concat(there, ","));
	elseif place.subject ~= room.subject then
		violation(self, name, "sees the subject", tostring(place.subject), "in", room.jid, "where it is", room.subject);
	end
end

local function check_membership(self, account, room, membership)
	local occupant = self:occupant_of(room, account);
	local phase = inspect.phase(membership);
	if (phase == "joined") ~= (occupant ~= nil) or (phase ~= "joined" and phase ~= "none") then
		violation(self, account, "is", phase, "in", room.jid, "which", occupant and "lists it" or "does not list it");
	elseif not occupant and not room.has_lost and self.causes:should_be_in(room, account) then
		violation(self, account, "is out of", room.jid, "without a cause");
	end
	if room.has_lost then return; end
	for _, session in pairs(self.sessions) do
		if session.account == account then check_place(self, session, room, membership, occupant); end
	end
end

function events:settle()
	if self.faults then
		self.faults:work();
		self:wait(until_written);
	end
	self:remove_unknown();
	for _, room in ipairs(self.honest) do
		-- A service may send 110 after an update. None omits it after it has sent it.
		room.silent, room.limit, room.form, room.omits_110 = nil, nil, nil, nil;
		self:release(room);
	end
	self:wait(until_settled);
	for _, account in ipairs(self.accounts) do
		for _, room in ipairs(self.honest) do
			check_membership(self, account, room, self:is_known(room.jid, self:occupant_jid(account)));
		end
	end
	for _, session in pairs(self.sessions) do
		local problem = model.unsettled(session, self.rooms) or ledger.missing(session);
		if problem then violation(self, session.client.jid, problem); end
	end
end

-- The remaining data after all accounts have left.

function world:finish()
	for slot, session in pairs(self.sessions) do
		session.client:close();
		self:end_session(slot);
	end
	for _, room in ipairs(self.liars) do room.dead = true; end
	for _, room in ipairs(self.honest) do
		room.silent, room.limit, room.form = nil, nil, nil;
		self:release(room);
	end
	self:wait(inactive_after + 2 * 3600);
	for _, name in ipairs(inspect.growing) do
		local held = inspect.table(self.host, name);
		local key = held and next(held);
		if key then
			violation(self, "when all are gone,", name, "still holds", tostring(key));
		end
	end
	for _, room in ipairs(self.honest) do
		for _, occupant in ipairs(room.occupants) do
			if not occupant.inbox then violation(self, occupant.jid, "is still in", room.jid); end
		end
	end
end

-- Playing

-- Logs are long. Only failures matter here.
local function check_log(self)
	self:expect_faults();
	self.host:assert_clean();
	self.host.log, self.host.inspected = {}, 0;
end

-- Lua instructions: more than any event takes, even hours of virtual time.
local longest_event = 400000000;

local function has_no_end()
	error(debug.traceback("an event that has no end"), 0);
end

local function step(self, event)
	for _, room in ipairs(self.liars) do room.left = 10; end
	events[event[1]](self, table.unpack(event, 2));
	self:plant_again();
	self:read_all();
	self:note_accounts();
	self:check_rooms();
	local problem = inspect.problem(self.host) or views.problem(self.host);
	if problem then violation(self, problem); end
	check_log(self);
end

-- What is stored takes disk, and no memory.
local function erase_storage(self)
	for _, stores in pairs(self.host.storage) do
		for _, store in pairs(stores) do
			for key in pairs(store) do store[key] = nil; end
		end
	end
end

-- B1, B4: memory of a world in kilobytes, and CPU time of an event in seconds, which includes the rooms and virtual
-- time.
local most_memory, most_time = 60000, 2;

local function play(self, list)
	for i, event in ipairs(list) do
		local started = os.clock();
		debug.sethook(has_no_end, "", longest_event);
		local ok, problem = pcall(step, self, event);
		if ok and os.clock() - started > most_time then violation(self, event[1], "took", os.clock() - started, "seconds"); end
		problem = self.violation or not ok and tostring(problem) or nil;
		if problem then return problem, i; end
	end
	local ok, problem = pcall(function ()
		events.settle(self);
		if not self.violation then self:finish(); end
		check_log(self);
	end);
	return self.violation or not ok and tostring(problem) or nil, #list;
end

-- What finalizers hold, such as parsers of streams, is freed by the second collection.
local function memory()
	collectgarbage();
	collectgarbage();
	return collectgarbage "count";
end

-- Returns the fault and the event after which it appeared, or nothing.
function world.play(list, plant)
	math.randomseed(list.seed);
	local before = memory();
	local self = world.new(list.setting, plant);
	local problem, position = play(self, list);
	debug.sethook();
	erase_storage(self);
	-- Garbage is collected only if there is too much with it.
	local size = collectgarbage "count" - before;
	if not problem and size > most_memory then size = memory() - before; end
	if not problem and size > most_memory then problem = ("the world takes %.0f kB"):format(size); end
	self.host:forget();
	return problem, position;
end

return world;
