-- B3: the module's own serialiser gives an equivalent result to Prosody's, for generated stanzas. MINIMIX_STANZAS sets
-- the number.

local st = require "util.stanza";
local xml = require "util.xml";
local random = require "fuzz.random";
local scene = require "support.scene";

local count = tonumber(os.getenv "MINIMIX_STANZAS" or "") or 300;

local names = { "a", "body", "x", "message" };
local namespaces = { false, false, "", "urn:a", "urn:b", "jabber:client" };
local texts = { "", "text", "<&>'\"", "\t \n", "\u{20AC}\u{1F600}", ("y"):rep(60), "]]>", "\u{85}" };
local attributes = {
	"id", "type", "xml:lang", "urn:p\1a", "urn:p\1b", "urn:q\1a", "by",
};

local function fill(element, draw, depth, width)
	for _ = 1, draw(4) - 1 do element.attr[attributes[draw(#attributes)]] = texts[draw(#texts)]; end
	for _ = 1, draw(width) - 1 do
		if draw(3) == 1 then
			element:text(texts[draw(#texts)]);
		elseif depth > 0 then
			element:add_child(fill(st.stanza(names[draw(#names)], { xmlns = namespaces[draw(#namespaces)] or nil }), draw, depth - 1, width));
		end
	end
	return element;
end

local function generated(seed)
	local draw = random.new(seed);
	local shape = draw(10);
	local message = st.message { type = "groupchat"; from = "room@rooms.example.org/Bob"; to = "alice@example.org" };
	message:add_child(fill(st.stanza("x", { xmlns = "urn:x" }), draw, shape == 1 and 60 or shape == 2 and 1 or 3, shape == 1 and 3 or shape == 2 and 200 or 4));
	return message;
end

-- Another order of attributes or another namespace prefix means the same after parsing.
local function is_same(one, other)
	if type(one) ~= "table" or type(other) ~= "table" then return one == other; end
	if one.name ~= other.name or #one ~= #other then return false; end
	for name, value in pairs(one.attr) do if other.attr[name] ~= value then return false; end end
	for name in pairs(other.attr) do if one.attr[name] == nil then return false; end end
	for i = 1, #one do if not is_same(one[i], other[i]) then return false; end end
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
		local stanza = generated(i);
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
			if not is_same(expected, parsed) then error(("seed %d:\n%s\n%s"):format(i, tostring(clone), tostring(written))); end
		end
	end
end);
