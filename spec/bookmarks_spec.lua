-- Bookmarks (XEP-0402) that the server follows: the account joins and leaves rooms without a client.

local st = require "util.stanza";
local inspect = require "fuzz.inspect";
local faulty = require "support.faulty";
local scene = require "support.scene";
local xml = require "support.xml";

local join, leave, seen = scene.join, scene.leave, scene.seen;
local lab = "room@rooms.example.org";
local bookmarks = "urn:xmpp:bookmarks:1";
local pubsub = "http://jabber.org/protocol/pubsub";

-- Actions of clients on bookmarks.

-- Sends an IQ and returns the answer. Other stanzas stay unread.
local function ask(client, kind, payload)
	client:send(("<iq type='%s' id='ask'>%s</iq>"):format(kind, payload));
	for i, stanza in ipairs(client.inbox) do
		if stanza.name == "iq" and stanza.attr.id == "ask" then
			return table.remove(client.inbox, i);
		end
	end
end

local function set(client, payload)
	local answer = ask(client, "set", payload);
	assert(answer and answer.attr.type == "result", tostring(answer));
end

local function field(var, value)
	return ("<field var='pubsub#%s'><value>%s</value></field>"):format(var, value);
end

local publish_options = "<publish-options><x xmlns='jabber:x:data' type='submit'>"
	.."<field var='FORM_TYPE' type='hidden'><value>http://jabber.org/protocol/pubsub#publish-options</value></field>"
	..field("persist_items", "true")..field("max_items", "max")
	..field("send_last_published_item", "never")..field("access_model", "whitelist").."</x></publish-options>";

local function element(name, text)
	return text and ("<%s>%s</%s>"):format(name, text, name) or "";
end

-- fields: autojoin ("true", or false), nick ("Alice", or false), password, name, extensions (XML), jid (of the room)
local function conference(fields)
	local autojoin = fields.autojoin == nil and "true" or fields.autojoin;
	return ("<conference xmlns='%s'%s%s>%s%s%s</conference>"):format(bookmarks,
		autojoin and (" autojoin='%s'"):format(autojoin) or "",
		fields.name and (" name='%s'"):format(fields.name) or "",
		element("nick", fields.nick == nil and "Alice" or fields.nick),
		element("password", fields.password),
		element("extensions", fields.extensions));
end

local function bookmark(client, fields)
	fields = fields or {};
	set(client, ("<pubsub xmlns='%s'><publish node='%s'><item id='%s'>%s</item></publish>%s</pubsub>"):format(
		pubsub, bookmarks, fields.jid or lab, conference(fields), publish_options));
end

local function retract(client, id)
	set(client, ("<pubsub xmlns='%s'><retract node='%s' notify='true'><item id='%s'/></retract></pubsub>"):format(
		pubsub, bookmarks, id or lab));
end

local function purge(client)
	set(client, ("<pubsub xmlns='%s#owner'><purge node='%s'/></pubsub>"):format(pubsub, bookmarks));
end

local function delete_node(client)
	set(client, ("<pubsub xmlns='%s#owner'><delete node='%s'/></pubsub>"):format(pubsub, bookmarks));
end

-- XEP-0048 in private XML (XEP-0049), with all bookmarks in one element. Fields as above.
local function store_legacy(client, list)
	local storage = {};
	for _, fields in ipairs(list) do
		table.insert(storage, ("<conference jid='%s' autojoin='%s'><nick>%s</nick></conference>"):format(
			fields.jid or lab, fields.autojoin or "true", fields.nick or "Alice"));
	end
	set(client, "<query xmlns='jabber:iq:private'><storage xmlns='storage:bookmarks'>"..table.concat(storage).."</storage></query>");
end

-- Returns the bookmark in the account's node, or nil.
local function stored(client, id)
	local answer = ask(client, "get", ("<pubsub xmlns='%s'><items node='%s'/></pubsub>"):format(pubsub, bookmarks));
	local items = answer:find("{"..pubsub.."}pubsub/items");
	for item in (items or st.stanza("items")):childtags("item", pubsub) do
		if item.attr.id == (id or lab) then
			return xml.canonical(item.tags[1]);
		end
	end
end

-- Fields for a scene. After a restart the rooms start some moments after the server.
local function with_bookmarks(fields)
	fields = fields or {};
	fields.modules = fields.modules or { "pep", "bookmarks" };
	fields.options = fields.options or {};
	fields.options.minimix_rejoin_rate = fields.options.minimix_rejoin_rate or 5;
	return fields;
end

-- Returns a scene with "Bob" in the room. fields: as for a scene
local function new_scene(fields)
	local s = scene.new(with_bookmarks(fields));
	s.room:enter "Bob";
	return s;
end

-- The account is in the room by its bookmark. The session "tablet", which wrote the bookmark, is in no room.
local function by_bookmark(fields, bookmarked)
	local s = new_scene(fields);
	local tablet = s:client "tablet";
	bookmark(tablet, bookmarked);
	s:wait(1);
	s:upstream();
	return s, tablet;
end

-- Waits until the account has rejoined.
local function restart(s, options)
	s:restart(options);
	s:wait(60);
end

-- Returns how often the other occupants saw the account leave.
local function departures(s, nick)
	local count = 0;
	for _, stanza in ipairs(s.room:occupant("Bob").inbox) do
		if stanza.attr.type == "unavailable" and stanza.attr.from == lab.."/"..(nick or "Alice") then
			count = count + 1;
		end
	end
	return count;
end

