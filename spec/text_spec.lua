-- B3: the module's own serialiser gives an equivalent result to Prosody's, for generated stanzas. MINIMIX_STANZAS sets
-- the number.

local st = require "util.stanza";
local xml = require "util.xml";
local xmppstream = require "util.xmppstream";
local mam = require "support.mam";
local random = require "fuzz.random";
local scene = require "support.scene";

local count = tonumber(os.getenv "MINIMIX_STANZAS" or "") or 300;

local names = { "a", "body", "x", "message", "\u{E9}t\u{E9}", "_", "a.b-c", "stream" };
local namespaces = { false, false, "", "urn:a", "urn:b", "jabber:client", "a'b&c<d>", "http://www.w3.org/1999/xhtml", "\u{20AC}" };
local texts = {
	"", "text", "<&>'\"", "\t \n", "\r\n", "\u{20AC}\u{1F600}", ("y"):rep(60), "]]>", "\u{85}", "\u{7F}\u{2028}", "&amp;", "  ",
};
local attributes = {
	"id", "type", "xml:lang", "urn:p\1a", "urn:p\1b", "urn:q\1a", "by", "\u{E9}", "ns1", "a.b-c", "jabber:client\1id", "\u{20AC}\1_", "xml:space",
};

local function fill(element, draw, depth, width)
	for _ = 1, draw(30) == 1 and 40 or draw(4) - 1 do element.attr[attributes[draw(#attributes)]] = texts[draw(#texts)]; end
	for _ = 1, draw(width) - 1 do
		if draw(3) == 1 then
			element:text(texts[draw(#texts)]);
		elseif depth > 0 then
			element:add_child(fill(st.stanza(names[draw(#names)], { xmlns = namespaces[draw(#namespaces)] or nil }), draw, depth - 1, width));
		end
	end
	return element;
end

local function generated(seed, name)
	local draw = random.new(seed);
	local shape = draw(10);
	local from, to = "room@rooms.example.org/Bob", "alice@example.org";
	local stanza = st.stanza(name, { type = name == "message" and "groupchat" or nil; from = from; to = to });
	if name == "presence" then
		stanza.attr.id, stanza.attr["xml:lang"] = draw(2) == 1 and texts[draw(#texts)] or nil, draw(2) == 1 and texts[draw(#texts)] or nil;
		stanza.attr[draw(4) == 1 and attributes[draw(#attributes)] or "id"] = texts[draw(#texts)];
		stanza.attr.type = nil;
		stanza:tag("item", { xmlns = "urn:x"; id = texts[draw(#texts)]; jid = draw(3) == 1 and texts[draw(#texts)] or nil; a = texts[draw(3)] }):up();
	end
	stanza:add_child(fill(st.stanza("x", { xmlns = "urn:x" }), draw, shape == 1 and 60 or shape == 2 and 1 or 3, shape == 1 and 3 or shape == 2 and 200 or 4));
	return stanza;
end

-- Another order of attributes or another namespace prefix means the same after parsing. Elements inherit the namespace.
local function is_same(one, other, xmlns, other_xmlns)
	if type(one) ~= "table" or type(other) ~= "table" then return one == other; end
	xmlns, other_xmlns = one.attr.xmlns or xmlns, other.attr.xmlns or other_xmlns;
	if one.name ~= other.name or #one ~= #other or xmlns ~= other_xmlns then return false; end
	for name, value in pairs(one.attr) do if name ~= "xmlns" and other.attr[name] ~= value then return false; end end
	for name in pairs(other.attr) do if name ~= "xmlns" and one.attr[name] == nil then return false; end end
	for i = 1, #one do if not is_same(one[i], other[i], xmlns, other_xmlns) then return false; end end
	return true;
end

it(("B3: %d generated stanzas are serialised as by Prosody"):format(count), function ()
	local s = scene.new();
	local phone = s:client "phone";
	s:enter(phone);
	local session = phone.session or s.host:session("alice", "phone");
	local written;
	local rawsend = session.rawsend;
	function session.rawsend(text)
		written = text;
		return rawsend(text);
	end
	local seed = tonumber(os.getenv "MINIMIX_SEED" or "") or 1;
	for i = seed, seed + count - 1 do
		-- Parts of presences are cached.
		local stanza = generated(i, i % 2 == 0 and "presence" or "message");
		local clone = st.clone(stanza);
		clone.attr.to = phone.jid;
		local expected = xml.parse(tostring(clone));
		local dropped = s.host:metric("drops", { "limit" }) or 0;
		written = nil;
		stanza.attr.to = s:occupant_jid();
		s.host:from_room(stanza);
		phone:take();
		if expected and (s.host:metric("drops", { "limit" }) or 0) == dropped then
			assert(written, "nothing was sent of "..tostring(clone));
			local parsed = assert(xml.parse(tostring(written)), "no XML: "..tostring(written));
			if not is_same(expected, parsed, "jabber:client", "jabber:client") then error(("seed %d:\n%s\n%s"):format(i, tostring(clone), tostring(written))); end
		end
	end
end);

-- Returns a message as it arrives, without the addresses, the delay, and what the room's log adds.
local function content(stanza)
	local copy = xml.parse(tostring(stanza));
	copy.attr.to = nil;
	copy:maptags(function (tag) return tag.name ~= "delay" and tag or nil; end);
	return copy;
end

it(("B3: %d generated messages are the same when they come back from the archive"):format(count // 3), function ()
	local s = scene.new { modules = { "mam" } };
	local phone = s:client "phone";
	s:enter(phone);
	local seed = tonumber(os.getenv "MINIMIX_SEED" or "") or 1;
	local compared = 0;
	for i = seed, seed + count // 3 - 1 do
		local stanza = generated(i, "message");
		stanza:text_tag("body", texts[i % #texts + 1].."!");
		stanza.attr.id = "m"..i;
		local expected = content(stanza);
		stanza.attr.to = s:occupant_jid();
		s.host:from_room(stanza);
		phone:take();
		phone:send(mam.query { with = s.room.jid; max = 1; before = true });
		local message = mam.message_in(phone:take()[1]);
		if message and message.attr.id == "m"..i then
			message.attr.xmlns = nil;
			compared = compared + 1;
			local found = content(message);
			if not is_same(expected, found, "jabber:client", "jabber:client") then error(("seed %d:\n%s\n%s"):format(i, tostring(expected), tostring(found))); end
		end
	end
	assert(compared > count // 6, compared.." came back");
end);

-- Returns the presence that a session gets from Bob when it joins.
local function replayed(client)
	client:take();
	client:send(scene.join "Alice");
	for _, stanza in ipairs(client:take()) do
		if stanza.name == "presence" and stanza.attr.type == nil and stanza.attr.from == "room@rooms.example.org/Bob" then return xml.parse(tostring(stanza)); end
	end
end

it(("B3: %d generated presences are replayed to a session that takes tables as the room has sent them"):format(count // 3), function ()
	local seed = tonumber(os.getenv "MINIMIX_SEED" or "") or 1;
	local compared = 0;
	for i = seed, seed + count // 3 - 1 do
		local s = scene.new();
		local browser = s:client("browser", nil, { bosh = true });
		s:enter(browser);
		local stanza = generated(i, "presence");
		stanza.attr.to = browser.jid;
		local expected = xml.parse(tostring(stanza));
		stanza.attr.to = s:occupant_jid();
		s.host:from_room(stanza);
		local found = replayed(browser);
		if expected and found then
			compared = compared + 1;
			if not is_same(expected, found, "jabber:client", "jabber:client") then error(("seed %d:\n%s\n%s"):format(i, tostring(expected), tostring(found))); end
		end
	end
	assert(compared > count // 6, compared.." came");
end);

it("B3: presence that is no XML does not affect others in a replay", function ()
	local s = scene.new();
	s.room:enter "Bob";
	local browser = s:client("browser", nil, { bosh = true });
	s:enter(browser);
	for _, status in ipairs { "\0", "\1", "\195", "\u{FFFF}", "</presence>" } do
		local broken = st.presence { from = s.room.jid.."/Carol"; to = s:occupant_jid() };
		broken:tag("status");
		table.insert(broken.tags[1], status);
		s.host:from_room(broken);
		assert(replayed(browser), "Bob was not shown");
		assert(s:history(browser), "the join was not answered");
	end
end);

-- Calls a function. Returns the largest number of bytes that one parser gets meanwhile.
local function most_parsed(f)
	local new, most = xmppstream.new, 0;
	function xmppstream.new(...)
		local parser, fed = new(...), 0;
		local feed, reset = parser.feed, parser.reset;
		function parser.feed(self, text)
			fed = fed + #text;
			most = math.max(most, fed);
			return feed(self, text);
		end
		function parser.reset()
			fed = 0;
			return reset();
		end
		return parser;
	end
	local ok, problem = pcall(f);
	xmppstream.new = new;
	assert(ok, problem);
	return most;
end

-- Expat keeps the name of each element until its parser ends.
it("B1: element names that a room makes up do not stay in memory after a replay", function ()
	local most = most_parsed(function ()
		local s = scene.new();
		s.room:enter "Bob";
		local browser = s:client("browser", nil, { bosh = true });
		s:enter(browser);
		for i = 1, 50 do
			local presence = st.presence { from = s.room.jid.."/Bob"; to = s:occupant_jid() };
			for j = 1, 100 do presence:tag(("n%d"):format(i * 1000 + j)):up(); end
			s.host:from_room(presence);
			assert(replayed(browser), "Bob was not shown");
		end
	end);
	assert(most > 0 and most < 32768, most.." bytes");
end);
