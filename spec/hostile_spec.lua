-- B3: rooms, occupants and services that mean harm. Each ends in a clear error or in nothing, and never in a Lua error: a
-- spec fails on one by itself.

local scene = require "support.scene";

local join, seen, status = scene.join, scene.seen, scene.status;

-- "Alice" is in the room with the phone, and "Bob" is there.
local function in_room(new_scene, fields)
	local s = new_scene(fields);
	return s, s:fill();
end

-- The room is well, and so is the account.
local function assert_well(s, phone)
	s:deliver();
	phone:take();
	s.room:say("Bob", "hi");
	assert.same({ "message groupchat room/Bob hi" }, seen(phone));
	assert.same({ "Alice" }, s:occupants());
end

-- What a laptop that joins is shown.
local function shown(s)
	local laptop = s:client "laptop";
	laptop:send(join("Alice", { id = "j9"; muc = "<history maxstanzas='0'/>" }));
	s:deliver();
	return seen(laptop);
end

scene.everywhere(function (new_scene)
	it("B3: a flood of presence is passed on, and remembered once for each occupant", function ()
		local s, phone = in_room(new_scene);
		for i = 1, 500 do
			s:from("Bob", "<presence><show>"..(i % 2 == 0 and "away" or "xa").."</show>"..status().."</presence>");
		end
		assert.equal(500, #phone:take());
		assert.same({ "presence - room/Bob away"; "presence - room/Alice 110"; "message groupchat room subject:" }, shown(s));
		assert_well(s, phone);
	end);

	it("B3: nick changes without end leave one occupant", function ()
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

	it("B3: own nick changes in a circle keep the session in", function ()
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

	it("B3: a nick change to a nick with a slash is one", function ()
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
		it(("B3: a nick change to %q of %d bytes leads nowhere but out"):format(nick:sub(1, 4), #nick), function ()
			local s, phone = in_room(new_scene);
			s:from("Alice", "<presence type='unavailable'>"..status("303 110", { nick = nick }).."</presence>");
			assert.same({ "presence unavailable room/Alice 110 303" }, seen(phone));
			s:wait(4000);
			assert.same({}, phone:take());
			assert.is_true(s:is_forgotten());
		end);
	end

	it("R5: 110 on somebody else's presence does not make the account that", function ()
		local s, phone = in_room(new_scene);
		s:from("Mallory", "<presence>"..status("110").."</presence>");
		s:from("Mallory", "<presence type='unavailable'>"..status("110 307").."</presence>");
		s:from("Bob", "<presence type='unavailable'>"..status("110 301").."</presence>");
		assert_well(s, phone);
	end);

	it("B3: an own presence that comes twice is passed on, and the account is in once", function ()
		local s, phone = in_room(new_scene);
		s:from("Alice", "<presence>"..status("110").."</presence>");
		s:from("Alice", "<presence>"..status("110 201").."</presence>");
		assert.equal(2, #phone:take());
		assert.same({ "presence - room/Bob"; "presence - room/Alice 110"; "message groupchat room subject:" }, shown(s));
		assert_well(s, phone);
	end);

	it("J5: an own presence that never comes ends in an error, and nothing is left", function ()
		local s = new_scene();
		s.room.silent = true;
		local phone = s:client "phone";
		phone:send(join "Alice");
		for _ = 1, 30 do
			s:from("Bob", "<presence>"..status().."</presence>");
			s:wait(2);
		end
		s:wait(10);
		local lines = seen(phone);
		assert.equal("presence error room/Alice wait remote-server-timeout", lines[#lines]);
		s.room.silent = false;
		s:wait(4000);
		assert.is_true(s:is_forgotten());
	end);

	it("B3: errors for what nobody asked reach nobody", function ()
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

	it("R5: another room, its occupants and the service itself change nothing of this one", function ()
		local s, phone = in_room(new_scene);
		for _, from in ipairs { "other@rooms.example.org/Alice", "other@rooms.example.org", "rooms.example.org" } do
			s:from(from, "<presence type='unavailable'>"..status("110 307").."</presence>");
			s:from(from, "<presence type='error' id='j1'>"..scene.error("cancel", "gone").."</presence>");
		end
		for _, stanza in ipairs(phone:take()) do
			-- As without the module: no occupant's, so that it is mod_presence's to pass on.
			assert.is_nil(stanza.attr.from:find "/");
		end
		assert_well(s, phone);
	end);

	it("R2: who destroys a room sends nobody anywhere", function ()
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

	it("B3: a flood of IQs is answered one by one, and the account stays well", function ()
		local s, phone = in_room(new_scene);
		s:upstream();
		for i = 1, 300 do
			s:from("Bob", ("<iq type='get' id='f%d'><ping xmlns='urn:xmpp:ping'/></iq>"):format(i));
		end
		s:deliver();
		assert.same({}, seen(phone));
		assert_well(s, phone);
	end);

	it("B3: IQs without payload, type or sense do no harm", function ()
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

	it("R6: a presence of a type that there is none of is not answered", function ()
		local s, phone = in_room(new_scene);
		for _, kind in ipairs { "what", "probe", "" } do
			s:from("Bob", ("<presence type='%s'/>"):format(kind));
			s:from(nil, ("<presence type='%s'/>"):format(kind));
		end
		assert_well(s, phone);
	end);

	it("H1: forged delays and stanza-ids of others neither hide nor lose a message", function ()
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

	it("B3: a giant presence, message and subject are passed on", function ()
		local s, phone = in_room(new_scene);
		local giant = ("x"):rep(200000);
		s:from("Bob", ("<presence><status>%s</status>%s</presence>"):format(giant, status()));
		s:from("Bob", ("<message type='groupchat'><body>%s</body></message>"):format(giant));
		s:from("Bob", ("<message type='groupchat'><subject>%s</subject></message>"):format(giant));
		assert.equal(3, #phone:take());
		assert_well(s, phone);
	end);
end);

it("B3: while one room rages, another account's room is as ever", function ()
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