describe("a bookmark with autojoin", function ()
	scene.everywhere(function (everywhere)
		it("P5: makes the account join, without any client", function ()
			local s = everywhere(with_bookmarks());
			s.room:enter "Bob";
			local tablet = s:client "tablet";
			bookmark(tablet);
			s:wait(1);
			assert.same({ "alice presence - room/Alice join xa" }, s:upstream());
			assert.same({ "Alice" }, s:occupants());
			assert.same({}, seen(tablet));
			s.room:say("Bob", "hi");
			assert.same({}, seen(tablet));
			assert.same({}, s.host.unhandled);
		end);

		it("P5, J2: a session attaches to a room that the server has joined", function ()
			local s = everywhere(with_bookmarks());
			s.room:enter "Bob";
			local phone = s:client "phone";
			bookmark(phone);
			s:wait(1);
			s:upstream();
			phone:send(join("Alice", { id = "j7" }));
			s:wait(1);
			local self = phone.inbox[2];
			assert.equal("j7", self.attr.id);
			assert.same({
				"presence - room/Bob"; "presence - room/Alice 110"; "message groupchat room subject:";
			}, seen(phone));
			assert.same({ "alice presence - room/Alice" }, s:upstream());
			assert.same({ "Alice" }, s:occupants());
		end);
	end);

	for _, value in ipairs { "true", "1" } do
		it("P5: is valid with autojoin="..value, function ()
			local s = by_bookmark({}, { autojoin = value });
			assert.same({ "Alice" }, s:occupants());
		end);
	end

	for _, value in ipairs { false, "false", "0", "yes" } do
		it("P5: joins nothing with autojoin="..tostring(value), function ()
			local s = by_bookmark({}, { autojoin = value });
			assert.same({}, s:occupants());
		end);
	end

	it("P5: is also read from XEP-0048, through mod_bookmarks", function ()
		local s = new_scene();
		local phone = s:client "phone";
		local den = s:add_room "den";
		store_legacy(phone, { {}, { jid = den.jid; nick = "Bear" } });
		s:wait(1);
		assert.same({ "Alice" }, s:occupants());
		assert.same({ "Bear" }, s:occupants(den));
		store_legacy(phone, { { jid = den.jid; nick = "Bear" } });
		assert.same({}, s:occupants());
		assert.same({ "Bear" }, s:occupants(den));
		store_legacy(phone, {});
		assert.same({}, s:occupants(den));
	end);

	it("P5: works without mod_bookmarks", function ()
		local s = by_bookmark { modules = { "pep" } };
		assert.same({ "Alice" }, s:occupants());
	end);

	it("P5: has no effect while mod_pep is not loaded", function ()
		local s = new_scene { modules = { "ping" } };
		local phone = s:client "phone";
		s:enter(phone);
		phone:send(leave "Alice");
		assert.same({ "presence unavailable room/Alice 110" }, seen(phone));
		require "core.modulemanager".load(s.host.name, "pep");
		bookmark(phone);
		s:wait(1);
		assert.same({ "Alice" }, s:occupants());
		require "core.modulemanager".unload(s.host.name, "pep");
		local laptop = s:client "laptop";
		s:enter(laptop);
		laptop:send(leave "Alice");
		assert.same({ "presence unavailable room/Alice 110" }, seen(laptop));
		assert.same({ "Alice" }, s:occupants());
	end);

	it("P5: has no effect on an anonymous host", function ()
		local s = by_bookmark { options = { authentication = "anonymous" } };
		assert.same({}, s:occupants());
	end);

	it("P5: has no effect with minimix_autojoin = false", function ()
		local s, tablet = by_bookmark { options = { minimix_autojoin = false } };
		assert.same({}, s:occupants());
		s:enter(tablet);
		tablet:send(leave("Alice"));
		assert.same({ "presence unavailable room/Alice 110" }, seen(tablet));
		assert.same({ "Alice" }, s:occupants());
		retract(tablet);
		assert.same({}, s:occupants());
	end);

	it("P5: joins with its nick, or the account's nickname, or the user name", function ()
		local s = by_bookmark({}, { nick = "Ali" });
		assert.same({ "Ali" }, s:occupants());
		s = by_bookmark({}, { nick = false });
		assert.same({ "alice" }, s:occupants());
		s = new_scene();
		local phone = s:client "phone";
		set(phone, "<pubsub xmlns='"..pubsub.."'><publish node='http://jabber.org/protocol/nick'><item id='current'>"
			.."<nick xmlns='http://jabber.org/protocol/nick'>Ally</nick></item></publish></pubsub>");
		bookmark(phone, { nick = false });
		s:wait(1);
		assert.same({ "Ally" }, s:occupants());
	end);

	it("P5: joins with its password", function ()
		local s = by_bookmark({ room = { password = "secret" } }, { password = "secret" });
		assert.same({ "Alice" }, s:occupants());
	end);

	it("P5: unlocks a room that the join created", function ()
		local s = scene.new(with_bookmarks { room = { creates = true } });
		local tablet = s:client "tablet";
		bookmark(tablet);
		s:wait(1);
		assert.same({ "alice presence - room/Alice join xa"; "alice iq set room query" }, s:upstream());
	end);

	it("P5: is read in any valid notation", function ()
		local s = by_bookmark({}, { jid = "Room@Rooms.Example.Org" });
		assert.same({ "Alice" }, s:occupants());
	end);

	for _, id in ipairs { "rooms.example.org", lab.."/Alice", "@", "bob@example.org", "alice@example.org", "a b@rooms.example.org" } do
		it("B3: is ignored if its id is no room: "..id, function ()
			local s = by_bookmark({}, { jid = id });
			s:wait(10);
			assert.same({}, s.host:take());
		end);
	end

	it("B3: is ignored without <conference/>", function ()
		local s = new_scene();
		local phone = s:client "phone";
		set(phone, ("<pubsub xmlns='%s'><publish node='%s'><item id='%s'><x xmlns='y'/></item></publish></pubsub>"):format(
			pubsub, bookmarks, lab));
		s:wait(1);
		assert.same({}, s:occupants());
	end);

	it("B3: joins without its nick if that is invalid", function ()
		local s = by_bookmark({}, { nick = "\u{2028}" });
		assert.same({ "alice" }, s:occupants());
	end);

	it("B1: is ignored when the account is in minimix_max_rooms rooms", function ()
		local s = new_scene { options = { minimix_max_rooms = 3 } };
		local phone = s:client "phone";
		local joined = 0;
		for i = 1, 5 do
			local room = s:add_room("room"..i);
			bookmark(phone, { jid = room.jid });
			s:wait(1);
			joined = joined + #s:occupants(room);
		end
		assert.equal(3, joined);
		assert.truthy(s.host:last_log("warn", "minimix_max_rooms"));
	end);

	it("P5: many bookmarks are joined one after the other", function ()
		local s = new_scene { options = { minimix_rejoin_rate = 10 } };
		local phone = s:client "phone";
		local rooms = {};
		for i = 1, 30 do
			rooms[i] = s:add_room("room"..i);
			bookmark(phone, { jid = rooms[i].jid });
		end
		local function joined()
			local count = 0;
			for _, room in ipairs(rooms) do count = count + #s:occupants(room); end
			return count;
		end
		s.host:tick(1);
		assert.is_true(joined() >= 9 and joined() <= 11, joined());
		s.host:tick(2.5);
		assert.equal(30, joined());
	end);
end);

