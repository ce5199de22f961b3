-- B1, B3, B4: bookmarks and notification settings that are malformed, huge or many. The account's own clients write
-- them, or another client in their name.

local st = require "util.stanza";
local jid = require "util.jid";
local inspect = require "fuzz.inspect";
local scene = require "support.scene";
local work = require "support.work";

local pubsub = "http://jabber.org/protocol/pubsub";
local bookmarks = "urn:xmpp:bookmarks:1";
local muc_user = "http://jabber.org/protocol/muc#user";
local occupant = "alice@example.org/minimix";

local function value(var, text)
	return st.stanza("field", { var = var }):text_tag("value", text);
end

local function options()
	local form = st.stanza("x", { xmlns = "jabber:x:data"; type = "submit" });
	form:add_child(value("FORM_TYPE", pubsub.."#publish-options"));
	form:add_child(value("pubsub#persist_items", "true"));
	form:add_child(value("pubsub#max_items", "max"));
	form:add_child(value("pubsub#access_model", "whitelist"));
	return st.stanza("publish-options"):add_child(form);
end

-- fields: attributes of <conference/>; children: its child elements
local function bookmark(client, id, fields, ...)
	local attr = { xmlns = bookmarks; autojoin = "true" };
	for name, text in pairs(fields or {}) do attr[name] = text; end
	local conference = st.stanza("conference", attr);
	for _, child in ipairs { ... } do conference:add_child(child); end
	client:send(tostring(st.iq({ type = "set"; id = "b" }):tag("pubsub", { xmlns = pubsub })
		:tag("publish", { node = bookmarks }):tag("item", { id = id }):add_child(conference):up():up():add_child(options()):reset()));
	client:take();
end

local function new_scene(fields)
	fields = fields or {};
	fields.modules = { "pep"; "bookmarks" };
	fields.options = fields.options or {};
	fields.options.minimix_rejoin_rate = 100;
	local s = scene.new(fields);
	return s, s:client "phone";
end

-- A service whose rooms all admit the account, unless `silent` is set. Returns it with the rooms joined.
local function new_service(s, domain, silent)
	local service = { joins = {}; count = 0 };
	s.host:on_stanza_to(domain, function (stanza)
		if stanza.name == "iq" and not silent then s.host:from_room(st.error_reply(stanza, "cancel", "service-unavailable")); end
		if stanza.name ~= "presence" or stanza.attr.type then return; end
		local room = jid.bare(stanza.attr.to);
		if not service.joins[room] then service.count = service.count + 1; end
		service.joins[room] = stanza;
		if silent then return; end
		s.host:from_room(st.presence({ from = stanza.attr.to; to = stanza.attr.from; id = stanza.attr.id }):tag("x", { xmlns = muc_user })
			:tag("item", { affiliation = "none"; role = "participant" }):up():tag("status", { code = "110" }):reset());
		s.host:from_room(st.message({ from = room; to = stanza.attr.from; type = "groupchat" }):text_tag("subject", ""));
	end, { remote = true });
	return service;
end

local function count_rooms(s)
	local count = 0;
	inspect.each_membership(s.host, function () count = count + 1; end);
	return count;
end

it("B1: of 250 bookmarks with autojoin, the account joins minimix_max_rooms #once", function ()
	local s, phone = new_scene { options = { minimix_max_rooms = 30; pep_max_items = 1000 } };
	local service = new_service(s, "hostile.example.net");
	for i = 1, 250 do bookmark(phone, ("r%d@hostile.example.net"):format(i)); end
	s:wait(30);
	assert.equal(30, count_rooms(s));
	assert.equal(30, service.count);
	s:restart();
	service = new_service(s, "hostile.example.net");
	s:client "phone";
	s:wait(60);
	assert.equal(30, service.count);
end);

it("J5: a service that answers no join of 100 bookmarks delays no room of another service", function ()
	local s, phone = new_scene { remote = true };
	new_service(s, "hostile.example.net", true);
	for i = 1, 99 do bookmark(phone, ("r%d@hostile.example.net"):format(i)); end
	s:wait(2);
	bookmark(phone, s.room.jid, nil, st.stanza("nick"):text("Alice"));
	s:wait(5);
	assert.same({ "Alice" }, s:occupants());
end);

it("B3: malformed addresses of rooms have no effect", function ()
	local s, phone = new_scene();
	local ids = {
		"", " ", "@", "@@", "room@", "@rooms.example.org", "rooms.example.org", "room@rooms.example.org/nick", "a b@c d", "room@rooms.example.org/",
		("x"):rep(1024).."@rooms.example.org", "room@"..("y"):rep(1024), "room\u{200E}@@rooms.example.org",
		"alice@example.org", "ALICE@Example.org", "alice@example.org/minimix", "bob@example.org", "example.org", "example.org/room",
	};
	for _, id in ipairs(ids) do bookmark(phone, id); end
	s:wait(10);
	assert.equal(0, count_rooms(s));
	bookmark(phone, s.room.jid, nil, st.stanza("nick"):text("Alice"));
	s:wait(10);
	assert.same({ "Alice" }, s:occupants());
end);

