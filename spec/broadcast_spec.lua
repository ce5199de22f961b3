-- B2: accounts that only move on in a shared list see what they would see otherwise. Plays random broadcasts of a room
-- twice, with and without this short way, and compares the views and the stanzas of all sessions after each event.

local st = require "util.stanza";
local jid = require "util.jid";
local inspect = require "fuzz.inspect";
local random = require "fuzz.random";
local spec_host = require "support.host";
local new_seed = require "support.seed";
local xml = require "support.xml";

local count = tonumber(os.getenv "MINIMIX_BROADCASTS" or "") or 12;
local length = 60;
local domain = "rooms.example.org";
local room = "room@"..domain;
local xmlns_muc = "http://jabber.org/protocol/muc";
local accounts = { "ada", "bea", "cyd", "dan", "eve" };
local nicks = { "Kim", "Lou", "Max", "bea", "EVE", "dan2" };
local contents = { "dnd", "away", "xa" };

local function presence(nick, show, kind)
	local stanza = st.presence { from = room.."/"..nick; type = kind };
	if not kind then stanza:text_tag("show", show); end
	return stanza:tag("x", { xmlns = xmlns_muc.."#user" })
		:tag("item", { affiliation = "none"; role = kind and "none" or "participant" }):up():up();
end

local function with_status(stanza, code)
	stanza:get_child("x", xmlns_muc.."#user"):tag("status", { code = code }):up();
	return stanza;
end

local function banned(stanza)
	stanza:get_child("x", xmlns_muc.."#user").tags[1].attr.affiliation = "outcast";
	return with_status(stanza, "301");
end

local function new_world(draw, remote)
	local host = spec_host.new {};
	local self = { host = host; draw = draw; occupants = {}; sessions = {} };
	host:on_stanza_to(room, function (stanza)
		if stanza.name ~= "presence" or stanza.attr.type or not stanza:get_child("x", xmlns_muc) then return; end
		local account = stanza.attr.from;
		self.occupants[jid.node(account)] = account;
		local own = with_status(presence(jid.resource(stanza.attr.to), "chat"), "110");
		own.attr.to, own.attr.id = account, stanza.attr.id;
		host:from_room(own);
		host:from_room(st.message({ from = room; to = account; type = "groupchat" }):text_tag("subject", ""));
	end, { remote = remote });
	return self;
end

local function attach(self, username)
	local client = self.host:client(username, "phone", { available = true });
	self.sessions[username] = client;
	client:send(("<presence to='%s/%s' id='j1'><x xmlns='%s'/></presence>"):format(room, username, xmlns_muc));
	self.host:deliver();
end

local function detach(self, username)
	self.sessions[username]:close();
	self.sessions[username] = nil;
end

local function variant(self, base, account)
	local draw = self.draw;
	if draw(12) > 1 then return base; end
	local copy = st.clone(base);
	copy:get_child("x", xmlns_muc.."#user").tags[1].attr.jid = "kim@example.net/"..account;
	return copy;
end

local events = {};

-- Prosody's rooms pass the same table, others a copy. Some accounts see another form, nothing, or see it twice.
function events.show(self)
	local draw = self.draw;
	local gone, copies, odd = draw(4) == 1, draw(3) == 1, draw(3) == 1;
	local base = presence(nicks[draw(#nicks)], contents[draw(#contents)], gone and "unavailable" or nil);
	if draw(15) == 1 then with_status(base, "110"); end
	if gone and draw(8) == 1 then banned(base); end
	if draw(5) == 1 then base.attr.id = "i"..draw(2); end
	local first = draw(#accounts);
	for i = first, first + #accounts - 1 do
		local username = accounts[(i - 1) % #accounts + 1];
		local address = self.occupants[username];
		local stanza = odd and variant(self, base, username) or base;
		if copies then stanza = st.clone(stanza); end
		for _ = 1, odd and draw(6) == 1 and draw(3) - 1 or 1 do
			stanza.attr.to = address;
			self.host:from_room(stanza);
		end
		self.host:deliver();
	end
end

-- The room changes a table that it has sent.
function events.reuse(self)
	local draw = self.draw;
	local stanza = presence(nicks[draw(3)], contents[draw(#contents)]);
	for _ = 1, 2 + draw(6) do
		stanza.attr.to = self.occupants[accounts[draw(#accounts)]];
		if draw(3) == 1 then stanza.attr.from = room.."/"..nicks[draw(3)]; end
		if draw(4) == 1 then stanza.attr.type = stanza.attr.type == nil and "unavailable" or nil; end
		self.host:from_room(stanza);
	end
end

function events.session(self)
	local username = accounts[self.draw(#accounts)];
	if self.sessions[username] then detach(self, username); else attach(self, username); end
end

function events.wait(self)
	self.host:tick(self.draw(3));
end

-- A replay lists the occupants in any order.
local function received(client)
	local list = {};
	for _, stanza in ipairs(client and client:take() or {}) do table.insert(list, xml.canonical(stanza)); end
	table.sort(list);
	return list;
end

local function content_of(self)
	local eachOccupant = self.api.eachOccupant;
	local lines = {};
	for _, username in ipairs(accounts) do
		local membership = inspect.membership(self.host, self.occupants[username], room);
		local view = {};
		if membership then
			table.insert(view, ("%s %s"):format(membership.view.stale, membership.heardAt));
			for nick, held in eachOccupant(membership.view) do table.insert(view, nick..held.text); end
		end
		table.sort(view);
		table.insert(lines, username..": "..table.concat(view, " "));
		for _, text in ipairs(received(self.sessions[username])) do table.insert(lines, username.." got "..text); end
	end
	return table.concat(lines, "\n");
end

local function chosen(draw)
	local n = draw(20);
	return n <= 13 and "show" or n <= 15 and "reuse" or n <= 19 and "session" or "wait";
end

-- Returns the state after each event, and how often an account was moved on.
local function play(seed, is_short)
	local draw = random.new(seed);
	local self = new_world(draw, draw(2) == 1);
	self.api = inspect.tables(self.host).state_occupants;
	local passed = 0;
	inspect.replace(self.host, "passOn", function (pass)
		return function (...)
			local done = is_short and pass(...);
			if done then passed = passed + 1; end
			return done;
		end;
	end);
	for _, username in ipairs(accounts) do attach(self, username); end
	for _, username in ipairs(accounts) do
		if draw(4) > 1 then detach(self, username); end
	end
	local states = {};
	for i = 1, length do
		local name = chosen(draw);
		events[name](self);
		states[i] = name.."\n"..content_of(self);
	end
	self.host:assert_clean();
	self.host:forget();
	return states, passed;
end

it(("B2: %d rooms are seen the same with and without the short way for broadcasts #once"):format(count), function ()
	local seed = new_seed("broadcasts", "MINIMIX_BROADCASTS");
	local total = 0;
	for i = seed, seed + count - 1 do
		local states, passed = play(i, true);
		total = total + passed;
		local expected = play(i, false);
		for n, state in ipairs(expected) do
			if state ~= states[n] then
				error(("seed %d, event %d\nwithout: %s\nwith: %s\nbefore: %s"):format(i, n, state, states[n], states[n - 1]), 0);
			end
		end
	end
	print(total.." presences took the short way");
	assert(total > 0);
end);