describe("accounts without bookmarks", function ()
	local function sizes(s)
		local counts = {};
		for name, tab in pairs(inspect.tables(s.host)) do
			counts[name] = 0;
			for _ in pairs(tab) do counts[name] = counts[name] + 1; end
		end
		return counts;
	end

	it("B2: use no memory, online or not", function ()
		local s = scene.new { modules = { "disco"; "pep" } };
		local before = sizes(s);
		assert.equal(0, before.accounts);
		local clients = {};
		for i = 1, 20 do clients[i] = s:client("phone", "user"..i); end
		s:wait(10);
		assert.same(before, sizes(s));
		for _, client in ipairs(clients) do client:close(); end
		s:wait(10);
		assert.same(before, sizes(s));
	end);
end);

describe("an account with bookmarks", function ()
	it("P5: joins its rooms when it logs in", function ()
		local s = new_scene();
		s.host:unload();
		local tablet = s:client "tablet";
		bookmark(tablet);
		tablet:close();
		s.host:load();
		s:wait(60);
		assert.same({}, s:occupants());
		s:client "phone";
		s:wait(6);
		assert.same({ "Alice" }, s:occupants());
	end);

	it("P5: lets its clients join first when it logs in", function ()
		local s = new_scene();
		s.host:unload();
		local tablet = s:client "tablet";
		bookmark(tablet);
		tablet:close();
		s.host:load();
		s.room:say("Bob", "hi");
		local phone = s:client "phone";
		s:wait(3);
		phone:send(join "Ali");
		s:wait(10);
		assert.same({
			"presence - room/Bob"; "presence - room/Ali 110"; "message groupchat room/Bob hi"; "message groupchat room subject:";
		}, seen(phone));
		assert.same({ "alice presence - room/Ali join" }, s:upstream());
		phone:send(leave "Ali");
		assert.same({ "Ali" }, s:occupants());
	end);

	it("P5: joins nothing while no client uses it", function ()
		local s = new_scene();
		s.host:unload();
		local tablet = s:client "tablet";
		bookmark(tablet);
		s.host:load();
		s:wait(60);
		assert.same({}, s:occupants());
		s:client "phone";
		s:wait(6);
		assert.same({ "Alice" }, s:occupants());
	end);

	it("P5: joins its rooms when it logs in with XEP-0048 bookmarks", function ()
		local s = new_scene { modules = { "private" } };
		local legacy = s:client "tablet";
		if not pcall(store_legacy, legacy, { {} }) then
			return pending "this version has no mod_private";
		end
		legacy:close();
		s.host.modules = { "pep", "bookmarks" };
		s:restart();
		s:client "phone";
		s:wait(6);
		assert.same({ "Alice" }, s:occupants());
	end);

	scene.everywhere(function (everywhere)
		it("P1, P5: rejoins its rooms after a restart or SIGKILL", function ()
			local s = everywhere(with_bookmarks());
			bookmark(s:client "tablet");
			s:wait(1);
			for _, killed in ipairs { false, true } do
				s:upstream();
				s.room:forget();
				restart(s, { killed = killed });
				assert.same({ "Alice" }, s:occupants());
				assert.same({ "alice presence - room/Alice join xa" }, s:upstream());
			end
		end);
	end);

	it("P1, P5: rejoins although its join was not answered before SIGKILL", function ()
		local s = by_bookmark { remote = true; room = { silent = true } };
		s.room.silent = false;
		restart(s, { killed = true });
		assert.same({ "Alice" }, s:occupants());
	end);

	it("P1: keeps its nick after a restart, not that of the bookmark", function ()
		local s, phone = by_bookmark();
		phone:send(join "Alice");
		phone:send(scene.presence "Zoe");
		s.room:forget();
		restart(s);
		assert.same({ "Zoe" }, s:occupants());
	end);

	it("P5: follows changes of bookmarks while the module was not loaded", function ()
		local s, tablet = by_bookmark({}, { nick = "Alice" });
		local den = s:add_room "den";
		bookmark(tablet, { jid = den.jid });
		s:wait(1);
		s.host:unload();
		bookmark(tablet, { nick = "Ali" });
		retract(tablet, den.jid);
		s.host:load();
		s:wait(60);
		assert.same({ "Ali" }, s:occupants());
		assert.same({}, s:occupants(den));
	end);

	it("L4: leaves after a restart if the bookmark was removed while a session was attached", function ()
		local s, phone = by_bookmark();
		phone:send(join "Alice");
		retract(phone);
		assert.same({ "Alice" }, s:occupants());
		restart(s, { killed = true });
		assert.same({}, s:occupants());
		assert.equal(1, departures(s));
	end);

	it("P6: leaves its rooms when it is not used, and rejoins at the next login", function ()
		local s, tablet = by_bookmark { options = { minimix_inactive_after = "1 day" } };
		tablet:close();
		s:wait(3600);
		assert.same({ "Alice" }, s:occupants());
		s.host:tick(26 * 3600);
		assert.same({}, s:occupants());
		s:restart();
		s.host:tick(3600);
		assert.same({}, s:occupants());
		local phone = s:client "phone";
		s:wait(6);
		assert.same({ "Alice" }, s:occupants());
		assert.truthy(stored(phone):find("autojoin='true'", 1, true));
	end);

	it("P6: cancels an unconfirmed leave at the next login", function ()
		local s, tablet = by_bookmark { remote = true; options = { minimix_inactive_after = "1 day" } };
		tablet:close();
		s.room.silent = true;
		s.host:tick(26 * 3600);
		s.host:drop();
		s.room.silent = false;
		s.room:forget();
		s:client "phone";
		s:wait(120);
		assert.same({ "Alice" }, s:occupants());
	end);

	it("L6: is in no room after its deletion", function ()
		local s = by_bookmark();
		local den = s:add_room("den", { silent = true });
		local tablet = s.clients[1];
		bookmark(tablet, { jid = den.jid });
		s:wait(1);
		s.host:delete_user "alice";
		tablet:close();
		s.host:tick(7200);
		assert.same({}, s:occupants());
		assert.equal(1, departures(s));
		s:restart();
		s.host:tick(7200);
		assert.same({}, s:occupants());
		assert.same({ "alice presence - den/Alice join xa"; "alice presence unavailable den/Alice" }, s:upstream(den));
	end);

	it("L6: its pending joins are cancelled by its deletion", function ()
		local s = new_scene { options = { minimix_rejoin_rate = 1 } };
		bookmark(s:client "tablet");
		s.host:delete_user "alice";
		s:wait(60);
		assert.same({}, s:occupants());
	end);
end);

