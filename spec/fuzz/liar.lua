-- A room that breaks every rule. Its behaviour follows from numbers, so that a list of events can be repeated.

local st = require "util.stanza";
local jid = require "util.jid";

local xmlns_user = "http://jabber.org/protocol/muc#user";
local codes = { "100", "110", "170", "171", "172", "173", "201", "210", "301", "303", "307", "321", "322", "332", "333", "999" };
local conditions = {
	"conflict", "not-authorized", "forbidden", "item-not-found", "not-acceptable", "service-unavailable",
	"registration-required", "remote-server-timeout", "remote-server-not-found", "undefined-condition", "gone",
};
local kinds = { "cancel", "auth", "wait", "modify" };
-- includes nil and ""
local nicks = { "Alice", "Anna", "Mallory", "Bob", "", "Al", "\u{200E}\u{340}", (" "):rep(3), ("x"):rep(2000), "a/b@c" };
local stamps = { "2023-11-14T22:13:20Z", "1969-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "never", "" };

local liar = {};
liar.__index = liar;

-- domain: the service, which owns all its rooms; occupants: the JIDs of the accounts as rooms see them
function liar.new(domain, occupants)
	return setmetatable({
		jid = "lies@"..domain; domain = domain; occupants = occupants;
		lies = true; mood = 1; spoke = {}; asked = 0; known_ids = {}; said = 0; left = 0;
	}, liar);
end

local function chosen(list, n)
	return list[n % #list + 1];
end

local function nick_of(n)
	return chosen(nicks, n);
end

local function address(self, n)
	local forms = {
		self.jid.."/"..(self.nick or "Alice"); self.jid.."/"..(self.nick or "Alice"); self.jid.."/Mallory"; self.jid.."/Bob";
		self.jid; self.domain; "other@"..self.domain.."/Alice"; "other@"..self.domain; self.jid.."/"..("y"):rep(1000);
	};
	return chosen(forms, n);
end

local function known_id(self, n)
	if n % 3 == 0 then return nil; end
	if n % 3 == 1 or not self.known_ids[1] then return "unheard-of-"..n; end
	return chosen(self.known_ids, n);
end

local function muc_user(n, m)
	local x = st.stanza("x", { xmlns = xmlns_user });
	if n % 5 ~= 0 then
		x:tag("item", {
			affiliation = n % 4 ~= 0 and "none" or nil; role = n % 3 ~= 0 and "participant" or nil;
			nick = m % 4 == 0 and nick_of(n) or nil; jid = m % 7 == 0 and "@@" or nil;
		}):up();
	end
	for i = 0, m % 4 do
		x:tag("status", { code = i < 3 and chosen(codes, n * (i + 1) + m) or nil }):up();
	end
	if n % 11 == 0 then x:tag("destroy", { jid = "trap@"..(m % 2 == 0 and "liar.example.net" or "") }):up(); end
	return x;
end

local function error_element(n, m)
	local element = st.stanza("error", { type = n % 5 ~= 0 and chosen(kinds, n) or nil });
	if m % 5 ~= 0 then
		element:tag(chosen(conditions, m), { xmlns = "urn:ietf:params:xml:ns:xmpp-stanzas" }):up();
	end
	return element;
end

local function marks(self, message, n)
	if n % 3 == 0 then
		message:tag("delay", { xmlns = "urn:xmpp:delay"; from = chosen({ self.jid, "red@rooms.example.org", "" }, n); stamp = chosen(stamps, n) }):up();
	end
	if n % 4 == 0 then
		message:tag("stanza-id", { xmlns = "urn:xmpp:sid:0"; by = chosen({ self.jid, "alice@example.org", "" }, n); id = n % 8 == 0 and "one" or nil }):up();
	end
	return message;
end

local forms = {};

function forms.available(self, n, m)
	local presence = st.presence { id = known_id(self, m) };
	if n % 6 ~= 0 then presence:add_child(muc_user(n, m)); end
	return presence;
end

function forms.unavailable(self, n, m)
	local presence = st.presence { type = "unavailable"; id = known_id(self, m) };
	if n % 6 ~= 0 then presence:add_child(muc_user(n, m)); end
	return presence;
end

function forms.refusal(self, n, m)
	local presence = st.presence { type = "error"; id = known_id(self, n) };
	if m % 6 ~= 0 then presence:add_child(error_element(n, m)); end
	return presence;
end

function forms.other_presence(_, n)
	return st.presence { type = chosen({ "subscribe", "subscribed", "probe", "unsubscribe", "nonsense" }, n) };
end

function forms.says(self, n, m)
	local message = st.message { type = "groupchat"; id = known_id(self, n) };
	if m % 3 ~= 0 then message:text_tag("body", "a lie"); end
	if n % 3 == 0 then message:text_tag("subject", n % 2 == 0 and "" or "a lie"); end
	if n % 5 == 0 then message:add_child(muc_user(n, m)); end
	return marks(self, message, m);
end

function forms.bounces(self, n, m)
	local message = st.message { type = "error"; id = known_id(self, n) };
	if m % 6 ~= 0 then message:add_child(error_element(n, m)); end
	return message;
end

function forms.whispers(self, n, m)
	local message = st.message { type = chosen({ "chat", "normal", "headline" }, n); id = "pm" };
	if n % 2 == 0 then message:add_child(muc_user(n, m)); end
	if m % 4 == 0 then message:tag("result", { xmlns = "urn:xmpp:mam:2"; queryid = m % 8 == 0 and "q" or nil }):up(); end
	if m % 5 == 0 then message:tag("x", { xmlns = xmlns_user }):tag("invite"):up():up(); end
	return marks(self, message, n);
end

function forms.asks(_, n, m)
	local iq = st.iq { type = chosen({ "get", "set", "nonsense" }, n); id = m % 5 ~= 0 and "liar"..m or "" };
	if n % 4 ~= 0 then
		iq:tag("query", { xmlns = chosen({ "urn:xmpp:ping", "vcard-temp", "jabber:iq:version", "http://jabber.org/protocol/pubsub" }, m) }):up();
	end
	return iq;
end

function forms.answers(self, n, m)
	local iq = st.iq { type = chosen({ "result", "error" }, n); id = known_id(self, m) or "" };
	if n % 3 == 0 then iq:add_child(error_element(n, m)); end
	if n % 4 == 0 then iq:tag("fin", { xmlns = "urn:xmpp:mam:2" }):up(); end
	return iq;
end

-- Claims that no room may make for others: in a message, and in the archive.
local function claim(self, n)
	local senders = {
		self.jid.."/Mallory"; self.jid.."/Alice"; self.jid; "other@"..self.domain.."/Bob"; "red@rooms.example.org/Bob"; "carol@elsewhere.example/x";
		"alice@example.org"; "anna@example.org/minimix"; "example.org"; "@@"; "";
	};
	local message = st.message { type = n % 7 ~= 0 and "groupchat" or nil; from = n % 13 ~= 0 and chosen(senders, n) or nil; id = "claim"..n % 5; xmlns = "jabber:client" };
	message:text_tag("body", "claim "..n % 50);
	if n % 2 == 0 then message:tag("stanza-id", { xmlns = "urn:xmpp:sid:0"; by = chosen({ self.jid, "alice@example.org" }, n); id = "s"..n % 20 }):up(); end
	if n % 3 == 0 then message:tag("received", { xmlns = "urn:xmpp:carbons:2" }):up(); end
	if n % 5 == 0 then message:tag("x", { xmlns = xmlns_user }):tag("status", { code = "110" }):up():up(); end
	return marks(self, message, n);
end

local function wrapped(self, n, query_id)
	local result = st.message { from = self.jid }:tag("result", { xmlns = "urn:xmpp:mam:2"; queryid = query_id; id = n % 6 ~= 0 and "a"..n % 30 or nil });
	if n % 17 == 0 then return result:reset(); end
	result:tag("forwarded", { xmlns = "urn:xmpp:forward:0" });
	if n % 19 ~= 0 then result:tag("delay", { xmlns = "urn:xmpp:delay"; stamp = n % 4 == 0 and chosen(stamps, n) or nil }):up(); end
	return result:add_child(claim(self, n)):reset();
end

-- Behaviour of attacks only. The kept lists must not change their meaning.
local attacks = {};

function attacks.archives(self, n, m)
	return wrapped(self, n, m % 2 == 0 and self.query_id or "unheard-of");
end

function attacks.claims(self, n)
	local message = claim(self, n);
	message.attr.xmlns = nil;
	return st.message { type = n % 2 == 0 and "groupchat" or "chat" }
		:tag(n % 3 == 0 and "sent" or "received", { xmlns = "urn:xmpp:carbons:2" })
		:tag("forwarded", { xmlns = "urn:xmpp:forward:0" }):add_child(claim(self, n)):reset();
end

-- Stanzas with many children, deep nesting or long content: larger than the module's limits.
function attacks.giants(_, n, m)
	local stanza = n % 2 == 0 and st.presence() or st.message { type = "groupchat" };
	if n % 6 < 2 then
		stanza:tag("b", { xmlns = "b" });
		for _ = 1, m % 3 == 0 and 8000 or 300 do stanza:tag("a"):up(); end
	elseif n % 6 < 4 then
		for _ = 1, m % 3 == 0 and 300 or 90 do stanza:tag("a", { xmlns = "b" }); end
	else
		stanza:text_tag(n % 2 == 0 and "status" or "body", ("x"):rep(m % 3 == 0 and 300000 or 17000));
	end
	return stanza:reset();
end

local form_names = {};
for name in pairs(forms) do table.insert(form_names, name); end
table.sort(form_names);

local attack_names = {};
for name in pairs(attacks) do table.insert(attack_names, name); end
table.sort(attack_names);

local function tell(self, stanza, o, p)
	stanza.attr.from = address(self, p);
	stanza.attr.to = chosen(self.occupants, o);
	self:say(stanza);
end

function liar:lie(n, m, o, p)
	tell(self, forms[chosen(form_names, n)](self, m, o), o, p);
end

function liar:attack(n, m, o, p)
	self.has_archive = p % 3 ~= 0;
	tell(self, attacks[chosen(attack_names, n)](self, m, o), o, p);
end

-- Bounded, because the account may answer each of the room's answers.
function liar:say(stanza)
	if self.left <= 0 then return; end
	self.left = self.left - 1;
	-- Addresses that sessions may see as senders.
	self.spoke[jid.bare(stanza.attr.from) or ""] = true;
	self.send(stanza);
end

local function own(kind, stanza, ...)
	local presence = st.presence { type = kind; from = stanza.attr.to; to = stanza.attr.from; id = stanza.attr.id };
	presence:tag("x", { xmlns = xmlns_user }):tag("item", { affiliation = "none"; role = kind and "none" or "participant"; nick = kind and "Mallory" }):up();
	for _, code in ipairs { ... } do presence:tag("status", { code = code }):up(); end
	return presence:reset();
end

local function subject(stanza)
	return st.message { type = "groupchat"; from = jid.bare(stanza.attr.to); to = stanza.attr.from }:text_tag("subject", "");
end

-- Answers to a join.
local moods = {
	function () end;
	function (self, stanza)
		self:say(own(nil, stanza, "110"));
		self:say(subject(stanza));
	end;
	function (self, stanza)
		self:say(own(nil, stanza, "110"));
		self:say(own(nil, stanza, "110"));
		self:say(subject(stanza));
		self:say(subject(stanza));
	end;
	function (self, stanza)
		local foreign = own(nil, stanza, "110");
		foreign.attr.from = self.jid.."/Mallory";
		self:say(own(nil, stanza));
		self:say(foreign);
	end;
	function (self, stanza) self:say(own("unavailable", stanza, "110", "303")); end;
	function (self, stanza) self:say(own("unavailable", stanza, "110", "332")); end;
	function (self, stanza)
		local gone = own("unavailable", stanza, "110");
		gone:get_child("x", xmlns_user):tag("destroy", { jid = "trap@liar.example.net" }):up();
		self:say(gone);
	end;
	function (self, stanza)
		local reply = st.error_reply(stanza, "cancel", "conflict");
		self:say(reply);
		self:say(st.clone(reply));
	end;
	function (self, stanza) self:say(st.error_reply(stanza, "wait", "resource-constraint")); end;
	function (self, stanza)
		self:say(own(nil, stanza, "110", "201", "100", "210"));
		self:say(own("unavailable", stanza, "303"));
		self:say(own(nil, stanza, "110"));
		self:say(own("unavailable", stanza, "110", "307"));
	end;
};
liar.moods = #moods;

-- The archive: results out of order and with any sender; sometimes without `<fin/>`.
function liar:answer_query(iq)
	local query = iq:get_child("query", "urn:xmpp:mam:2");
	self.asked, self.query_id = self.asked + 1, query.attr.queryid;
	for i = 1, self.asked % 7 * 12 do
		local result = wrapped(self, self.asked * 31 + i * 7, self.query_id);
		result.attr.to = iq.attr.from;
		self:say(result);
	end
	if self.asked % 5 == 0 then return; end
	local fin = st.reply(iq):tag("fin", { xmlns = "urn:xmpp:mam:2"; complete = self.asked % 3 == 0 and "true" or nil })
		:tag("set", { xmlns = "http://jabber.org/protocol/rsm" });
	if self.asked % 4 ~= 0 then fin:text_tag("last", self.asked % 11 == 0 and ("z"):rep(5000) or "a"..self.asked); end
	self:say(fin:reset());
end

function liar:receive(stanza)
	if stanza.attr.id then
		table.insert(self.known_ids, stanza.attr.id);
		if #self.known_ids > 20 then table.remove(self.known_ids, 1); end
	end
	local nick = jid.resource(stanza.attr.to);
	if self.dead then
		if stanza.name == "iq" and (stanza.attr.type == "get" or stanza.attr.type == "set") then
			self.send(st.error_reply(stanza, "cancel", "not-acceptable"));
		end
	elseif stanza.name == "presence" and stanza.attr.type == nil and nick then
		self.nick = nick;
		moods[self.mood](self, stanza);
	elseif stanza.name == "presence" and self.mood % 2 == 0 and stanza.attr.type == "unavailable" and nick then
		self:say(own("unavailable", stanza, "110"));
	elseif stanza.name == "iq" and self.has_archive and stanza:get_child("query", "urn:xmpp:mam:2") then
		self:answer_query(stanza);
	elseif stanza.name == "iq" and self.mood % 3 == 0 and stanza.attr.type ~= "error" and stanza.attr.type ~= "result" then
		self:say(st.error_reply(stanza, "cancel", chosen(conditions, self.mood + #self.known_ids)));
	end
end

return liar;
