-- B3: hostile rooms, occupants and services. Each stanza ends in a clear error or has no effect. A Lua error fails the
-- spec.

local st = require "util.stanza";
local datetime = require "util.datetime";
local mam = require "support.mam";
local scene = require "support.scene";
local xml = require "support.xml";

local join, seen, status = scene.join, scene.seen, scene.status;

-- Returns a scene with "Alice" (the phone) and "Bob" in the room.
local function in_room(new_scene, fields)
	local s = new_scene(fields);
	return s, s:fill();
end

-- Checks that the room and the account still work.
local function assert_well(s, phone)
	s:deliver();
	phone:take();
	s.room:say("Bob", "hi");
	assert.same({ "message groupchat room/Bob hi" }, seen(phone));
	assert.same({ "Alice" }, s:occupants());
end

-- Returns the stanzas that a joining laptop receives.
local function shown(s)
	local laptop = s:client "laptop";
	laptop:send(join("Alice", { id = "j9"; muc = "<history maxstanzas='0'/>" }));
	s:deliver();
	return seen(laptop);
end

scene.everywhere(function (new_scene)
	it("B3: a flood of presence is forked, and cached once for each occupant", function ()
		local s, phone = in_room(new_scene);
		for i = 1, 500 do
			s:from("Bob", "<presence><show>"..(i % 2 == 0 and "away" or "xa").."</show>"..status().."</presence>");
		end
		assert.equal(500, #phone:take());
		assert.same({ "presence - room/Bob away"; "presence - room/Alice 110"; "message groupchat room subject:" }, shown(s));
		assert_well(s, phone);
	end);

	it("B3: a long series of nick changes leaves one occupant", function ()
		local s, phone = in_room(new_scene);
		for i = 1, 200 do
			s:from("Bob"..i, "<presence type='unavailable'>"..status("303", { nick = "Bob"..(i + 1) }).."</presence>");
			s:from("Bob"..(i + 1), "<presence>"..status().."</presence>");
		end
		assert.same({
			"presence - room/Alice 110"; "presence - room/Bob"; "presence - room/Bob201"; "message groupchat room subject:";
		}, (function ()
			local lines = shown(s);
			local last = table.remove(lines);
			table.sort(lines);
			table.insert(lines, last);
			return lines;
		end)());
		assert_well(s, phone);
	end);

	it("B3: a circle of own nick changes leaves the session attached", function ()
		local s, phone = in_room(new_scene);
		for _ = 1, 50 do
			s:from("Alice", "<presence type='unavailable'>"..status("303 110", { nick = "Other" }).."</presence>");
			s:from("Other", "<presence>"..status("110").."</presence>");
			s:from("Other", "<presence type='unavailable'>"..status("303 110", { nick = "Alice" }).."</presence>");
			s:from("Alice", "<presence>"..status("110").."</presence>");
		end
		assert.equal(200, #phone:take());
		assert_well(s, phone);
	end);

	it("B3: a nick change to a nick with a slash is valid", function ()
		local s, phone = in_room(new_scene);
		s:from("Alice", "<presence type='unavailable'>"..status("303 110", { nick = "a/b" }).."</presence>");
		phone:send(scene.message("hello"));
		phone:send(scene.presence(nil, { content = "<show>away</show>" }));
		s:deliver();
		s:wait(4000);
		phone:take();
		assert.same({}, s.host.unhandled);
	end);

	for _, nick in ipairs { "", "\u{200E}", ("n"):rep(2000) } do
		it(("B3: a nick change to %q of %d bytes can only end the membership"):format(nick:sub(1, 4), #nick), function ()
			local s, phone = in_room(new_scene);
			s:from("Alice", "<presence type='unavailable'>"..status("303 110", { nick = nick }).."</presence>");
			assert.same({ "presence unavailable room/Alice 110 303" }, seen(phone));
			s:wait(4000);
			assert.same({}, phone:take());
			assert.is_true(s:is_forgotten());
		end);
	end

	it("R5: 110 on another occupant's presence does not make it the account's own", function ()
		local s, phone = in_room(new_scene);
		s:from("Mallory", "<presence>"..status("110").."</presence>");
		s:from("Mallory", "<presence type='unavailable'>"..status("110 307").."</presence>");
		s:from("Bob", "<presence type='unavailable'>"..status("110 301").."</presence>");
		assert_well(s, phone);
	end);

	-- Nicks are compared by resourceprep, which keeps the case. A service that changes it sends 110 or the id of a request.
	local ends = {
		["leaves"] = function (room) room:leave "alice"; end;
		["is kicked"] = function (room) room:kick "alice"; end;
		["takes another nick"] = function (room) room:rename("alice", "Carol"); room:leave "Carol"; end;
	};
	for how, end_it in pairs(ends) do
		it("R5: an occupant with the account's nick in small letters is another one, also when it "..how, function ()
			local s, phone = in_room(new_scene);
			s.room:enter "Mallory";
			s.room:rename("Mallory", "alice");
			s.room:update("alice", scene.presence(nil, { content = "<show>away</show>" }));
			s:deliver();
			phone:take();
			local lines = shown(s);
			table.sort(lines);
			assert.same({
				"message groupchat room subject:"; "presence - room/Alice 110"; "presence - room/Bob"; "presence - room/alice away";
			}, lines);
			end_it(s.room);
			s:deliver();
			assert.same({ "presence - room/Bob"; "presence - room/Alice 110"; "message groupchat room subject:" }, shown(s));
			assert_well(s, phone);
		end);
	end

	it("B3: a repeated own presence is forked, and the account is in once", function ()
		local s, phone = in_room(new_scene);
		s:from("Alice", "<presence>"..status("110").."</presence>");
		s:from("Alice", "<presence>"..status("110 201").."</presence>");
		assert.equal(2, #phone:take());
		assert.same({ "presence - room/Bob"; "presence - room/Alice 110"; "message groupchat room subject:" }, shown(s));
		assert_well(s, phone);
	end);

	it("J5: a missing own presence ends the join with an error, and leaves nothing behind", function ()
		local s = new_scene();
		s.room.silent = true;
		local phone = s:client "phone";
		phone:send(join "Alice");
		for _ = 1, 30 do
			s:from("Bob", "<presence>"..status().."</presence>");
			s:wait(2);
		end
		-- The timeout starts again with each occupant.
		s:wait(70);
		local lines = seen(phone);
		assert.equal("presence error room/Alice wait remote-server-timeout", lines[#lines]);
		s.room.silent = false;
		s:wait(4000);
		assert.is_true(s:is_forgotten());
	end);

	it("B3: errors without a request are delivered to no session", function ()
		local s, phone = in_room(new_scene);
		for _, id in ipairs { "j1", "m1", "q1", "unheard-of" } do
			for _, condition in ipairs { "conflict", "forbidden", "gone", "nonsense" } do
				local error = scene.error("cancel", condition);
				s:from("Alice", ("<presence type='error' id='%s'>%s</presence>"):format(id, error));
				s:from(nil, ("<message type='error' id='%s'>%s</message>"):format(id, error));
				s:from(nil, ("<iq type='error' id='%s'>%s</iq>"):format(id, error));
				s:from("Bob", ("<iq type='result' id='%s'/>"):format(id));
			end
			s:from("Alice", "<presence type='error'/>");
			s:from(nil, "<message type='error'/>");
		end
		assert.same({}, seen(phone));
		s:wait(5);
		assert_well(s, phone);
	end);

	it("R5: another room, its occupants and the service itself do not change this room", function ()
		local s, phone = in_room(new_scene);
		for _, from in ipairs { "other@rooms.example.org/Alice", "other@rooms.example.org", "rooms.example.org" } do
			s:from(from, "<presence type='unavailable'>"..status("110 307").."</presence>");
			s:from(from, "<presence type='error' id='j1'>"..scene.error("cancel", "gone").."</presence>");
		end
		for _, stanza in ipairs(phone:take()) do
			-- As without the module: the stanza is not from an occupant, so mod_presence forwards it.
			assert.is_nil(stanza.attr.from:find "/");
		end
		assert_well(s, phone);
	end);

	it("R2: a destroyed room redirects no session", function ()
		local s, phone = in_room(new_scene);
		s:upstream();
		s.room:destroy("trap@evil.example", "come here");
		local last = phone:take();
		assert.equal("trap@evil.example", last[#last]:find "{http://jabber.org/protocol/muc#user}x/destroy".attr.jid);
		s.host:take();
		s:wait(4000);
		for _, stanza in ipairs(s.host:take()) do
			assert.is_nil(stanza.attr.to:find "evil");
		end
		assert.same({}, s:occupants());
	end);

	it("B3: a flood of IQs is answered one by one, and the account stays in the room", function ()
		local s, phone = in_room(new_scene);
		s:upstream();
		for i = 1, 300 do
			s:from("Bob", ("<iq type='get' id='f%d'><ping xmlns='urn:xmpp:ping'/></iq>"):format(i));
		end
		s:deliver();
		assert.same({}, seen(phone));
		assert_well(s, phone);
	end);

	it("B3: IQs without payload, type or meaning have no effect", function ()
		local s, phone = in_room(new_scene);
		for _, iq in ipairs {
			"<iq type='get' id='a'/>", "<iq type='set' id=''><query/></iq>", "<iq id='b'/>", "<iq type='what' id='c'><a/></iq>",
			"<iq type='result' id='d'/>", "<iq type='error' id='e'/>",
		} do
			s:from("Bob", iq);
			s:from(nil, iq);
		end
		assert_well(s, phone);
	end);

	it("R6: a presence of an unknown type is not answered", function ()
		local s, phone = in_room(new_scene);
		for _, kind in ipairs { "what", "probe", "" } do
			s:from("Bob", ("<presence type='%s'/>"):format(kind));
			s:from(nil, ("<presence type='%s'/>"):format(kind));
		end
		assert_well(s, phone);
	end);

	it("H1: forged delays and stanza-ids neither hide nor lose a message", function ()
		local s, phone = in_room(new_scene);
		for i, mark in ipairs {
			"<delay xmlns='urn:xmpp:delay' from='elsewhere.example' stamp='1969-01-01T00:00:00Z'/>",
			"<delay xmlns='urn:xmpp:delay' stamp='never'/>",
			"<delay xmlns='urn:xmpp:delay' stamp='9999-12-31T23:59:59Z'/>",
			"<delay xmlns='urn:xmpp:delay'/>",
			"<stanza-id xmlns='urn:xmpp:sid:0' by='alice@example.org' id='one'/>",
			"<stanza-id xmlns='urn:xmpp:sid:0'/>",
		} do
			s:from("Bob", ("<message type='groupchat' id='f%d'><body>m%d</body>%s</message>"):format(i, i, mark));
			assert.same({ ("message groupchat room/Bob m%d"):format(i) }, seen(phone));
		end
		assert_well(s, phone);
	end);

	it("B3: a giant presence, message and subject are forked", function ()
		local s, phone = in_room(new_scene);
		local giant = ("x"):rep(200000);
		s:from("Bob", ("<presence><status>%s</status>%s</presence>"):format(giant, status()));
		s:from("Bob", ("<message type='groupchat'><body>%s</body></message>"):format(giant));
		s:from("Bob", ("<message type='groupchat'><subject>%s</subject></message>"):format(giant));
		assert.equal(3, #phone:take());
		assert_well(s, phone);
	end);
end);

it("B3: a flood from one room does not affect another account's room", function ()
	local s = scene.new();
	local quiet = s:add_room "quiet";
	quiet:enter "Eve";
	local phone, other = s:client "phone", s:client("tablet", "anna");
	s:enter(phone);
	s:enter(other, "Anna", { room = "quiet" });
	for i = 1, 300 do
		s:from("N"..i, "<presence>"..status().."</presence>");
		s:from("N"..i, "<message type='groupchat'><body>noise</body></message>");
	end
	quiet:say("Eve", "hi");
	assert.same({ "message groupchat quiet/Eve hi" }, seen(other));
end);

-- Returns a message as a hostile archive wraps it.
local function wrapped(room, iq, message, n, fields)
	local query = iq:get_child("query", "urn:xmpp:mam:2");
	fields = fields or {};
	local result = st.message({ from = fields.from or room.jid; to = iq.attr.from })
		:tag("result", { xmlns = "urn:xmpp:mam:2"; queryid = query.attr.queryid; id = "a"..n })
		:tag("forwarded", { xmlns = "urn:xmpp:forward:0" })
		:tag("delay", { xmlns = "urn:xmpp:delay"; stamp = datetime.datetime(fields.time or os.time() - 1) }):up();
	return result:add_child(message):reset();
end

-- The room's archive returns these messages (XML in the namespace of clients) once, for any query.
local function give(room, messages, fields)
	function room.on_iq(_, iq)
		if not iq:get_child("query", "urn:xmpp:mam:2") then return; end
		room.on_iq = nil;
		for n, message in ipairs(messages) do
			local parsed = xml.parse(message);
			parsed.attr.xmlns = "jabber:client";
			room.send(wrapped(room, iq, parsed, n, fields));
		end
		return st.reply(iq):tag("fin", { xmlns = "urn:xmpp:mam:2"; complete = "true" }):reset();
	end
end

local function said_by(from, body, content)
	return ("<message type='groupchat' from='%s' id='%s'><body>%s</body>%s</message>"):format(from, body, body, content or "");
end

local function archived(s, client)
	local bodies = {};
	client:take();
	client:send(mam.query { with = s.room.jid });
	for _, stanza in ipairs(client:take()) do
		local message = stanza.name == "message" and mam.message_in(stanza);
		if message then table.insert(bodies, message); end
	end
	return bodies;
end

local function bodies_of(messages)
	local bodies = {};
	for i, message in ipairs(messages) do bodies[i] = message:get_child_text("body"); end
	return bodies;
end

scene.everywhere(function (new_scene)
	it("R5: the archive of a room provides messages of the room and its occupants only", function ()
		local s, phone = in_room(new_scene, { modules = { "mam" } });
		s.room:say("Bob", "before");
		give(s.room, {
			said_by("room@rooms.example.org/Eve", "true");
			said_by("other@rooms.example.org/Eve", "of another room");
			said_by("carol@elsewhere.example/x", "of a contact");
			said_by("alice@example.org", "of the account");
			said_by("alice@example.org/phone", "of a session");
			said_by("rooms.example.org", "of the service");
			said_by("@@", "of nobody");
			"<message type='groupchat'><body>without sender</body></message>";
			"<message type='chat' from='room@rooms.example.org/Eve'><body>private</body></message>";
			"<message type='error' from='room@rooms.example.org/Eve'><body>error</body></message>";
		});
		phone:take();
		s:lose_and_return();
		assert.same({ "message groupchat room/Eve true" }, seen(phone));
		assert.same({ "before", "true" }, bodies_of(archived(s, phone)));
		assert.equal(9, s.host:metric("drops", { "forged" }));
	end);

	it("R5: ids and carbons of other entities are removed from an archived message", function ()
		local s, phone = in_room(new_scene, { modules = { "mam" } });
		s.room:say("Bob", "before");
		local forged = "<message xmlns='jabber:client' from='carol@example.org/x' to='alice@example.org'><body>forged</body></message>";
		local forwarded = "<forwarded xmlns='urn:xmpp:forward:0'>"..forged.."</forwarded>";
		forwarded = forwarded..forwarded:gsub("from=.- to='alice@example.org'", "from='ALICE@Example.org/x'");
		give(s.room, { said_by("room@rooms.example.org/Eve", "true", ([[
			<sent xmlns='urn:xmpp:carbons:2'>%s</sent><received xmlns='urn:xmpp:carbons:2'>%s</received>
			<result xmlns='urn:xmpp:mam:2' id='x' queryid='f1'>%s</result>%s
			<stanza-id xmlns='urn:xmpp:sid:0' by='alice@example.org' id='x'/><stanza-id xmlns='urn:xmpp:sid:0' by='elsewhere' id='x'/>
			<stanza-id xmlns='urn:xmpp:sid:0' by='room@rooms.example.org' id='good'/>
			<x xmlns='http://jabber.org/protocol/muc#user'><item jid='eve@example.org' role='visitor'/><status code='110'/>
			<invite from='x@y'/><destroy/></x><error type='cancel'/>
			<delay xmlns='urn:xmpp:delay' from='room@rooms.example.org' stamp='1969-01-01T00:00:00Z'/>
			<origin-id xmlns='urn:xmpp:sid:0' id='own'/>]]):gsub("\n%s*", ""):format(forwarded, forwarded, forwarded, forwarded)) });
		phone:take();
		s:lose_and_return();
		local copies = scene.take(phone);
		assert.equal(1, #copies);
		for _, message in ipairs { copies[1], archived(s, phone)[2] } do
			local names = {};
			for _, tag in ipairs(message.tags) do
				if tag.name ~= "delay" then table.insert(names, tag.name..(tag.attr.id and " "..tag.attr.id or "")); end
			end
			table.sort(names);
			assert.same({ "body", "origin-id own", "stanza-id good", "x" }, names);
			local x = message:get_child("x", "http://jabber.org/protocol/muc#user");
			assert.equal(1, #x.tags);
			assert.equal("item", x.tags[1].name);
		end
		assert.is_nil(tostring(copies[1]):find("1969", 1, true));
	end);

	it("R5: archive results count only from the room itself", function ()
		local s, phone = in_room(new_scene);
		s.room:say("Bob", "before");
		give(s.room, { said_by("room@rooms.example.org/Eve", "a lie") }, { from = "room@rooms.example.org/Eve" });
		phone:take();
		s:lose_and_return();
		assert.same({}, seen(phone));
	end);

	it("R5: archive results count only with the id of the query, and before its end", function ()
		local s, phone = in_room(new_scene);
		s.room:say("Bob", "before");
		local late;
		function s.room.on_iq(room, iq)
			local query = iq:get_child("query", "urn:xmpp:mam:2");
			if not query then return; end
			room.on_iq = nil;
			local function result(body, id)
				local message = xml.parse(said_by("room@rooms.example.org/Eve", body));
				message.attr.xmlns = "jabber:client";
				local stanza = wrapped(room, iq, message, 1);
				stanza.tags[1].attr.queryid = id;
				room.send(stanza);
			end
			result("of another query", "other");
			result("of no query", nil);
			result("true", query.attr.queryid);
			function late() result("late", query.attr.queryid); end
			return st.reply(iq):tag("fin", { xmlns = "urn:xmpp:mam:2"; complete = "true" }):reset();
		end
		phone:take();
		s:lose_and_return();
		late();
		s:deliver();
		assert.same({ "message groupchat room/Eve true" }, seen(phone));
	end);

	it("R5: an archive result without a message or a time is dropped", function ()
		local s, phone = in_room(new_scene);
		s.room:say("Bob", "before");
		function s.room.on_iq(room, iq)
			local query = iq:get_child("query", "urn:xmpp:mam:2");
			if not query then return; end
			local function result() return st.message({ from = room.jid; to = iq.attr.from }):tag("result", { xmlns = "urn:xmpp:mam:2"; queryid = query.attr.queryid }); end
			room.send(result():reset());
			room.send(result():tag("forwarded", { xmlns = "urn:xmpp:forward:0" }):reset());
			for _, stamp in ipairs { "never", "" } do
				room.send(result():tag("forwarded", { xmlns = "urn:xmpp:forward:0" }):tag("delay", { xmlns = "urn:xmpp:delay"; stamp = stamp }):up()
					:tag("message", { xmlns = "jabber:client"; type = "groupchat"; from = room.jid.."/Eve" }):text_tag("body", "x"):reset());
			end
			return st.reply(iq):tag("fin", { xmlns = "urn:xmpp:mam:2" }):tag("set"):reset();
		end
		phone:take();
		s:lose_and_return();
		assert.same({}, seen(phone));
		assert_well(s, phone);
	end);

	it("R5: results beyond the requested page size are dropped", function ()
		local s, phone = in_room(new_scene);
		s.room:say("Bob", "before");
		local messages = {};
		for i = 1, 200 do messages[i] = said_by("room@rooms.example.org/Eve", "m"..i); end
		give(s.room, messages);
		phone:take();
		s:lose_and_return();
		assert.equal(50, #seen(phone));
		assert.equal(150, s.host:metric("drops", { "limit" }));
	end);

	it("B1: an archive that repeats a page without end is asked a limited number of times #once", function ()
		local s, phone = in_room(new_scene);
		s.room:say("Bob", "before");
		local count, asked = 1, 0;
		function s.room.on_iq(room, iq)
			local query = iq:get_child("query", "urn:xmpp:mam:2");
			if not query then return; end
			asked = asked + 1;
			for n = 1, count do
				local message = xml.parse(said_by("room@rooms.example.org/Eve", "again"));
				message.attr.xmlns = "jabber:client";
				room.send(wrapped(room, iq, message, n));
			end
			return st.reply(iq):tag("fin", { xmlns = "urn:xmpp:mam:2" })
				:tag("set", { xmlns = "http://jabber.org/protocol/rsm" }):text_tag("last", "a"..asked % 3):reset();
		end
		-- Before and after the account is back.
		for messages, pages in pairs { [0] = 2; [1] = 200; [50] = 40 } do
			count, asked = messages, 0;
			s:lose_and_return();
			s:wait(60);
			assert.equal(pages, asked);
		end
		assert_well(s, phone);
	end);

	for name, delay in pairs {
		["names no sender"] = "<delay xmlns='urn:xmpp:delay' stamp='2020-01-01T00:00:00Z'/>";
		["names somebody else"] = "<delay xmlns='urn:xmpp:delay' from='bob@elsewhere.example' stamp='2020-01-01T00:00:00Z'/>";
		["names the room"] = "<delay xmlns='urn:xmpp:delay' from='room@rooms.example.org' stamp='2020-01-01T00:00:00Z'/>";
	} do
		it("R5: a message with a delay that "..name.." is shown and kept as any other", function ()
			local s, phone = in_room(new_scene, { modules = { "mam" } });
			s.room:say("Bob", "before");
			phone:take();
			s:from("Bob", said_by("room@rooms.example.org/Bob", "Alice: hi", delay));
			assert.same({ "message groupchat room/Bob Alice: hi" }, seen(phone));
			assert.same({ "before", "Alice: hi" }, bodies_of(archived(s, phone)));
			-- In order of arrival.
			local laptop = s:client "laptop";
			laptop:send(join("Alice", { id = "j2" }));
			s:deliver();
			local lines = seen(laptop);
			assert.equal("message groupchat room/Bob Alice: hi", lines[#lines - 1]);
		end);
	end

	it("R5: history is accepted from a service whose delays have no sender", function ()
		local s = new_scene { modules = { "mam" } };
		local phone = s:client "phone";
		local release = scene.hold_back(s.room);
		phone:send(join("Alice"));
		s:deliver();
		release(1);
		s:from("Bob", said_by("room@rooms.example.org/Bob", "old", "<delay xmlns='urn:xmpp:delay' stamp='2020-01-01T00:00:00Z'/>"));
		release();
		s:deliver();
		assert.same({ "presence - room/Alice 110"; "message groupchat room/Bob old"; "message groupchat room subject:" }, seen(phone));
		phone:send(mam.query { with = s.room.jid });
		local result = phone:take()[1];
		assert.equal("2020-01-01T00:00:00Z", result:find("{urn:xmpp:mam:2}result/{urn:xmpp:forward:0}forwarded/{urn:xmpp:delay}delay@stamp"));
	end);

	it("R5: a stanza-id in the account's own name is removed", function ()
		local s, phone = in_room(new_scene);
		s:from("Bob", said_by("room@rooms.example.org/Bob", "hi", "<stanza-id xmlns='urn:xmpp:sid:0' by='alice@example.org' id='x'/>"));
		local message = scene.take(phone)[1];
		assert.equal("hi", message:get_child_text("body"));
		assert.is_nil(message:get_child("stanza-id", "urn:xmpp:sid:0"));
	end);
end);