describe("a bookmark with a nick that the account has blocked", function ()
	local function in_scene(fields)
		fields = fields or {};
		fields.modules = { "pep", "bookmarks", "blocklist" };
		local s = new_scene(fields);
		local tablet = s:client "tablet";
		tablet:send(("<iq type='set' id='b1'><block xmlns='urn:xmpp:blocking'><item jid='%s/Troll'/></block></iq>"):format(lab));
		return s, tablet;
	end

	it("P5: does not make the account join, neither at once nor at a login", function ()
		local s, tablet = in_scene();
		bookmark(tablet, { nick = "Troll" });
		s:client "phone";
		s:wait(60);
		assert.same({}, s:upstream());
		restart(s);
		s:client "phone";
		s:wait(60);
		assert.same({}, s:upstream());
	end);

	for what, is_early in pairs { ["at a login"] = true; ["when the bookmark is written"] = false } do
		it("P5, S1: does not make the account join "..what.." while the block list cannot be read", function ()
			local faults = faulty.new();
			local s, tablet = in_scene { wrap_store = faults.wrap };
			local den = s:add_room "den";
			if is_early then bookmark(tablet, { nick = "Troll" }); end
			restart(s);
			faults:fail("nil", "reads", { "blocklist" });
			local phone = s:client "phone";
			if not is_early then bookmark(phone, { nick = "Troll" }); end
			bookmark(phone, { jid = den.jid });
			s:wait(60);
			assert.same({}, s:upstream());
			s.host:expect_error "blocklist";
			faults:work();
			s:wait(60);
			assert.same({}, s:upstream());
			assert.same({ "Alice" }, s:occupants(den));
		end);
	end

	it("P5: does not change the nick of the account", function ()
		local s, tablet = in_scene();
		bookmark(tablet);
		s:wait(60);
		bookmark(tablet, { nick = "Troll" });
		s:wait(60);
		assert.same({ "Alice" }, s:occupants());
	end);
end);

describe("a room that refuses the account", function ()
	local function attempts(s)
		local count = 0;
		for _, text in ipairs(s:upstream()) do
			if text:find "join" then count = count + 1; end
		end
		return count;
	end

	it("P5: is not joined again until the bookmark changes", function ()
		local s = new_scene { room = { password = "secret" } };
		local phone = s:client "phone";
		bookmark(phone, { password = "wrong" });
		s.host:tick(86400);
		assert.equal(1, attempts(s));
		bookmark(phone, { password = "wrong"; name = "Tea" });
		s:client "laptop";
		s:wait(3600);
		assert.equal(0, attempts(s));
		bookmark(phone, { password = "secret" });
		s:wait(1);
		assert.equal(1, attempts(s));
		assert.same({ "Alice" }, s:occupants());
	end);

	it("P5: is joined again when autojoin is turned off and on", function ()
		local s = new_scene { room = { members_only = true } };
		local phone = s:client "phone";
		bookmark(phone);
		s:wait(1);
		bookmark(phone, { autojoin = "false" });
		bookmark(phone);
		s:wait(1);
		assert.equal(2, attempts(s));
	end);

	it("P5: is joined again after the next start", function ()
		local s = new_scene { room = { members_only = true } };
		bookmark(s:client "phone");
		s:wait(60);
		s:restart();
		s.room.members_only = false;
		s:client "phone";
		s:wait(60);
		assert.same({ "Alice" }, s:occupants());
	end);

	for _, name in ipairs { "kick", "ban", "destroy" } do
		it("R2: is not joined again after a "..name.." until the bookmark changes", function ()
			local s, tablet = by_bookmark();
			s.room[name](s.room, name ~= "destroy" and "Alice" or nil);
			tablet:close();
			tablet = s:client "tablet";
			s.host:tick(86400);
			assert.equal(0, attempts(s));
			bookmark(tablet);
			s:wait(60);
			assert.equal(0, attempts(s));
		end);
	end

	it("R2: a client can join it, and the bookmark is then followed again", function ()
		local s, tablet = by_bookmark();
		s.room:kick "Alice";
		s:enter(tablet);
		tablet:send(leave "Alice");
		s:wait(1);
		assert.same({ "Alice" }, s:occupants());
		retract(tablet);
		assert.same({}, s:occupants());
	end);

	it("P2: is retried with growing back-off while it is full", function ()
		local s = new_scene { room = { limit = 1 } };
		bookmark(s:client "phone");
		s:wait(60);
		local minute = attempts(s);
		assert.is_true(minute >= 4 and minute <= 8, minute);
		s.host:tick(86400);
		local day = attempts(s);
		assert.is_true(day >= 60 and day <= 160, day);
		s.room.limit = nil;
		s.host:tick(1200);
		assert.same({ "Alice" }, s:occupants());
	end);

	it("P2: is joined with another nick if that of the bookmark is taken", function ()
		local s = by_bookmark({ remote = true }, { nick = "Bob" });
		assert.same({ "Bob_" }, s:occupants());
		s.room:leave "Bob";
		s:wait(1);
		assert.same({ "Bob" }, s:occupants());
	end);

	it("J1: is joined as a client asks that is faster than the server", function ()
		local s = new_scene { remote = true; options = { minimix_rejoin_rate = 1 } };
		local phone = s:client "phone";
		bookmark(phone);
		phone:send(join("Ali", { id = "j9"; muc = "<history maxstanzas='3'/>" }));
		s:wait(1);
		assert.same({ "alice presence - room/Ali join" }, s:upstream());
		assert.same({ "presence - room/Bob"; "presence - room/Ali 110"; "message groupchat room subject:" }, seen(phone));
		s:wait(60);
		phone:send(leave "Ali");
		s:deliver();
		assert.same({ "Ali" }, s:occupants());
	end);

	it("J4: refuses a client that is faster than the server, and is retried", function ()
		local s = new_scene { remote = true; room = { limit = 1 }; options = { minimix_rejoin_rate = 1 } };
		local phone = s:client "phone";
		bookmark(phone);
		phone:send(join "Alice");
		s:deliver();
		assert.same({ "presence error room/Alice wait service-unavailable" }, seen(phone));
		s.room.limit = nil;
		s:wait(60);
		assert.same({ "Alice" }, s:occupants());
		assert.same({}, seen(phone));
	end);
end);