it("R2: a bookmarked room that answers each join with a redirection is not followed, and joined once", function ()
	local s, phone = new_scene();
	local trap = s:add_room "trap";
	local joins = 0;
	s.host:on_stanza_to("hostile.example.net", function (stanza)
		if stanza.name ~= "presence" or stanza.attr.type then return; end
		joins = joins + 1;
		s.host:from_room(st.presence({ type = "unavailable"; from = stanza.attr.to; to = stanza.attr.from; id = stanza.attr.id }):tag("x", { xmlns = muc_user })
			:tag("item", { affiliation = "none"; role = "none" }):up():tag("destroy", { jid = trap.jid }):up():tag("status", { code = "110" }):reset());
	end, { remote = true });
	bookmark(phone, "r1@hostile.example.net");
	s:wait(3600);
	s:restart();
	s:client "phone";
	s:wait(3600);
	assert.equal(1, joins);
	assert.same({}, trap.received);
end);

it("B1: a huge name, nick and password of a bookmark are not kept", function ()
	local s, phone = new_scene();
	local huge = ("z"):rep(100000);
	bookmark(phone, s.room.jid, { name = huge }, st.stanza("nick"):text(huge), st.stanza("password"):text(huge));
	s:wait(10);
	local membership = inspect.membership(s.host, occupant, s.room.jid);
	assert.same({ "alice" }, s:occupants());
	assert.is_nil(membership.bookmark.name);
	assert.is_nil(membership.bookmark.password);
	assert.is_nil(membership.password);
	bookmark(phone, s.room.jid, { name = "The lab" }, st.stanza("password"):text("secret"));
	assert.equal("The lab", membership.bookmark.name);
	assert.equal("secret", membership.bookmark.password);
end);

local function settings(count, name)
	local notify = st.stanza("notify", { xmlns = "urn:xmpp:notification-settings:1" });
	for _ = 1, count do notify:tag(name, { ["identity-category"] = "client" }):up(); end
	return st.stanza("extensions"):add_child(notify);
end

it("B1: thousands of notification settings are ignored", function ()
	local s, phone = new_scene();
	bookmark(phone, s.room.jid, nil, settings(5000, "never"));
	s:wait(10);
	local membership = inspect.membership(s.host, occupant, s.room.jid);
	assert.is_nil(membership.bookmark.notify);
	bookmark(phone, s.room.jid, nil, settings(1, "never"));
	assert.equal("never", membership.bookmark.notify);
end);

it("B1: a bookmark with thousands of elements is ignored", function ()
	local s, phone = new_scene();
	local children = {};
	for i = 1, 2000 do children[i] = st.stanza("nick"):text("n"..i); end
	bookmark(phone, s.room.jid, nil, table.unpack(children));
	s:wait(10);
	assert.equal(0, count_rooms(s));
end);

-- limit: in seconds
local function assert_short(name, f, limit)
	local seconds = work.longest(f);
	print(("%s: %.1f ms"):format(name, seconds * 1000));
	assert(seconds < limit, ("%s: %.0f ms in one go"):format(name, seconds * 1000));
end

it("B4: a login with 150 huge bookmarks, the next bookmark, and their removal are short #once", function ()
	local s, phone = new_scene();
	new_service(s, "hostile.example.net");
	local text = ("w"):rep(2000);
	for i = 1, 150 do bookmark(phone, ("r%d@hostile.example.net"):format(i), { name = text }, settings(3, "never")); end
	s:wait(60);
	assert.equal(100, count_rooms(s));
	assert_short("login with 150 bookmarks", function ()
		s:client "laptop";
		s:wait(10);
	end, 0.03);
	assert_short("a bookmark beside 150", function () bookmark(phone, "r1@hostile.example.net", { name = "other" }); end, 0.03);
	assert_short("purge of 150 bookmarks", function ()
		phone:send(st.iq({ type = "set"; id = "p" }):tag("pubsub", { xmlns = pubsub.."#owner" }):tag("purge", { node = bookmarks }):reset());
		s:wait(10);
	end, 0.03);
end);

it("B4: removals from 100 rooms that arrive together are short", function ()
	local s, phone = new_scene();
	local service = new_service(s, "hostile.example.net");
	for i = 1, 100 do bookmark(phone, ("r%d@hostile.example.net"):format(i)); end
	s:wait(60);
	assert.equal(100, count_rooms(s));
	-- As many as one read of a socket holds.
	local reads, at = { {} }, 0;
	for _, join in pairs(service.joins) do
		at = at + 1;
		if #reads[#reads] == 16 then table.insert(reads, {}); end
		table.insert(reads[#reads], st.presence({ type = "unavailable"; from = join.attr.to; to = join.attr.from }):tag("x", { xmlns = muc_user })
			:tag("item", { affiliation = "outcast"; role = "none" }):up():tag("status", { code = "110" }):up():tag("status", { code = "301" }):reset());
	end
	assert.equal(100, at);
	assert_short("removals from 100 rooms", function ()
		for _, read in ipairs(reads) do
			s.host:run(function ()
				for _, presence in ipairs(read) do s.host:from_room(presence); end
			end);
		end
		s:wait(5);
	end, 0.05);
	assert.equal(0, count_rooms(s));
end);
