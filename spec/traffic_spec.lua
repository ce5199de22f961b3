-- R: messages and presence of a room, and the sessions that receive them.

local st = require "util.stanza";
local add_filter = require "util.filters".add_filter;
local scene = require "support.scene";

local join, seen, status = scene.join, scene.seen, scene.status;
local no_history = { muc = "<history maxstanzas='0'/>" };

local in_room = scene.in_room;

local function and_laptop(s)
	local laptop = s:client "laptop";
	s:enter(laptop);
	return laptop;
end

local function without_address(stanza)
	stanza.attr.to = nil;
	return stanza;
end

describe("what the room says", function ()
	scene.everywhere(function (new_scene)
		it("R1: goes to each attached session once, in order, and to no other", function ()
			local s = new_scene();
			s.room:enter "Bob";
			local phone, laptop, stranger = s:client "phone", s:client "laptop", s:client "stranger";
			s:enter(phone);
			s:enter(laptop);
			s.room:say("Bob", "one");
			s.room:update("Bob", scene.presence(nil, { content = "<show>away</show>" }));
			s.room:say("Bob", "two");
			s.room:set_subject("Bob", "Tea");
			s.room:enter "Carol";
			s.room:whisper("Carol", "Alice", "psst");
			s.room:leave "Bob";
			local expected = {
				"message groupchat room/Bob one";
				"presence - room/Bob away";
				"message groupchat room/Bob two";
				"message groupchat room/Bob subject:Tea";
				"presence - room/Carol";
				"message chat room/Carol psst";
				"presence unavailable room/Bob";
			};
			assert.same(expected, seen(phone));
			assert.same(expected, seen(laptop));
			assert.same({}, seen(stranger));
			assert.same({}, s.host.unhandled);
			s:deliver();
			assert.same({}, s:upstream());
		end);
	end);

	it("R1: is passed on with all that is in it", function ()
		local s, phone = in_room();
		local laptop = and_laptop(s);
		local stanzas = {
			"<message type='groupchat' id='m1' xml:lang='de'><body>hi</body><body xml:lang='fr'>salut</body>"
				.."<stanza-id xmlns='urn:xmpp:sid:0' by='room@rooms.example.org' id='s1'/>"
				.."<stanza-id xmlns='urn:xmpp:sid:0' by='other@rooms.example.org' id='s2'/>"
				.."<origin-id xmlns='urn:xmpp:sid:0' id='m1'/>"
				.."<occupant-id xmlns='urn:xmpp:occupant-id:0' id='o1'/>"
				.."<archived xmlns='urn:xmpp:mam:tmp' by='room@rooms.example.org' id='s1'/></message>";
			"<message type='groupchat' id='m2'><reactions xmlns='urn:xmpp:reactions:0' id='s1'><reaction>+</reaction></reactions></message>";
			"<message type='groupchat' id='m3'><encrypted xmlns='eu.siacs.conversations.axolotl'><header sid='1'/><payload>x</payload></encrypted>"
				.."<store xmlns='urn:xmpp:hints'/></message>";
			"<message type='groupchat'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>";
			"<message type='groupchat' id='m4'><apply-to xmlns='urn:xmpp:fasten:0' id='s1'><retract xmlns='urn:xmpp:message-retract:0'/></apply-to></message>";
			"<presence id='p1'><show>dnd</show><hats xmlns='urn:xmpp:hats:0'><hat title='T' uri='u'/></hats>"..status("100 999").."</presence>";
		};
		for _, stanza in ipairs(stanzas) do
			s:from("Bob", stanza);
			local expected = s.host.xml((stanza:gsub("^<%a+", "%0 from='room@rooms.example.org/Bob'")));
			for _, client in ipairs { phone, laptop } do
				local got = scene.take(client);
				assert.equal(1, #got);
				assert.equal(expected, s.host.xml(without_address(got[1])));
			end
		end
	end);

	it("R1: keeps the room's stanza-id first where the account has an archive", function ()
		local s, phone = in_room { modules = { "mam" } };
		s.room:say("Bob", "hi");
		local message = scene.take(phone)[1];
		assert.equal("room@rooms.example.org", message:get_child("stanza-id", "urn:xmpp:sid:0").attr.by);
	end);

	it("R1: has no id in the account's own name, whoever gave it one", function ()
		local s, phone = in_room { modules = { "mam" } };
		for _, by in ipairs { "alice@example.org", "Alice@Example.org" } do
			s:from("Bob", ("<message type='groupchat'><body>hi</body>%s%s</message>"):format(
				"<stanza-id xmlns='urn:xmpp:sid:0' by='room@rooms.example.org' id='s1'/>",
				("<stanza-id xmlns='urn:xmpp:sid:0' by='%s' id='forged'/>"):format(by)
			));
			local message = scene.take(phone)[1];
			assert.equal("room@rooms.example.org", message:get_child("stanza-id", "urn:xmpp:sid:0").attr.by);
			assert.is_nil(message:get_child_with_attr("stanza-id", "urn:xmpp:sid:0", "id", "forged"));
		end
	end);

	it("R1: is said by the room itself when its settings change", function ()
		local s, phone = in_room();
		local laptop = and_laptop(s);
		s:from(nil, "<message type='groupchat'><x xmlns='http://jabber.org/protocol/muc#user'><status code='104'/></x></message>");
		assert.same({ "message groupchat room 104" }, seen(phone));
		assert.same({ "message groupchat room 104" }, seen(laptop));
	end);

	it("R1: is asked of a moderator in a form", function ()
		local s, phone = in_room();
		local laptop, stranger = and_laptop(s), s:client "stranger";
		s:from(nil, "<message><x xmlns='jabber:x:data' type='form'>"
			.."<field var='FORM_TYPE' type='hidden'><value>http://jabber.org/protocol/muc#request</value></field></x></message>");
		assert.same({ "message - room" }, seen(phone));
		assert.same({ "message - room" }, seen(laptop));
		assert.same({}, seen(stranger));
	end);

	it("R1: goes to every account of this server as its own", function ()
		local s, phone = in_room();
		local robert = s:client("phone", "bob");
		s:enter(robert, "Robert");
		seen(phone);
		s.room:say("Bob", "hi");
		phone:send(scene.message "hello");
		assert.same({ "message groupchat room/Bob hi"; "message groupchat room/Alice hello" }, seen(phone));
		assert.same({ "message groupchat room/Bob hi"; "message groupchat room/Alice hello" }, seen(robert));
	end);

	it("R1: leaves the room's own table as it was", function ()
		local s, phone = in_room();
		local stanza = scene.message("hi", { content = "<stanza-id xmlns='urn:xmpp:sid:0' by='room@rooms.example.org' id='s1'/>" });
		stanza.attr.from, stanza.attr.to = "room@rooms.example.org/Bob", s:occupant_jid();
		local before = s.host.xml(stanza);
		s.host:from_room(stanza);
		assert.equal(before, s.host.xml(stanza));
		stanza.attr.to = "somebody@else.example";
		stanza:reset():text_tag("added", "later");
		local got = scene.take(phone)[1];
		assert.is_nil(got:get_child "added");
	end);

	it("R1: about itself is passed on, and told to those who come later", function ()
		local s, phone = in_room();
		local avatar = "<presence><x xmlns='vcard-temp:x:update'><photo>abc</photo></x></presence>";
		s:from(nil, avatar);
		assert.same({ "presence - room" }, seen(phone));
		local laptop = s:client "laptop";
		laptop:send(join "Alice");
		local got = scene.take(laptop);
		assert.same({
			"presence - room/Bob"; "presence - room/Alice 110"; "message groupchat room subject:"; "presence - room";
		}, scene.lines(got));
		assert.is_not_nil(got[4]:get_child("x", "vcard-temp:x:update"));
	end);

	it("R1: about itself may come before all else", function ()
		local s = scene.new { remote = true, room = { silent = true } };
		local phone, laptop = s:client "phone", s:client "laptop";
		phone:send(join "Alice");
		laptop:send(join("Alice", { id = "j2" }));
		s:deliver();
		s:from(nil, "<presence><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='n' ver='v'/></presence>");
		s:from("Bob", "<presence>"..status "".."</presence>");
		s:from("Alice", "<presence>"..status "110".."</presence>");
		s:from(nil, "<message type='groupchat'><subject/></message>");
		local expected = {
			"presence - room"; "presence - room/Bob"; "presence - room/Alice 110"; "message groupchat room subject:";
		};
		assert.same(expected, seen(phone));
		assert.same(expected, seen(laptop));
	end);

	it("R1, R2: about itself may be that it is gone, which is not the account's leave", function ()
		local s, phone = in_room();
		s:from(nil, "<presence/>");
		seen(phone);
		s:from(nil, "<presence type='unavailable'/>");
		assert.same({ "presence unavailable room" }, seen(phone));
		s.room:say("Bob", "hi");
		assert.same({ "message groupchat room/Bob hi" }, seen(phone));
		local laptop = s:client "laptop";
		laptop:send(join "Alice");
		assert.equal("presence - room/Bob", seen(laptop)[1]);
		assert.same({}, s:upstream());
	end);

	it("R1: has a subject only where it has nothing else", function ()
		local s, phone = in_room { room = { subject = "Tea" } };
		s:from("Bob", "<message type='groupchat'><subject>Re: hi</subject><body>hi</body></message>");
		s:from("Bob", "<message type='groupchat'><subject>Re: hi</subject><thread>t</thread></message>");
		assert.equal(2, #seen(phone));
		local laptop = s:client "laptop";
		laptop:send(join("Alice", no_history));
		assert.same({
			"presence - room/Bob"; "presence - room/Alice 110"; "message groupchat room subject:Tea";
		}, seen(laptop));
	end);

	it("R1: reaches whatever kind of session there is, the same", function ()
		local s, phone = in_room();
		local browser = s:client("browser", nil, { bosh = true });
		browser:send(join "Alice");
		assert.same({
			"presence - room/Bob"; "presence - room/Alice 110"; "message groupchat room subject:";
		}, seen(browser));
		s.room:say("Bob", "1 < 2 & \"3\" > '2' \195\169");
		s.room:update("Bob", scene.presence(nil, { id = "a'b", content = "<status>&lt;&amp;></status>" }));
		s.room:whisper("Bob", "Alice", "psst");
		local from_stream, from_browser = scene.take(phone), scene.take(browser);
		assert.equal(3, #from_stream);
		for i = 1, 3 do
			assert.equal(
				s.host.xml(without_address(from_stream[i])),
				s.host.xml(without_address(from_browser[i]))
			);
		end
	end);

	it("R1, J3: shows the same room to whatever kind of session there is, at first and later", function ()
		local hard = "<status xml:lang='de'>&lt;&amp;>\226\130\172 \"&apos;</status><x xmlns='a' p:b='&quot;' xmlns:p='urn:p'><y/><z xmlns='c'>  </z></x>";
		local shown = {};
		for _, kind in ipairs { "stream", "filtered", "browser" } do
			local s = scene.new { remote = true };
			s.room:enter("Bob", { presence = scene.presence(nil, { id = "a'b", content = hard }) });
			local sessions = {};
			for _, resource in ipairs { "first", "second" } do
				local client = s:client(resource, nil, { bosh = kind == "browser" });
				if kind == "filtered" then
					add_filter(client.session, "stanzas/out", function (stanza) return stanza; end);
				end
				client:send(join "Alice");
				s:deliver();
				table.insert(sessions, scene.take(client)[1]);
			end
			for _, presence in ipairs(sessions) do
				table.insert(shown, s.host.xml(without_address(presence)));
			end
		end
		assert.truthy(shown[1]:find("<z xmlns=.c.>  </z>"));
		for i = 2, 6 do assert.equal(shown[1], shown[i]); end
	end);

	it("R1: passes a session's filters, which may keep it or change it for that one", function ()
		local s, phone = in_room();
		local laptop, tablet = and_laptop(s), s:client "tablet";
		s:enter(tablet);
		add_filter(laptop.session, "stanzas/out", function () return nil; end);
		add_filter(tablet.session, "stanzas/out", function (stanza)
			local copy = st.clone(stanza);
			copy:text_tag("changed", "yes");
			return copy;
		end);
		s.room:say("Bob", "hi");
		assert.same({}, seen(laptop));
		assert.equal("yes", scene.take(tablet)[1]:get_child_text "changed");
		local got = scene.take(phone);
		assert.equal("message groupchat room/Bob hi", scene.line(got[1]));
		assert.is_nil(got[1]:get_child "changed");
	end);

	it("R1: loses a session on the way, and reaches the others", function ()
		local s, phone = in_room();
		local laptop, tablet = and_laptop(s), s:client "tablet";
		s:enter(tablet, "Alice", { content = "<priority>5</priority>" });
		seen(phone);
		seen(laptop);
		tablet.session.send = function ()
			tablet:lose();
			return false;
		end;
		s.room:say("Bob", "one");
		s.room:say("Bob", "two");
		for _, client in ipairs { phone, laptop } do
			local messages = {};
			for _, line in ipairs(seen(client)) do
				if line:find "^message" then table.insert(messages, line); end
			end
			assert.same({ "message groupchat room/Bob one"; "message groupchat room/Bob two" }, messages);
		end
		assert.same({ "Alice" }, s:occupants());
	end);

	it("R1: finds nobody attached, and does not bounce", function ()
		local s, phone = in_room();
		phone:close();
		s.room:say("Bob", "hi");
		s.room:set_subject("Bob", "Tea");
		s.room:update "Bob";
		assert.same({}, s.host.unhandled);
		assert.same({}, s:upstream());
	end);
end);

describe("the account thrown out", function ()
	local ways_out = {
		kick = { function (room) room:kick("Alice", "reason"); end, "presence unavailable room/Alice 110 307" };
		ban = { function (room) room:ban("Alice", "reason"); end, "presence unavailable room/Alice 110 301" };
		["change of affiliation"] = { function (room) room:remove("Alice", "321"); end, "presence unavailable room/Alice 110 321" };
		["change to members only"] = { function (room) room:remove("Alice", "322"); end, "presence unavailable room/Alice 110 322" };
		["the room's end"] = { function (room) room:destroy("other@rooms.example.org", "moved"); end, "presence unavailable room/Alice 110" };
		["no reason given"] = { function (room) room:leave "Alice"; end, "presence unavailable room/Alice 110" };
	};

	for name, way in pairs(ways_out) do
		describe("by "..name, function ()
			local go, farewell = way[1], way[2];

			scene.everywhere(function (new_scene)
				it("R2: is so for each session, and does not come back", function ()
					local s = new_scene();
					s.room:enter "Bob";
					local phone, laptop = s:client "phone", s:client "laptop";
					s:enter(phone);
					s:enter(laptop);
					go(s.room);
					assert.same({ farewell }, seen(phone));
					assert.same({ farewell }, seen(laptop));
					s:wait(3600);
					assert.same({}, s:upstream());
					assert.same({}, s:occupants());
					assert.same({}, seen(phone));
					assert.is_true(s:is_forgotten());
				end);
			end);

			it("R2: is out though nobody is attached to see it", function ()
				local s, phone = in_room();
				phone:close();
				go(s.room);
				s:wait(3600);
				assert.same({}, s:upstream());
				assert.is_true(s:is_forgotten());
			end);

			it("R2: tells one that hibernates when it resumes", function ()
				local s, phone = in_room();
				phone:hibernate();
				go(s.room);
				phone:resume();
				assert.same({ farewell }, seen(phone));
			end);

			it("R2: is asked anew when a session joins again", function ()
				local s, phone = in_room();
				go(s.room);
				seen(phone);
				s.room.refuse = { "auth", "forbidden" };
				phone:send(join "Alice");
				assert.same({ "alice presence - room/Alice join" }, s:upstream());
				assert.same({ "presence error room/Alice auth forbidden" }, seen(phone));
				s.room.refuse = nil;
				s.room.members = {};
				phone:send(join "Alice");
				assert.equal("presence - room/Alice 110", seen(phone)[#s.room.occupants]);
			end);

			it("R2, C8: has its sessions speak for themselves", function ()
				local s, phone = in_room();
				go(s.room);
				seen(phone);
				phone:send(scene.message "am I in?");
				assert.same({ "alice/phone message groupchat room am I in?" }, s:upstream());
				assert.same({ "message error room modify not-acceptable" }, seen(phone));
			end);
		end);
	end

	it("R2: hears the reason, the actor and all", function ()
		local s, phone = in_room();
		local laptop = and_laptop(s);
		local kick = "<presence type='unavailable' from='room@rooms.example.org/Alice'>"
			.."<x xmlns='http://jabber.org/protocol/muc#user'><status code='307'/><status code='110'/>"
			.."<item affiliation='none' role='none'><actor nick='Bob'/><reason>because</reason></item></x></presence>";
		s:from("Alice", kick);
		for _, client in ipairs { phone, laptop } do
			assert.equal(s.host.xml(kick), s.host.xml(without_address(scene.take(client)[1])));
		end
	end);

	it("R2: is out without 110 as well", function ()
		local s, phone = in_room();
		s:from("Alice", "<presence type='unavailable'>"..status("", { role = "none" }).."</presence>");
		assert.same({ "presence unavailable room/Alice" }, seen(phone));
		assert.is_true(s:is_forgotten());
	end);

	it("R2: is out without a word of explanation", function ()
		local s, phone = in_room();
		s:from("Alice", "<presence type='unavailable'/>");
		assert.same({ "presence unavailable room/Alice" }, seen(phone));
		assert.is_true(s:is_forgotten());
	end);

	it("R2: hears of another venue, and does not go there", function ()
		local s, phone = in_room();
		local other = s:add_room "other";
		s.room:destroy("other@rooms.example.org", "moved");
		local destroy = scene.take(phone)[1]:find "{http://jabber.org/protocol/muc#user}x/destroy";
		assert.equal("other@rooms.example.org", destroy.attr.jid);
		assert.equal("moved", destroy:get_child_text "reason");
		s:wait(3600);
		assert.same({}, s:upstream(other));
		assert.same({}, s:upstream());
	end);

	it("R1, R2: is out, and what crosses with that is shown to nobody", function ()
		local s, phone = in_room();
		local stranger = s:client "stranger";
		s.room:kick "Alice";
		seen(phone);
		s:from("Bob", "<presence>"..status "".."</presence>");
		s:from("Bob", "<presence type='unavailable'>"..status "".."</presence>");
		assert.same({}, seen(phone));
		assert.same({}, seen(stranger));
	end);

	it("R2: while the room's presence goes first", function ()
		local s, phone = in_room();
		s:from(nil, "<presence type='unavailable'/>");
		s:from("Alice", "<presence type='unavailable'>"..status("110 307", { role = "none" }).."</presence>");
		assert.same({ "presence unavailable room"; "presence unavailable room/Alice 110 307" }, seen(phone));
		assert.is_true(s:is_forgotten());
	end);

	it("R2: while a session joins is out for that one too", function ()
		local s = scene.new { remote = true, room = { silent = true } };
		local phone = s:client "phone";
		phone:send(join "Alice");
		s:deliver();
		s:from("Alice", "<presence>"..status "110".."</presence>");
		s:from("Alice", "<presence type='unavailable'>"..status("110 301", { role = "none" }).."</presence>");
		assert.same({ "presence - room/Alice 110"; "presence unavailable room/Alice 110 301" }, seen(phone));
		s:wait(3600);
		assert.is_true(s:is_forgotten());
	end);

	it("R2: while others wait gives them their own try", function ()
		local s = scene.new { remote = true };
		local release, discard = scene.hold_back(s.room);
		local phone, laptop = s:client "phone", s:client "laptop";
		phone:send(join "Alice");
		laptop:send(join("Alice", { id = "j2" }));
		s:deliver();
		release(1);
		discard();
		s:from("Alice", "<presence type='unavailable'>"..status("110 307", { role = "none" }).."</presence>");
		assert.same({ "presence - room/Alice 110"; "presence unavailable room/Alice 110 307" }, seen(phone));
		s.room:forget "Alice";
		s:wait(1);
		local got = scene.take(laptop);
		assert.equal("presence - room/Alice 110", scene.line(got[1]));
		assert.equal("j2", got[1].attr.id);
		assert.equal("message groupchat room subject:", scene.line(got[#got]));
		assert.same({ "Alice" }, s:occupants());
	end);
end);

describe("a nick change", function ()
	scene.everywhere(function (new_scene)
		it("R2: of the account goes to all, and the new nick holds", function ()
			local s = new_scene();
			local phone, laptop = s:client "phone", s:client "laptop";
			s:enter(phone);
			s:enter(laptop);
			s.room:rename("Alice", "Alicia");
			local expected = { "presence unavailable room/Alice 110 303"; "presence - room/Alicia 110" };
			assert.same(expected, seen(phone));
			assert.same(expected, seen(laptop));
			s.room:enter "Alice";
			s.room:leave "Alice";
			assert.same({ "presence - room/Alice"; "presence unavailable room/Alice" }, seen(phone));
			s.room:kick "Alicia";
			assert.equal("presence unavailable room/Alicia 110 307", seen(phone)[1]);
			assert.is_true(s:is_forgotten());
		end);
	end);

	it("R1: of another goes to all, and leaves one of them", function ()
		local s, phone = in_room();
		s.room:rename("Bob", "Bert");
		assert.same({ "presence unavailable room/Bob 303"; "presence - room/Bert" }, seen(phone));
		local laptop = s:client "laptop";
		laptop:send(join "Alice");
		assert.equal("presence - room/Bert", seen(laptop)[1]);
	end);

	it("R2: does without 110", function ()
		local s, phone = in_room();
		s:from("Alice", "<presence type='unavailable'>"..status("303", { nick = "Alicia" }).."</presence>");
		s:from("Alicia", "<presence>"..status "".."</presence>");
		assert.same({ "presence unavailable room/Alice 303"; "presence - room/Alicia" }, seen(phone));
		local laptop = s:client "laptop";
		laptop:send(join "Alicia");
		assert.equal("presence - room/Alicia 110", seen(laptop)[2]);
	end);

	it("R2: to no nick at all is a way out", function ()
		local s, phone = in_room();
		s:from("Alice", "<presence type='unavailable'>"..status("110 303").."</presence>");
		assert.same({ "presence unavailable room/Alice 110 303" }, seen(phone));
		assert.is_true(s:is_forgotten());
	end);

	it("R2: is followed however often", function ()
		local s, phone = in_room();
		for i = 1, 50 do
			s.room:rename("Alice"..(i > 1 and i - 1 or ""), "Alice"..i);
		end
		assert.equal(100, #seen(phone));
		local laptop = s:client "laptop";
		laptop:send(join "Alice50");
		assert.same({
			"presence - room/Bob"; "presence - room/Alice50 110"; "message groupchat room subject:";
		}, seen(laptop));
	end);

	it("R2: may be over before a session that comes between has seen the new nick", function ()
		local s = scene.new();
		local phone, laptop = s:client "phone", s:client "laptop";
		s:enter(phone);
		local release = scene.hold_back(s.room);
		s.room:rename("Alice", "Alicia");
		release(1);
		laptop:send(join("Alice", { id = "j2" }));
		release();
		local got = seen(laptop);
		local last_presence;
		for _, line in ipairs(got) do
			if line:find "^presence %-" then last_presence = line:match "room/%S+"; end
		end
		assert.equal("room/Alicia", last_presence);
		assert.same({ "presence unavailable room/Alice 110 303"; "presence - room/Alicia 110" }, seen(phone));
	end);
end);

describe("a liar", function ()
	it("R2: gets nobody to believe a 110 that is not the account's", function ()
		local s, phone = in_room();
		s:from("Bob", "<presence>"..status "110".."</presence>");
		assert.same({ "presence - room/Bob 110" }, seen(phone));
		local laptop = s:client "laptop";
		laptop:send(join "Alice");
		local got = seen(laptop);
		assert.equal("presence - room/Alice 110", got[2]);
		assert.equal(3, #got);
		s:from("Bob", "<presence type='unavailable'>"..status("110 307").."</presence>");
		s.room:say("Bob", "still here");
		assert.equal("message groupchat room/Bob still here", seen(phone)[2]);
		assert.same({}, s:upstream());
	end);

	it("R2: has no nick changed for the account by a 303 of its own", function ()
		local s, phone = in_room();
		s:from("Bob", "<presence type='unavailable'>"..status("303 110", { nick = "Alice" }).."</presence>");
		s:from("Bob", "<presence type='unavailable'>"..status("303 110", { nick = "Eve" }).."</presence>");
		seen(phone);
		phone:send(scene.presence("Alice", { content = "<show>away</show>" }));
		assert.same({ "alice presence - room/Alice away" }, s:upstream());
		assert.same({ "presence - room/Alice 110 away" }, seen(phone));
	end);

	it("R5: changes its own room's state only", function ()
		local s, phone = in_room { room = { subject = "Tea" } };
		local den = s:add_room "den";
		s:enter(phone, "Alice", { room = "den" });
		s:from("den@rooms.example.org/Alice", "<presence type='unavailable'>"..status("110 301").."</presence>");
		assert.same({ "presence unavailable den/Alice 110 301" }, seen(phone));
		s:from("den@rooms.example.org/Bob", "<presence type='unavailable'/>");
		s.room:say("Bob", "hi");
		s:upstream(den);
		local laptop = s:client "laptop";
		laptop:send(join("Alice", no_history));
		assert.same({
			"presence - room/Bob"; "presence - room/Alice 110"; "message groupchat room subject:Tea";
		}, seen(laptop));
	end);

	it("R5: sets no subject in another room", function ()
		local s, phone = in_room { room = { subject = "Tea" } };
		s:add_room "den";
		s:enter(phone, "Alice", { room = "den" });
		s:from("den@rooms.example.org", "<message type='groupchat'><subject>Bears</subject></message>");
		s:from("room@elsewhere.example", "<message type='groupchat'><subject>Lies</subject></message>");
		seen(phone);
		phone:send(join "Alice");
		assert.equal("message groupchat room subject:Tea", seen(phone)[3]);
	end);

	it("R5: answers no join but the one to itself", function ()
		local s = scene.new { remote = true };
		local phone = s:client "phone";
		s:add_room("den", { silent = true });
		phone:send(join "Alice");
		phone:send(join("Alice", { room = "den" }));
		s:from("den@rooms.example.org/Alice", "<presence type='error' id='j1'>"..scene.error("auth", "forbidden").."</presence>");
		assert.same({ "presence error den/Alice auth forbidden" }, seen(phone));
		s:from("room@elsewhere.example/Alice", "<presence id='j1'>"..status "110".."</presence>");
		s:from("rooms.example.org", "<presence type='error' id='j1'>"..scene.error("auth", "forbidden").."</presence>");
		phone:take();
		s:deliver();
		assert.same({ "presence - room/Alice 110"; "message groupchat room subject:" }, seen(phone));
	end);

	it("R5: makes up an occupant for whom there is no room", function ()
		local s, phone = in_room();
		s:from("room@elsewhere.example/Alice", "<presence type='unavailable'>"..status "110 301".."</presence>");
		s:from("room@rooms.example.org.elsewhere.example/Alice", "<presence type='unavailable'>"..status "110 301".."</presence>");
		phone:take();
		s.room:say("Bob", "hi");
		assert.same({ "message groupchat room/Bob hi" }, seen(phone));
	end);

	it("R5: speaks to one account only", function ()
		local s, phone = in_room();
		local other = s:client("phone", "bob");
		s:enter(other, "Robert");
		seen(phone);
		s:from("Alice", "<presence type='unavailable'>"..status "110 301".."</presence>", s:occupant_jid "bob");
		s.room:say("Bob", "hi");
		assert.equal("message groupchat room/Bob hi", seen(phone)[1]);
		assert.same({ "presence unavailable room/Alice 110 301"; "message groupchat room/Bob hi" }, seen(other));
	end);

	it("R5: sends an error out of the blue, and is not heard", function ()
		local s, phone = in_room();
		local laptop = and_laptop(s);
		for _, name in ipairs { "Alice", "Bob", "room@rooms.example.org" } do
			for _, id in ipairs { "j1", "never" } do
				s:from(name, "<presence type='error' id='"..id.."'>"..scene.error("auth", "forbidden").."</presence>");
				s:from(name, "<message type='error' id='"..id.."'>"..scene.error("auth", "forbidden").."</message>");
			end
		end
		assert.same({}, seen(phone));
		assert.same({}, seen(laptop));
		s.room:say("Bob", "hi");
		assert.same({ "message groupchat room/Bob hi" }, seen(phone));
		assert.same({}, s:upstream());
	end);

	it("R5: asks to be a contact, and is none of ours", function ()
		local s = in_room();
		assert.is_false(s:from("Bob", "<presence type='subscribe'/>"));
	end);
end);

describe("the account lost", function ()
	local causes = {
		["the service stops"] = function (s) s.room:remove("Alice", "332"); end;
		["there is a technical problem"] = function (s) s.room:remove("Alice", "333"); end;
		["it is kicked for a technical problem"] = function (s) s.room:remove("Alice", "307", "333"); end;
	};

	for cause, lose in pairs(causes) do
		describe("because "..cause, function ()
			scene.everywhere(function (new_scene)
				it("R3: comes back by itself, and its sessions see none of it", function ()
					local s = new_scene { room = { subject = "Tea" } };
					s.room:enter "Bob";
					local phone, laptop = s:client "phone", s:client "laptop";
					s:enter(phone);
					s:enter(laptop);
					lose(s);
					s:wait(10);
					assert.same({ "alice presence - room/Alice join" }, s:upstream());
					assert.same({ "Alice" }, s:occupants());
					assert.same({}, seen(phone));
					s.room:say("Bob", "hi");
					assert.same({ "message groupchat room/Bob hi" }, seen(phone));
					assert.same({ "message groupchat room/Bob hi" }, seen(laptop));
				end);
			end);

			it("R3: comes back with its password", function ()
				local s = scene.new { room = { password = "secret" } };
				local phone = s:client "phone";
				s:enter(phone, "Alice", { muc = "<password>secret</password>" });
				lose(s);
				s:wait(10);
				assert.same({ "Alice" }, s:occupants());
			end);

			it("R3, R4: tells of it only when it gives up", function ()
				local s, phone = in_room();
				s.room.refuse = { "auth", "forbidden" };
				lose(s);
				s:wait(10);
				assert.same({ "presence unavailable room/Alice 110 333" }, seen(phone));
				s:wait(3600);
				assert.is_true(s:is_forgotten());
			end);
		end);
	end

	it("R3: sees who came, changed and went meanwhile", function ()
		local s, phone = in_room();
		s.room:enter "Carol";
		s.room:enter "Dave";
		seen(phone);
		s.room:remove("Alice", "332");
		s.room:leave "Carol";
		s.room:enter "Erin";
		s.room:update("Dave", scene.presence(nil, { content = "<show>away</show>" }));
		s:wait(10);
		local got = seen(phone);
		table.sort(got);
		assert.same({ "presence - room/Dave away"; "presence - room/Erin"; "presence unavailable room/Carol" }, got);
		local laptop = s:client "laptop";
		laptop:send(join "Alice");
		assert.equal(5, #seen(laptop));
	end);

	it("R3: comes back though no session is attached", function ()
		local s, phone = in_room();
		phone:close();
		s.room:remove("Alice", "332");
		s:wait(10);
		assert.same({ "Alice" }, s:occupants());
	end);

	it("R3: is out for long, of which sessions are told once", function ()
		local s, phone = in_room { remote = true };
		s.room:remove("Alice", "332");
		s.room.refuse = { "wait", "service-unavailable" };
		s:wait(7200);
		assert.same({ "presence unavailable room/Alice 110 333" }, seen(phone));
		s.room.refuse = nil;
		s:wait(1800);
		assert.same({ "Alice" }, s:occupants());
		s.room:say("Bob", "hi");
		assert.same({}, seen(phone));
		phone:send(join("Alice", no_history));
		local got = seen(phone);
		assert.equal("presence - room/Bob", got[1]);
		assert.matches("^presence %- room/Alice 110", got[2]);
	end);

	for _, condition in ipairs { "remote-server-not-found", "remote-server-timeout" } do
		it("R3, R4: is behind a link that is broken ("..condition.."), and patient", function ()
			local s, phone = in_room { remote = true };
			local laptop = s:client "laptop";
			s.room:remove("Alice", "332");
			s.room.refuse = { "cancel", condition };
			laptop:send(join("Alice", { id = "j2" }));
			s:wait(30);
			assert.same({}, seen(phone));
			local got = scene.take(laptop);
			assert.equal("error", got[1].attr.type);
			assert.equal("j2", got[1].attr.id);
			assert.equal("wait", (got[1]:get_error()));
			s.room.refuse = nil;
			s:wait(120);
			assert.same({ "Alice" }, s:occupants());
			s.room:say("Bob", "hi");
			assert.same({ "message groupchat room/Bob hi" }, seen(phone));
		end);
	end

	it("R3: tells a session that joins meanwhile to try later, if it must", function ()
		local s, phone = in_room { remote = true };
		s.room:remove("Alice", "332");
		s.room.refuse = { "wait", "service-unavailable" };
		local laptop = s:client "laptop";
		laptop:send(join("Alice", { id = "j2" }));
		s:wait(20);
		assert.equal("j2", laptop.inbox[1].attr.id);
		assert.equal("presence error room/Alice wait service-unavailable", seen(laptop)[1]);
		assert.same({}, seen(phone));
	end);

	it("R3: brings a session in that joins meanwhile", function ()
		local s, phone = in_room { remote = true };
		s.room:remove("Alice", "332");
		local laptop = s:client "laptop";
		laptop:send(join("Alice", { id = "j2" }));
		s:wait(20);
		assert.same({
			"presence - room/Bob"; "presence - room/Alice 110"; "message groupchat room subject:";
		}, seen(laptop));
		assert.same({}, seen(phone));
		assert.same({ "Alice" }, s:occupants());
	end);

	it("R3, J4: lets a session in under the nick it asks for, if the account's is taken", function ()
		local s, phone = in_room { remote = true };
		local laptop = s:client "laptop";
		s.room:remove("Alice", "332");
		for _, nick in ipairs { "Alice", "Alice_", "Alice__", "Alice___" } do
			s.room:enter(nick);
		end
		laptop:send(join("Zoe", { id = "j2" }));
		s:wait(30);
		local own;
		for _, stanza in ipairs(scene.take(laptop)) do
			own = own or stanza.attr.id == "j2" and stanza;
		end
		assert.equal("presence - room/Zoe 110", scene.line(own));
		local told;
		for _, line in ipairs(seen(phone)) do
			told = told or line == "presence - room/Zoe 110";
		end
		assert.is_true(told);
	end);

	it("R3: does not come back to a room that its last session leaves", function ()
		local s, phone = in_room { remote = true };
		s.room:remove("Alice", "332");
		phone:send(scene.leave("Alice", { id = "l1" }));
		s:wait(600);
		assert.same({ "presence unavailable room/Alice 110" }, seen(phone));
		assert.same({}, s:occupants());
		assert.is_true(s:is_forgotten());
	end);

	it("R3, L2: is left by one of its sessions meanwhile", function ()
		local s, phone = in_room { remote = true };
		local laptop = and_laptop(s);
		s.room:remove("Alice", "332");
		phone:send(scene.leave("Alice", { id = "l1" }));
		assert.same({ "presence unavailable room/Alice 110" }, seen(phone));
		s:wait(20);
		assert.same({ "Alice" }, s:occupants());
		s.room:say("Bob", "hi");
		assert.same({}, seen(phone));
		assert.same({ "message groupchat room/Bob hi" }, seen(laptop));
	end);

	it("R3, L1: loses its sessions meanwhile", function ()
		local s, phone = in_room { remote = true };
		s.room:remove("Alice", "332");
		phone:close();
		s:wait(20);
		assert.same({ "Alice" }, s:occupants());
	end);

	it("R3, C2: comes back with the presence it has by then", function ()
		local s, phone = in_room { remote = true };
		s.room:remove("Alice", "332");
		phone:send(scene.presence("Alice", { content = "<show>away</show>" }));
		s:wait(20);
		local alice = s.room:occupant "Alice";
		assert.equal("away", alice.presence:get_child_text "show");
		local got = seen(phone);
		assert.equal("presence - room/Alice 110 away", got[#got]);
	end);

	it("R3, C2: comes back under the nick that is asked for meanwhile, or says why not", function ()
		local s, phone = in_room { remote = true };
		s.room:remove("Alice", "332");
		phone:send(scene.presence("Alicia", { id = "n1" }));
		s:wait(20);
		local got = scene.take(phone);
		assert.is_true(#got > 0);
		assert.equal(1, #s:occupants());
		phone:send(scene.query("<ping xmlns='urn:xmpp:ping'/>", { to = s:occupants()[1] }));
		assert.equal("iq result room/"..s:occupants()[1], seen(phone)[1]);
	end);

	it("R3, C1: has what is said meanwhile come back with a word to try later", function ()
		local s, phone = in_room { remote = true };
		local laptop = and_laptop(s);
		s.room.refuse = { "wait", "service-unavailable" };
		s.room:remove("Alice", "332");
		phone:send(scene.message("hi", { id = "m7" }));
		s:wait(5);
		assert.equal("m7", phone.inbox[1].attr.id);
		assert.matches("^message error room wait", seen(phone)[1]);
		assert.same({}, seen(laptop));
	end);

	it("R3: finds its server gone behind a self-ping", function ()
		local s, phone = in_room();
		s.room:forget "Alice";
		s:wait(3600);
		assert.same({ "Alice" }, s:occupants());
		assert.same({}, seen(phone));
	end);
end);

describe("the module's own words", function ()
	local forbidden = { "301", "307", "321", "322" };

	local function assert_harmless(client)
		for _, stanza in ipairs(scene.take(client)) do
			local line = scene.line(stanza);
			for _, code in ipairs(forbidden) do
				assert.is_nil(line:find("%f[%d]"..code.."%f[%D]"), line);
			end
			assert.is_nil(stanza:find "{http://jabber.org/protocol/muc#user}x/destroy");
			if stanza.name == "presence" and stanza.attr.type == "error" then
				assert.equal("wait", (stanza:get_error()));
			end
		end
	end

	it("R4: never make a client drop the room, on leaving", function ()
		local s, phone = in_room();
		local laptop = and_laptop(s);
		phone:send(scene.leave "Alice");
		assert_harmless(phone);
		laptop:unavailable();
		assert_harmless(laptop);
	end);

	it("R4: never make a client drop the room, when it is silent", function ()
		local s = scene.new { remote = true, room = { silent = true } };
		local phone, laptop = s:client "phone", s:client "laptop";
		phone:send(join "Alice");
		laptop:send(join("Alice", { id = "j2" }));
		s:wait(7200);
		assert_harmless(phone);
		assert_harmless(laptop);
	end);

	it("R4: never make a client drop the room, when it is lost", function ()
		local s, phone = in_room { remote = true };
		local laptop = s:client "laptop";
		s.room:remove("Alice", "332");
		s.room.silent = true;
		laptop:send(join("Alice", { id = "j2" }));
		s:wait(7200);
		assert_harmless(phone);
		assert_harmless(laptop);
	end);

	it("R4: never make a client drop the room, when the module goes", function ()
		local s, phone = in_room();
		s.host:unload();
		assert_harmless(phone);
	end);

	it("R4: never make a client drop the room, when the account's nick is taken", function ()
		local s, phone = in_room { remote = true };
		local laptop = s:client "laptop";
		s.room:remove("Alice", "332");
		for _, nick in ipairs { "Alice", "Alice_", "Alice__", "Alice___", "Alice____" } do
			s.room:enter(nick);
		end
		laptop:send(join("Zoe", { id = "j2" }));
		s:wait(7200);
		assert_harmless(phone);
		assert_harmless(laptop);
	end);
end);

describe("an error", function ()
	scene.everywhere(function (new_scene)
		it("R6: of a client's making does not reach the room", function ()
			local s = new_scene();
			s.room:enter "Bob";
			local phone = s:client "phone";
			s:enter(phone);
			s.room:say("Bob", "hi");
			s.room:whisper("Bob", "Alice", "psst");
			seen(phone);
			for _, to in ipairs { "room@rooms.example.org/Bob", "room@rooms.example.org/Alice", "room@rooms.example.org" } do
				phone:send("<message type='error' id='e1' to='"..to.."'>"..scene.error("cancel", "service-unavailable").."</message>");
				phone:send("<presence type='error' id='e1' to='"..to.."'>"..scene.error("cancel", "service-unavailable").."</presence>");
			end
			s:deliver();
			assert.same({}, s:upstream());
			assert.same({ "Alice" }, s:occupants());
		end);

		it("R6: of the server's making does not reach the room when a session is lost", function ()
			local s = new_scene();
			s.room:enter "Bob";
			local phone, laptop = s:client "phone", s:client "laptop";
			s:enter(phone);
			s:enter(laptop);
			phone:hibernate();
			s.room:say("Bob", "hi");
			s.room:update "Bob";
			s.room:set_subject("Bob", "Tea");
			phone:expire();
			s:deliver();
			assert.same({}, s:upstream());
			assert.same({ "Alice" }, s:occupants());
		end);
	end);

	it("R6: does not say that a private message was lost which another session has got", function ()
		local s, phone = in_room();
		local laptop = and_laptop(s);
		phone:hibernate();
		s.room:whisper("Bob", "Alice", "psst");
		phone:expire();
		assert.same({ "message chat room/Bob psst" }, seen(laptop));
		assert.same({}, s:upstream());
	end);

	it("R6: does not reach the room when the last session is lost", function ()
		local s, phone = in_room();
		phone:hibernate();
		s.room:say("Bob", "hi");
		s.room:update "Bob";
		phone:expire();
		assert.same({}, s:upstream());
		assert.same({ "Alice" }, s:occupants());
	end);

	it("R6: does not reach the room that the account has left by then", function ()
		local s, phone = in_room();
		local laptop = and_laptop(s);
		phone:hibernate();
		s.room:say("Bob", "hi");
		laptop:lose();
		s.room:kick "Alice";
		phone:expire();
		assert.same({}, s:upstream());
	end);

	it("R6: of a session that has left the room does not throw out the account", function ()
		local s, phone = in_room { bounces = true };
		local laptop = and_laptop(s);
		s.room:say("Bob", "hi");
		laptop:send(scene.leave "Alice");
		laptop:send("<message type='error' id='e1' to='room@rooms.example.org/Bob'>"..scene.error("cancel", "service-unavailable").."</message>");
		laptop:send("<presence type='error' id='e1' to='room@rooms.example.org/Bob'>"..scene.error("cancel", "service-unavailable").."</presence>");
		assert.same({ "message groupchat room/Bob hi" }, seen(phone));
		assert.same({ "Alice" }, s:occupants());
	end);

	it("R6: does not reach the room that speaks to a session long gone", function ()
		local s, phone = in_room();
		phone:close();
		s.room:say("Bob", "hi");
		s.room:update "Bob";
		s.room:query("Bob", "Alice", st.stanza("ping", { xmlns = "urn:xmpp:ping" }));
		assert.same({ "alice iq result room/Bob" }, s:upstream());
	end);

	it("R6: on a link that breaks is not ours to swallow", function ()
		local s = in_room();
		local sent = scene.message "hi";
		sent.attr.from = "alice@example.org/minimix";
		assert.is_nil(s.host:fire("delivery/failure", { session = { type = "s2sout" }; stanza = sent }));
	end);

	it("R6: does not reach the room for a message to the account's resource there", function ()
		local s = scene.new();
		s.room:enter "Bob";
		local phone = s:client "phone";
		s:enter(phone);
		phone:close();
		s.room:say("Bob", "hi");
		s.room:set_subject("Bob", "Tea");
		assert.same({}, s.host.unhandled);
		assert.same({}, s:upstream());
	end);
end);