describe("the last session that leaves a room with autojoin", function ()
	scene.everywhere(function (everywhere)
		it("L3: leaves the account in the room, and is told at once", function ()
			local s = everywhere(with_bookmarks());
			s.room:enter "Bob";
			local phone = s:client "phone";
			bookmark(phone);
			s:wait(1);
			s:enter(phone);
			phone:send(leave("Alice", { id = "l1" }));
			assert.equal("l1", phone.inbox[1].attr.id);
			assert.same({ "presence unavailable room/Alice 110" }, seen(phone));
			s:wait(60);
			assert.same({}, s:upstream());
			assert.same({ "Alice" }, s:occupants());
			s.room:say("Bob", "hi");
			assert.same({}, seen(phone));
		end);
	end);

	it("L3: does not cancel the account's pending rejoin", function ()
		local s = new_scene { remote = true };
		local phone = s:client "phone";
		bookmark(phone);
		phone:send(join "Alice");
		phone:send(leave "Alice");
		assert.same({ "presence unavailable room/Alice 110" }, seen(phone));
		s:wait(60);
		assert.same({ "Alice" }, s:occupants());
		assert.same({}, seen(phone));
	end);

	it("L3: makes the account leave if the bookmark has no autojoin", function ()
		local s = new_scene();
		local phone = s:client "phone";
		bookmark(phone, { autojoin = false });
		s:enter(phone);
		phone:send(leave("Alice", { id = "l1" }));
		assert.same({ "presence unavailable room/Alice 110" }, seen(phone));
		assert.same({}, s:occupants());
	end);

	it("L3: leaves the account in the room if it was bookmarked after the session joined", function ()
		local s = new_scene();
		local phone = s:client "phone";
		s:enter(phone);
		bookmark(phone);
		phone:send(leave "Alice");
		assert.same({ "Alice" }, s:occupants());
	end);
end);

-- L4: in every order the account is out in the end, and the room has seen it leave once.
describe("the end of a bookmark", function ()
	local ends = {
		["autojoin turned off"] = function (client) bookmark(client, { autojoin = "false" }); end;
		["autojoin removed"] = function (client) bookmark(client, { autojoin = false }); end;
		["the bookmark retracted"] = function (client) retract(client); end;
		["the node purged"] = purge;
		["the node deleted"] = delete_node;
		["XEP-0048 without it"] = function (client) store_legacy(client, { { jid = "other@rooms.example.org"; autojoin = "false" } }); end;
		["XEP-0048 with autojoin off"] = function (client) store_legacy(client, { { autojoin = "false" } }); end;
		["an empty XEP-0048"] = function (client) store_legacy(client, {}); end;
	};

	local function with_sessions(fields, ...)
		local s = new_scene(fields);
		local clients = {};
		for i, resource in ipairs { ... } do
			clients[i] = s:client(resource);
			if i == 1 then
				bookmark(clients[1]);
				s:wait(1);
			end
			s:enter(clients[i]);
		end
		return s, table.unpack(clients);
	end

	local function unavailables(client)
		local count = 0;
		for _, text in ipairs(seen(client)) do
			if text:find "^presence unavailable room/Alice .*110" then count = count + 1; end
		end
		return count;
	end

	-- Checks that these sessions have left and were told so.
	local function assert_left_once(s, ...)
		s:wait(3);
		for _, client in ipairs { ... } do
			assert.equal(1, unavailables(client));
		end
		assert.same({}, s:occupants());
		assert.equal(1, departures(s));
		assert.is_true(s:is_forgotten());
		local leaves = 0;
		for _, text in ipairs(s:upstream()) do
			if text == "alice presence unavailable room/Alice" then leaves = leaves + 1; end
		end
		assert.equal(1, leaves);
		s:restart();
		s:wait(3);
		assert.same({}, s:occupants());
	end

	for name, finish in pairs(ends) do
		for _, remote in ipairs { false, name:find "^the bookmark" and true } do
			describe(name..(remote and ", remote room," or ","), function ()
				it("L4: makes the account leave at once without an attached session", function ()
					local s, phone = with_sessions({ remote = remote }, "phone");
					phone:unavailable();
					finish(phone);
					assert_left_once(s);
				end);

				it("L3, L4: before a session leaves", function ()
					local s, phone = with_sessions({ remote = remote }, "phone");
					finish(phone);
					s:deliver();
					assert.same({ "Alice" }, s:occupants());
					phone:send(leave "Alice");
					assert_left_once(s, phone);
				end);

				it("L3, L4: after a session has left", function ()
					local s, phone = with_sessions({ remote = remote }, "phone");
					phone:send(leave "Alice");
					s:deliver();
					finish(phone);
					assert_left_once(s, phone);
				end);

				it("L3, L4: while a session leaves", function ()
					local s, phone = with_sessions({ remote = remote }, "phone");
					phone:send(leave "Alice");
					finish(phone);
					assert_left_once(s, phone);
				end);

				it("L1, L4: before the session ends", function ()
					local s, phone = with_sessions({ remote = remote }, "phone");
					finish(phone);
					phone:lose();
					assert_left_once(s);
				end);

				it("L3, L4: before both sessions leave", function ()
					local s, phone, laptop = with_sessions({ remote = remote }, "phone", "laptop");
					finish(phone);
					phone:send(leave "Alice");
					s:deliver();
					assert.same({ "Alice" }, s:occupants());
					laptop:send(leave "Alice");
					assert_left_once(s, phone, laptop);
				end);

				it("L3, L4: between the leaves of both sessions", function ()
					local s, phone, laptop = with_sessions({ remote = remote }, "phone", "laptop");
					phone:send(leave "Alice");
					finish(phone);
					laptop:send(leave "Alice");
					assert_left_once(s, phone, laptop);
				end);

				it("L3, L4: after both sessions have left", function ()
					local s, phone, laptop = with_sessions({ remote = remote }, "phone", "laptop");
					phone:send(leave "Alice");
					laptop:send(leave "Alice");
					finish(phone);
					assert_left_once(s, phone, laptop);
				end);

				it("L1, L4: before one session leaves and the other ends", function ()
					local s, phone, laptop = with_sessions({ remote = remote }, "phone", "laptop");
					finish(phone);
					phone:send(leave "Alice");
					laptop:hibernate();
					s:deliver();
					assert.same({ "Alice" }, s:occupants());
					laptop:expire();
					assert_left_once(s);
				end);
			end);
		end
	end

	it("L4: has no effect on a room without autojoin", function ()
		local s = new_scene();
		local phone, laptop = s:client "phone", s:client "laptop";
		s:enter(phone);
		phone:close();
		bookmark(laptop, { autojoin = "false" });
		bookmark(laptop, { jid = "other@rooms.example.org"; autojoin = "false" });
		purge(laptop);
		s:wait(1);
		assert.same({}, s:occupants());
		assert.equal(1, departures(s));
	end);

	it("L4: has no effect on rooms without a bookmark", function ()
		local s, phone = with_sessions({}, "phone");
		local den = s:add_room "den";
		s:enter(phone, "Alice", { room = "den" });
		phone:unavailable();
		purge(phone);
		assert.same({}, s:occupants());
		assert.same({ "Alice" }, s:occupants(den));
	end);

	it("L4: has no effect if autojoin is back before the session leaves", function ()
		local s, phone = with_sessions({}, "phone");
		bookmark(phone, { autojoin = "false" });
		bookmark(phone);
		phone:lose();
		s:wait(60);
		assert.same({ "Alice" }, s:occupants());
		assert.equal(0, departures(s));
	end);

	it("L4: has no effect on a session that joined after the account had left", function ()
		local s, phone = with_sessions({}, "phone");
		retract(phone);
		phone:send(leave "Alice");
		s:enter(phone);
		phone:lose();
		s:wait(60);
		assert.same({ "Alice" }, s:occupants());
	end);

	it("L4: makes the account leave while its join is in flight", function ()
		local s = new_scene { remote = true };
		local phone = s:client "phone";
		bookmark(phone);
		s.host:tick(1);
		retract(phone);
		s:wait(60);
		assert.same({}, s:occupants());
		assert.is_true(s:is_forgotten());
	end);

	it("L4: makes a lost account leave", function ()
		local s = by_bookmark();
		s.room:remove("Alice", "333");
		s.room.limit = 1;
		s:wait(10);
		retract(s.clients[1]);
		s.room.limit = nil;
		s.host:tick(7200);
		assert.same({}, s:occupants());
		assert.is_true(s:is_forgotten());
	end);

	it("L4, L5: a new bookmark cancels a leave that the room has not confirmed", function ()
		local s, phone = with_sessions({ remote = true }, "phone");
		phone:send(leave "Alice");
		retract(phone);
		bookmark(phone);
		s:wait(60);
		assert.same({ "Alice" }, s:occupants());
		s.room:say("Bob", "hi");
		assert.same({}, s.host.unhandled);
	end);
end);

describe("the nick of a bookmark", function ()
	scene.everywhere(function (everywhere)
		it("P5: changes the account's nick when it changes", function ()
			local s = everywhere(with_bookmarks());
			s.room:enter "Bob";
			local phone, laptop = s:client "phone", s:client "laptop";
			bookmark(phone);
			s:wait(1);
			s:enter(phone);
			s:enter(laptop);
			bookmark(laptop, { nick = "Ali" });
			s:deliver();
			assert.same({ "alice presence - room/Ali" }, s:upstream());
			for _, client in ipairs { phone, laptop } do
				assert.same({ "presence unavailable room/Alice 110 303"; "presence - room/Ali 110" }, seen(client));
			end
			assert.same({ "Ali" }, s:occupants());
		end);
	end);

	it("P5: changes the account's nick without an attached session", function ()
		local s, tablet = by_bookmark();
		bookmark(tablet, { nick = "Ali" });
		assert.same({ "alice presence - room/Ali xa" }, s:upstream());
		s.room:forget();
		restart(s);
		assert.same({ "Ali" }, s:occupants());
	end);

	it("P5: has no effect when the same bookmark is published again", function ()
		local s, phone = by_bookmark();
		s:enter(phone);
		phone:send(scene.presence "Zoe");
		s:upstream();
		bookmark(phone, { name = "Tea" });
		bookmark(phone, { name = "Coffee"; extensions = "<x xmlns='y'/>" });
		assert.same({}, s:upstream());
		assert.same({ "Zoe" }, s:occupants());
	end);

	it("J3: does not change the account's nick with the first bookmark", function ()
		local s = new_scene();
		local phone = s:client "phone";
		s:enter(phone);
		bookmark(phone, { nick = "Ali" });
		assert.same({}, s:upstream());
		assert.same({ "Alice" }, s:occupants());
	end);

	it("P5: has no effect if another occupant has it", function ()
		local s, phone = by_bookmark();
		s:enter(phone);
		bookmark(phone, { nick = "Bob" });
		s:wait(60);
		assert.same({ "Alice" }, s:occupants());
		assert.same({}, seen(phone));
		s:upstream();
		bookmark(phone, { nick = "Bob"; name = "Tea" });
		assert.same({}, s:upstream());
	end);

	it("P5: is used by an account that rejoins", function ()
		local s, tablet = by_bookmark();
		s.room:remove("Alice", "333");
		s.room.limit = 1;
		bookmark(tablet, { nick = "Ali" });
		s.room.limit = nil;
		s:wait(60);
		assert.same({ "Ali" }, s:occupants());
	end);

	it("P5: causes no endless loop of nick changes", function ()
		local s, phone = by_bookmark();
		for i = 1, 100 do
			bookmark(phone, { nick = "Nick"..i });
		end
		assert.is_true(#s:upstream() <= 5);
		s:wait(600);
		for i = 1, 100 do
			bookmark(phone, { nick = "Name"..i });
			s:wait(1);
		end
		assert.is_true(#s:upstream() <= 7);
	end);
end);

describe("bookmarks of other accounts", function ()
	local event = "<event xmlns='http://jabber.org/protocol/pubsub#event'><items node='"..bookmarks.."'>%s</items></event>";
	local item = "<item id='"..lab.."'>"..conference {}.."</item>";

	it("P5: in a forged message make the account join nothing", function ()
		local s = new_scene();
		local phone, bob = s:client "phone", s:client("desk", "bob");
		for _, from in ipairs { "alice@example.org", "bob@example.org", lab, "alice@example.org/phone", "mallory@elsewhere.example" } do
			s:from(from, "<message type='headline'>"..event:format(item).."</message>", "alice@example.org");
			s:from(from, "<message type='headline'>"..event:format(item).."</message>", phone.jid);
		end
		bob:send("<message type='headline' to='alice@example.org'>"..event:format(item).."</message>");
		phone:send("<message type='headline' to='alice@example.org'>"..event:format(item).."</message>");
		s:wait(60);
		assert.same({}, s:occupants());
		assert.same({}, s:upstream());
	end);

	it("P5: in a forged message make the account leave nothing", function ()
		local s = by_bookmark();
		s:from("alice@example.org", "<message type='headline'>"..event:format("<retract id='"..lab.."'/>").."</message>", "alice@example.org");
		s:from(nil, "<message type='headline'>"..event:format("<retract id='"..lab.."'/>").."</message>");
		s:wait(60);
		assert.same({ "Alice" }, s:occupants());
	end);

	it("P5: affect their own account only", function ()
		local s = by_bookmark();
		local bob = s:client("desk", "bob");
		bookmark(bob, { nick = "Robert" });
		s:wait(1);
		assert.same({ "Alice", "Robert" }, s:occupants());
		purge(bob);
		assert.same({ "Alice" }, s:occupants());
		assert.equal(0, departures(s));
	end);

	it("P5: in the account's own node, published by others, are ignored", function ()
		local s = new_scene();
		local phone, bob = s:client "phone", s:client("desk", "bob");
		bookmark(phone, { jid = "other@rooms.example.org"; autojoin = "false" });
		local publish = ("<iq type='set' id='forged' to='alice@example.org'><pubsub xmlns='%s'><publish node='%s'>%s</publish></pubsub></iq>")
			:format(pubsub, bookmarks, item);
		bob:send(publish);
		assert.equal("error", bob:take()[1].attr.type);
		-- Also if the account allows others to publish there (XEP-0060 4.5, publish model "open").
		local service = prosody.hosts[s.host.name].modules.pep.get_pep_service "alice";
		service.nodes[bookmarks].config.publish_model = "open";
		bob:send(publish);
		assert.equal("result", bob:take()[1].attr.type);
		s:wait(60);
		assert.same({}, s:occupants());
		s:client "laptop";
		s:wait(60);
		assert.same({}, s:occupants());
	end);

	it("P5: in other nodes are ignored", function ()
		local s, tablet = by_bookmark();
		for _, node in ipairs { "urn:xmpp:bookmarks:0", "storage:bookmarks-not", "x" } do
			ask(tablet, "set", ("<pubsub xmlns='%s'><publish node='%s'><item id='%s'>%s</item></publish></pubsub>"):format(
				pubsub, node, lab, conference { nick = "Mallory" }));
			ask(tablet, "set", ("<pubsub xmlns='%s'><retract node='%s'><item id='%s'/></retract></pubsub>"):format(pubsub, node, lab));
			ask(tablet, "set", ("<pubsub xmlns='%s#owner'><delete node='%s'/></pubsub>"):format(pubsub, node));
		end
		assert.same({ "Alice" }, s:occupants());
		assert.same({}, s:upstream());
	end);

	it("P5: are followed if another module publishes them for the account", function ()
		local s = new_scene();
		s:client "phone";
		local service = prosody.hosts[s.host.name].modules.pep.get_pep_service "alice";
		local wrapped = st.stanza("item", { xmlns = pubsub; id = lab }):add_child(xml.parse(conference {}));
		assert(service:publish(bookmarks, true, lab, wrapped));
		s:wait(1);
		assert.same({ "Alice" }, s:occupants());
		assert(service:retract(bookmarks, true, lab, st.stanza("retract", { id = lab })));
		assert.same({}, s:occupants());
	end);
end);

describe("a bookmark made by the server", function ()
	local made = "<conference autojoin='true' xmlns='"..bookmarks.."'><nick>Alice</nick></conference>";

	it("P5: is not written without minimix_bookmark_write", function ()
		local s = new_scene();
		local phone = s:client "phone";
		s:enter(phone);
		phone:send(scene.presence "Zoe");
		assert.is_nil(stored(phone));
		phone:send(leave "Zoe");
		assert.is_nil(stored(phone));
	end);

	it("P5: has autojoin after a client has joined, and none after it has left", function ()
		local s = new_scene { options = { minimix_bookmark_write = true } };
		local phone, laptop = s:client "phone", s:client "laptop";
		s:enter(phone);
		assert.equal(made, stored(phone));
		s:enter(laptop);
		phone:send(leave "Alice");
		assert.equal(made, stored(phone));
		seen(laptop);
		laptop:send(leave "Alice");
		assert.same({ "presence unavailable room/Alice 110" }, seen(laptop));
		assert.same({}, s:occupants());
		assert.equal((made:gsub("true", "false")), stored(phone));
		s:enter(phone);
		assert.equal(made, stored(phone));
	end);

	it("P5: is readable by the account only", function ()
		local s = new_scene { options = { minimix_bookmark_write = true } };
		s:enter(s:client "phone");
		local service = prosody.hosts[s.host.name].modules.pep.get_pep_service "alice";
		local _, config = service:get_node_config(bookmarks, true);
		assert.same({ "whitelist", true, "max", "never" },
			{ config.access_model, config.persist_items, config.max_items, config.send_last_published_item });
		local bob = s:client("desk", "bob");
		bob:send(("<iq type='get' id='spy' to='alice@example.org'><pubsub xmlns='%s'><items node='%s'/></pubsub></iq>"):format(pubsub, bookmarks));
		assert.equal("error", bob:take()[1].attr.type);
	end);

	it("P5: is not written to a node that others can read", function ()
		local s = new_scene { options = { minimix_bookmark_write = true } };
		local phone = s:client "phone";
		set(phone, ("<pubsub xmlns='%s'><create node='%s'/></pubsub>"):format(pubsub, bookmarks));
		s:enter(phone);
		assert.is_nil(stored(phone));
		assert.truthy(s.host:last_log("warn", "Could not bookmark"));
	end);

	it("P5: has the password that let the account in", function ()
		local s = new_scene { options = { minimix_bookmark_write = true }; room = { password = "secret" } };
		local phone = s:client "phone";
		s:enter(phone, "Alice", { muc = "<password>secret</password>" });
		assert.truthy(stored(phone):find("<password>secret</password>", 1, true));
	end);

	it("P5: keeps elements that the module does not know", function ()
		local s = new_scene { options = { minimix_bookmark_write = true } };
		local phone = s:client "phone";
		local extensions = "<x xmlns='urn:example:x' y='z'><a>b</a></x><notify xmlns='urn:xmpp:notification-settings:1'><never/></notify>";
		bookmark(phone, { name = "Tea"; nick = "Ali"; extensions = extensions });
		s:enter(phone, "Ali");
		phone:send(scene.presence "Zoe");
		assert.equal("<conference autojoin='true' name='Tea' xmlns='"..bookmarks.."'><nick>Zoe</nick><extensions>"
			..extensions.."</extensions></conference>", stored(phone));
	end);

	it("P5: does not change autojoin in a bookmark of a client", function ()
		local s = new_scene { options = { minimix_bookmark_write = true } };
		local phone = s:client "phone";
		bookmark(phone, { autojoin = "false" });
		s:enter(phone);
		assert.equal((made:gsub("true", "false")), stored(phone));
		phone:send(leave "Alice");
		assert.same({}, s:occupants());
		assert.equal((made:gsub("true", "false")), stored(phone));
	end);

	it("P5: does not turn autojoin on again after the user has turned it off", function ()
		local s = new_scene { options = { minimix_bookmark_write = true } };
		local phone, laptop = s:client "phone", s:client "laptop";
		s:enter(phone);
		s:enter(laptop);
		bookmark(phone, { autojoin = "false" });
		phone:send(leave "Alice");
		laptop:lose();
		assert.same({}, s:occupants());
		s:enter(s:client "laptop");
		assert.equal((made:gsub("true", "false")), stored(phone));
	end);

	it("P5: is never written again after the user has removed it", function ()
		local s = new_scene { options = { minimix_bookmark_write = true } };
		local phone, laptop = s:client "phone", s:client "laptop";
		s:enter(phone);
		s:enter(laptop);
		retract(phone);
		phone:send(scene.presence "Zoe");
		assert.is_nil(stored(phone));
		phone:send(leave "Zoe");
		laptop:lose();
		assert.same({}, s:occupants());
		s:restart();
		laptop = s:client "laptop";
		s:enter(laptop);
		assert.same({ "Alice" }, s:occupants());
		laptop:send(leave "Alice");
		assert.is_nil(stored(laptop));
		bookmark(laptop);
		assert.equal(made, stored(laptop));
	end);

	it("P5: belongs to the user after a client has written it", function ()
		local s = new_scene { options = { minimix_bookmark_write = true } };
		local phone = s:client "phone";
		s:enter(phone);
		bookmark(phone);
		phone:send(leave "Alice");
		assert.same({ "Alice" }, s:occupants());
		assert.equal(made, stored(phone));
	end);

	it("P5: belongs to the module also after a restart", function ()
		local s = new_scene { options = { minimix_bookmark_write = true } };
		s:enter(s:client "phone");
		restart(s);
		local phone = s:client "phone";
		s:enter(phone);
		phone:send(leave "Alice");
		assert.same({}, s:occupants());
		assert.equal((made:gsub("true", "false")), stored(phone));
	end);

	it("P5: can be removed by the user", function ()
		local s = new_scene { options = { minimix_bookmark_write = true } };
		local phone = s:client "phone";
		s:enter(phone);
		retract(phone);
		phone:lose();
		assert.same({}, s:occupants());
	end);

	it("P5: causes no endless loop of nick changes", function ()
		local s = new_scene { options = { minimix_bookmark_write = true } };
		local phone = s:client "phone";
		s:enter(phone);
		local writes = 0;
		local service = prosody.hosts[s.host.name].modules.pep.get_pep_service "alice";
		service.events.add_handler("item-published", function () writes = writes + 1; end);
		for i = 1, 100 do
			phone:send(scene.presence("Nick"..i));
		end
		assert.is_true(writes <= 5);
		assert.same({ "Nick100" }, s:occupants());
	end);

	it("R2: is not changed when the room removes the account", function ()
		local s = new_scene { options = { minimix_bookmark_write = true } };
		local phone = s:client "phone";
		s:enter(phone);
		s.room:kick "Alice";
		assert.equal(made, stored(phone));
	end);

	it("P6: is not changed when the unused account leaves", function ()
		local s = new_scene { options = { minimix_bookmark_write = true; minimix_inactive_after = "1 day" } };
		local phone = s:client "phone";
		s:enter(phone);
		phone:close();
		s.host:tick(26 * 3600);
		assert.same({}, s:occupants());
		phone = s:client "phone";
		s:wait(6);
		assert.same({ "Alice" }, s:occupants());
		assert.equal(made, stored(phone));
		s:enter(phone);
		phone:send(leave "Alice");
		assert.same({}, s:occupants());
		assert.equal((made:gsub("true", "false")), stored(phone));
	end);
end);
