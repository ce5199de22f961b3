-- R: messages and presence of a room, and the sessions that receive them.

local st = require "util.stanza";
local add_filter = require "util.filters".add_filter;
local scene = require "support.scene";

local join, seen, status = scene.join, scene.seen, scene.status;
local no_history = { muc = "<history maxstanzas='0'/>" };

local in_room = scene.in_room;

local function without_address(stanza)
	stanza.attr.to = nil;
	return stanza;
end

describe("messages and presence of a room", function ()
	scene.everywhere(function (new_scene)
		it("R1: each attached session gets each stanza once and in order, other sessions get nothing", function ()
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

	it("R1: a stanza is forked with all its payloads", function ()
		local s, phone = in_room();
		local laptop = s:enter_laptop();
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

	it("R1: the room's stanza-id comes first if the account has a mod_mam archive", function ()
		local s, phone = in_room { modules = { "mam" } };
		s.room:say("Bob", "hi");
		local message = scene.take(phone)[1];
		assert.equal("room@rooms.example.org", message:get_child("stanza-id", "urn:xmpp:sid:0").attr.by);
	end);

	it("R1: a stanza-id in the account's name is removed, and the room's is kept", function ()
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

	it("R1: a configuration change (104) reaches each attached session", function ()
		local s, phone = in_room();
		local laptop = s:enter_laptop();
		s:from(nil, "<message type='groupchat'><x xmlns='http://jabber.org/protocol/muc#user'><status code='104'/></x></message>");
		assert.same({ "message groupchat room 104" }, seen(phone));
		assert.same({ "message groupchat room 104" }, seen(laptop));
	end);

	it("R1: a voice request form reaches the attached sessions, and no other", function ()
		local s, phone = in_room();
		local laptop, stranger = s:enter_laptop(), s:client "stranger";
		s:from(nil, "<message><x xmlns='jabber:x:data' type='form'>"
			.."<field var='FORM_TYPE' type='hidden'><value>http://jabber.org/protocol/muc#request</value></field></x></message>");
		assert.same({ "message - room" }, seen(phone));
		assert.same({ "message - room" }, seen(laptop));
		assert.same({}, seen(stranger));
	end);

	it("R1: a message reaches the sessions of each account of this server that is in the room", function ()
		local s, phone = in_room();
		local robert = s:client("phone", "bob");
		s:enter(robert, "Robert");
		seen(phone);
		s.room:say("Bob", "hi");
		phone:send(scene.message "hello");
		assert.same({ "message groupchat room/Bob hi"; "message groupchat room/Alice hello" }, seen(phone));
		assert.same({ "message groupchat room/Bob hi"; "message groupchat room/Alice hello" }, seen(robert));
	end);

	it("R1: the room's stanza table is not changed, and later changes to it are not seen", function ()
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

	it("R1: the room's own presence reaches the attached sessions and later ones", function ()
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

	it("R1: a room's own presence before the occupants is forwarded in that order", function ()
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

	it("R1, R2: unavailable from the room itself is forked and does not end the membership", function ()
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

	it("R1: a message with subject and body or thread does not change the subject", function ()
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

	it("R1: stream and BOSH sessions get the same stanzas", function ()
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

	it("R1, J3: stream, filtered and BOSH sessions get the same presence, at the first join and from the cache", function ()
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

	it("R1: a session's stanza filter may drop or change a stanza for this session only", function ()
		local s, phone = in_room();
		local laptop, tablet = s:enter_laptop(), s:client "tablet";
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

	it("R1: a stanza filter may add to a stanza that is replayed", function ()
		local s = in_room();
		local laptop = s:client "laptop";
		add_filter(laptop.session, "stanzas/out", function (stanza) return stanza:text_tag("added", "yes"); end);
		laptop:send(join "Alice");
		s:deliver();
		for _, stanza in ipairs(scene.take(laptop)) do assert.equal("yes", stanza:get_child_text "added"); end
	end);

	it("R1: a stanza filter that fails during a replay does not stop later stanzas", function ()
		local s = in_room();
		local laptop = s:client "laptop";
		add_filter(laptop.session, "stanzas/out", function (stanza)
			assert(stanza.attr.from ~= s.room.jid.."/Bob" or stanza.name ~= "presence", "the filter fails");
			return stanza;
		end);
		laptop:send(join "Alice");
		s:deliver();
		s.host:expect_error "the filter fails";
		s:enter(s:client "tablet");
		seen(laptop);
		s.room:say("Bob", "hi");
		assert.same({ "message groupchat room/Bob hi" }, seen(laptop));
	end);

	it("R1: a session that breaks during a fork does not affect the other sessions", function ()
		local s, phone = in_room();
		local laptop, tablet = s:enter_laptop(), s:client "tablet";
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

	it("R1: stanzas for an account without sessions are not bounced", function ()
		local s, phone = in_room();
		phone:close();
		s.room:say("Bob", "hi");
		s.room:set_subject("Bob", "Tea");
		s.room:update "Bob";
		assert.same({}, s.host.unhandled);
		assert.same({}, s:upstream());
	end);
end);

describe("the account removed from the room", function ()
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
				it("R2: each session gets the removal, and the account does not rejoin", function ()
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

			it("R2: without attached sessions the membership ends as well", function ()
				local s, phone = in_room();
				phone:close();
				go(s.room);
				s:wait(3600);
				assert.same({}, s:upstream());
				assert.is_true(s:is_forgotten());
			end);

			it("R2: a session in hibernation gets the removal when it resumes", function ()
				local s, phone = in_room();
				phone:hibernate();
				go(s.room);
				phone:resume();
				assert.same({ farewell }, seen(phone));
			end);

			it("R2: a later join of a session goes to the room", function ()
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

			it("R2, C8: later messages of a session pass through from its own address", function ()
				local s, phone = in_room();
				go(s.room);
				seen(phone);
				phone:send(scene.message "am I in?");
				assert.same({ "alice/phone message groupchat room am I in?" }, s:upstream());
				assert.same({ "message error room modify not-acceptable" }, seen(phone));
			end);
		end);
	end

	it("R2: the removal is forked with actor and reason", function ()
		local s, phone = in_room();
		local laptop = s:enter_laptop();
		local kick = "<presence type='unavailable' from='room@rooms.example.org/Alice'>"
			.."<x xmlns='http://jabber.org/protocol/muc#user'><status code='307'/><status code='110'/>"
			.."<item affiliation='none' role='none'><actor nick='Bob'/><reason>because</reason></item></x></presence>";
		s:from("Alice", kick);
		for _, client in ipairs { phone, laptop } do
			assert.equal(s.host.xml(kick), s.host.xml(without_address(scene.take(client)[1])));
		end
	end);

	it("R2: unavailable with role none and without 110 ends the membership", function ()
		local s, phone = in_room();
		s:from("Alice", "<presence type='unavailable'>"..status("", { role = "none" }).."</presence>");
		assert.same({ "presence unavailable room/Alice" }, seen(phone));
		assert.is_true(s:is_forgotten());
	end);

	it("R2: unavailable without <x/> ends the membership", function ()
		local s, phone = in_room();
		s:from("Alice", "<presence type='unavailable'/>");
		assert.same({ "presence unavailable room/Alice" }, seen(phone));
		assert.is_true(s:is_forgotten());
	end);

	it("R2: a destroyed room's alternative address is forked, and the account does not join it", function ()
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

	it("R1, R2: presence that arrives after the removal reaches no session", function ()
		local s, phone = in_room();
		local stranger = s:client "stranger";
		s.room:kick "Alice";
		seen(phone);
		s:from("Bob", "<presence>"..status "".."</presence>");
		s:from("Bob", "<presence type='unavailable'>"..status "".."</presence>");
		assert.same({}, seen(phone));
		assert.same({}, seen(stranger));
	end);

	it("R2: a removal after the room's own unavailable ends the membership", function ()
		local s, phone = in_room();
		s:from(nil, "<presence type='unavailable'/>");
		s:from("Alice", "<presence type='unavailable'>"..status("110 307", { role = "none" }).."</presence>");
		assert.same({ "presence unavailable room"; "presence unavailable room/Alice 110 307" }, seen(phone));
		assert.is_true(s:is_forgotten());
	end);

	it("R2: a removal under a nick that the room gave unheard ends the membership", function ()
		local s, phone = in_room();
		s:from("Eve", "<presence type='unavailable'>"..status("110 307", { role = "none" }).."</presence>");
		assert.same({
			"presence unavailable room/Alice 110 303"; "presence - room/Eve 110"; "presence unavailable room/Eve 110 307";
		}, seen(phone));
		assert.is_true(s:is_forgotten());
	end);

	it("R2: a removal with the account's JID, without 110, under a nick that the room gave unheard ends the membership", function ()
		local s, phone = in_room();
		s:from("Eve", "<presence type='unavailable'>"..status("307", { role = "none"; jid = s:occupant_jid() }).."</presence>");
		assert.same({
			"presence unavailable room/Alice 110 303"; "presence - room/Eve 110"; "presence unavailable room/Eve 307";
		}, seen(phone));
		assert.is_true(s:is_forgotten());
	end);

	it("R2: a removal before the subject, under a nick that the room gave unheard, ends the membership", function ()
		local s = scene.new { remote = true };
		local phone = s:client "phone";
		local release, discard = scene.hold_back(s.room);
		phone:send(join "Alice");
		s:deliver();
		release(1);
		discard();
		phone:take();
		s:from("Eve", "<presence type='unavailable'>"..status("110 307", { role = "none" }).."</presence>");
		assert.same({
			"presence unavailable room/Alice 110 303"; "presence - room/Eve 110"; "presence unavailable room/Eve 110 307";
		}, seen(phone));
		assert.is_true(s:is_forgotten());
		s:wait(60);
		assert.same({}, seen(phone));
	end);

	for form, codes in pairs { ["with 110"] = "110 303"; ["without 110"] = "303" } do
		it("C2: a nick change with the account's JID from a nick that the room gave unheard is the account's, "..form, function ()
			local s, phone = in_room { remote = true };
			local send, lose = s.room.send, select(2, scene.hold_back(s.room));
			s.room:rename("Alice", "Eve");
			lose();
			function s.room.send(stanza)
				local x = stanza:get_child("x", "http://jabber.org/protocol/muc#user");
				if codes == "303" then x:maptags(function (tag) if tag.attr.code ~= "110" then return tag; end end); end
				send(stanza);
			end
			s.room:rename("Eve", "Anna");
			assert.same({
				"presence unavailable room/Alice 110 303"; "presence - room/Eve 110";
				"presence unavailable room/Eve "..codes; "presence - room/Anna"..(codes == "303" and "" or " 110");
			}, seen(phone));
			s.room:kick "Anna";
			assert.is_true(s:is_forgotten());
		end);
	end

	for _, codes in ipairs { "110 332"; "110 333"; "110 307 333" } do
		it("R3: a technical removal under a nick that the room gave unheard makes the account rejoin: "..codes, function ()
			local s, phone = in_room { remote = true };
			s.room:forget "Alice";
			s:from("Eve", "<presence type='unavailable'>"..status(codes, { role = "none" }).."</presence>");
			assert.same({ "presence unavailable room/Alice 110 303"; "presence - room/Eve 110" }, seen(phone));
			s:wait(10);
			assert.same({ "Eve" }, s:occupants());
			assert.same({}, seen(phone));
		end);
	end

	it("R3: a join under such a nick is answered after the rejoin", function ()
		local s, phone = in_room { remote = true };
		phone:send(join("Eve", { id = "j2" }));
		s.host:drop();
		s.room:forget "Alice";
		s:from("Eve", "<presence type='unavailable'>"..status("110 333", { role = "none" }).."</presence>");
		phone:take();
		s:wait(10);
		local got = scene.take(phone);
		assert.same({ "presence - room/Bob"; "presence - room/Eve 110"; "message groupchat room subject:" }, scene.lines(got));
		assert.equal("j2", got[2].attr.id);
	end);

	describe("while the room answers a join of an account that is in,", function ()
		-- The room admits the session, sends `count` stanzas of its answer, and then removes the account.
		local function removed(count, codes)
			local s, phone = in_room { remote = true };
			local laptop = s:client "laptop";
			laptop:send(join("Alice", { id = "j2"; muc = "<mav xmlns='urn:xmpp:muc:affiliations:1'/>" }));
			local release, discard = scene.hold_back(s.room);
			s:deliver();
			release(count);
			discard();
			s.room:remove("Alice", codes);
			s:wait(30);
			return s, phone, laptop;
		end

		it("R2: a removal before the subject ends the membership", function ()
			local s, phone, laptop = removed(2, "307");
			assert.same({ "presence unavailable room/Alice 110 307" }, seen(phone));
			assert.same({
				"presence - room/Bob"; "presence - room/Alice 110"; "presence unavailable room/Alice 110 307";
			}, seen(laptop));
			assert.same({}, s:occupants());
			assert.is_true(s:is_forgotten());
		end);

		it("R3: a technical removal before the subject makes the account rejoin once", function ()
			local s, _, laptop = removed(2, "332");
			assert.same({
				"presence - room/Bob"; "presence - room/Alice 110"; "message groupchat room subject:";
			}, seen(laptop));
			assert.same({ "Alice" }, s:occupants());
		end);
	end);

	it("R2: a nick change in the queue of a session ends with the removal", function ()
		local s, phone, laptop = scene.two_devices { remote = true };
		local tablet = s:client "tablet";
		phone:send(scene.presence("Alicia", { id = "n1" }));
		tablet:send(join("Ally", { id = "j2", muc = "<mav xmlns='urn:xmpp:muc:affiliations:1'/>" }));
		laptop:send(scene.presence("Al", { id = "n2" }));
		s.room:destroy();
		s:wait(30);
		assert.same({ "Ally" }, s:occupants());
		local lines = seen(laptop);
		assert.truthy(lines[1]:find "presence unavailable room/Alice 110");
		assert.same({ "presence error room/Al modify not-acceptable" }, { table.unpack(lines, 2) });
	end);

	for _, ending in ipairs { "removal"; "loss and a refused rejoin" } do
		it("R2, J10: nick changes without an answer get an error after a "..ending, function ()
			local s, phone = scene.two_devices { remote = true };
			if ending ~= "removal" then
				s.room:remove("Alice", "333");
				s.room.members["alice@example.org"] = "outcast";
			end
			phone:send(scene.presence("Alicia", { id = "n1" }));
			phone:send(scene.presence("Al", { id = "n2" }));
			if ending == "removal" then s.room:kick "Alice"; end
			s:wait(60);
			local got = scene.take(phone);
			assert.truthy(scene.line(got[1]):find "presence unavailable room/Alice 110");
			assert.same({
				"presence error room/Alicia modify not-acceptable"; "presence error room/Al modify not-acceptable";
			}, { table.unpack(scene.lines(got), 2) });
			assert.equal("n1", got[2].attr.id);
			assert.is_true(s:is_forgotten());
		end);
	end

	it("R2: a removal before the end of a join ends the join", function ()
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

	it("R2: after a removal during a join, the next waiting session makes its own attempt", function ()
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
		it("R2: a nick change of the account reaches each session, and the new nick is used", function ()
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

	it("R1: another occupant's nick change reaches each session, and the cache has the new nick only", function ()
		local s, phone = in_room();
		s.room:rename("Bob", "Bert");
		assert.same({ "presence unavailable room/Bob 303"; "presence - room/Bert" }, seen(phone));
		local laptop = s:client "laptop";
		laptop:send(join "Alice");
		assert.equal("presence - room/Bert", seen(laptop)[1]);
	end);

	it("R2: a nick change of the account is accepted without 110", function ()
		local s, phone = in_room();
		s:from("Alice", "<presence type='unavailable'>"..status("303", { nick = "Alicia" }).."</presence>");
		s:from("Alicia", "<presence>"..status "".."</presence>");
		assert.same({ "presence unavailable room/Alice 303"; "presence - room/Alicia" }, seen(phone));
		local laptop = s:client "laptop";
		laptop:send(join "Alicia");
		assert.equal("presence - room/Alicia 110", seen(laptop)[2]);
	end);

	it("R2: status 303 without a nick ends the membership", function ()
		local s, phone = in_room();
		s:from("Alice", "<presence type='unavailable'>"..status("110 303").."</presence>");
		assert.same({ "presence unavailable room/Alice 110 303" }, seen(phone));
		assert.is_true(s:is_forgotten());
	end);

	it("R2: 50 nick changes by the room are followed", function ()
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

	it("R2: a session that joins during a nick change ends with the new nick", function ()
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

describe("a lying room or service", function ()
	it("R2: status 110 on another occupant's presence is forked and not used", function ()
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

	it("R2: status 303 on another occupant's presence does not change the account's nick", function ()
		local s, phone = in_room();
		s:from("Bob", "<presence type='unavailable'>"..status("303 110", { nick = "Alice" }).."</presence>");
		s:from("Bob", "<presence type='unavailable'>"..status("303 110", { nick = "Eve" }).."</presence>");
		seen(phone);
		phone:send(scene.presence("Alice", { content = "<show>away</show>" }));
		assert.same({ "alice presence - room/Alice away" }, s:upstream());
		assert.same({ "presence - room/Alice 110 away" }, seen(phone));
	end);

	it("R5: a room's presence changes the membership of that room only", function ()
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

	it("R5: a room's subject does not change the subject of another room", function ()
		local s, phone = in_room { room = { subject = "Tea" } };
		s:add_room "den";
		s:enter(phone, "Alice", { room = "den" });
		s:from("den@rooms.example.org", "<message type='groupchat'><subject>Bears</subject></message>");
		s:from("room@elsewhere.example", "<message type='groupchat'><subject>Lies</subject></message>");
		seen(phone);
		phone:send(join "Alice");
		assert.equal("message groupchat room subject:Tea", seen(phone)[3]);
	end);

	it("R5: an error or presence with the id of another room's join does not answer that join", function ()
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

	it("R5: presence from a room that the account is not in has no effect", function ()
		local s, phone = in_room();
		s:from("room@elsewhere.example/Alice", "<presence type='unavailable'>"..status "110 301".."</presence>");
		s:from("room@rooms.example.org.elsewhere.example/Alice", "<presence type='unavailable'>"..status "110 301".."</presence>");
		phone:take();
		s.room:say("Bob", "hi");
		assert.same({ "message groupchat room/Bob hi" }, seen(phone));
	end);

	it("R5: a stanza to one account does not change the membership of another", function ()
		local s, phone = in_room();
		local other = s:client("phone", "bob");
		s:enter(other, "Robert");
		seen(phone);
		s:from("Alice", "<presence type='unavailable'>"..status "110 301".."</presence>", s:occupant_jid "bob");
		s.room:say("Bob", "hi");
		assert.equal("message groupchat room/Bob hi", seen(phone)[1]);
		assert.same({ "presence unavailable room/Alice 110 301"; "message groupchat room/Bob hi" }, seen(other));
	end);

	it("R5: an error that answers nothing is dropped", function ()
		local s, phone = in_room();
		local laptop = s:enter_laptop();
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

	it("R5: a subscription request is left to Prosody", function ()
		local s = in_room();
		assert.is_false(s:from("Bob", "<presence type='subscribe'/>"));
	end);
end);

describe("the lost account", function ()
	local causes = {
		["the service stops"] = function (s) s.room:remove("Alice", "332"); end;
		["there is a technical problem"] = function (s) s.room:remove("Alice", "333"); end;
		["it is kicked for a technical problem"] = function (s) s.room:remove("Alice", "307", "333"); end;
	};

	for cause, lose in pairs(causes) do
		describe("lost because "..cause, function ()
			scene.everywhere(function (new_scene)
				it("R3: the account rejoins, and its sessions get nothing", function ()
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

			it("R3: the account rejoins with its password", function ()
				local s = scene.new { room = { password = "secret" } };
				local phone = s:client "phone";
				s:enter(phone, "Alice", { muc = "<password>secret</password>" });
				lose(s);
				s:wait(10);
				assert.same({ "Alice" }, s:occupants());
			end);

			it("R3, R4: the sessions get status 333 when the room refuses the rejoin", function ()
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

	it("R3: after a rejoin the sessions get the changes of the occupants since", function ()
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

	it("R3: the account rejoins without attached sessions", function ()
		local s, phone = in_room();
		phone:close();
		s.room:remove("Alice", "332");
		s:wait(10);
		assert.same({ "Alice" }, s:occupants());
	end);

	it("R3: in a long outage the sessions get status 333 once, and can join again later", function ()
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
		it("R3, R4: an unreachable room ("..condition..") is retried, and a joining session gets an error of type wait", function ()
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

	it("R3: a session that joins during the outage gets the room's wait error with its id", function ()
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

	it("R3: a session that joins before the rejoin is attached by it", function ()
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

	it("R3, J4: if the account's nick is taken, a session's join with another nick admits the account", function ()
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

	it("R3: the account does not rejoin after its last session has left", function ()
		local s, phone = in_room { remote = true };
		s.room:remove("Alice", "332");
		phone:send(scene.leave("Alice", { id = "l1" }));
		s:wait(600);
		assert.same({ "presence unavailable room/Alice 110" }, seen(phone));
		assert.same({}, s:occupants());
		assert.is_true(s:is_forgotten());
	end);

	it("R3, L2: a session that leaves during the outage is detached, and the account rejoins for the others", function ()
		local s, phone = in_room { remote = true };
		local laptop = s:enter_laptop();
		s.room:remove("Alice", "332");
		phone:send(scene.leave("Alice", { id = "l1" }));
		assert.same({ "presence unavailable room/Alice 110" }, seen(phone));
		s:wait(20);
		assert.same({ "Alice" }, s:occupants());
		s.room:say("Bob", "hi");
		assert.same({}, seen(phone));
		assert.same({ "message groupchat room/Bob hi" }, seen(laptop));
	end);

	it("R3, L1: the account rejoins after its sessions have ended during the outage", function ()
		local s, phone = in_room { remote = true };
		s.room:remove("Alice", "332");
		phone:close();
		s:wait(20);
		assert.same({ "Alice" }, s:occupants());
	end);

	it("R3, C2: the rejoin shows the presence that a session has sent meanwhile", function ()
		local s, phone = in_room { remote = true };
		s.room:remove("Alice", "332");
		phone:send(scene.presence("Alice", { content = "<show>away</show>" }));
		s:wait(20);
		local alice = s.room:occupant "Alice";
		assert.equal("away", alice.presence:get_child_text "show");
		local got = seen(phone);
		assert.equal("presence - room/Alice 110 away", got[#got]);
	end);

	it("R3, C2: a nick change during the outage is answered, and the account rejoins once", function ()
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

	it("R3, C1: a message during the outage returns to its sender with an error of type wait", function ()
		local s, phone = in_room { remote = true };
		local laptop = s:enter_laptop();
		s.room.refuse = { "wait", "service-unavailable" };
		s.room:remove("Alice", "332");
		phone:send(scene.message("hi", { id = "m7" }));
		s:wait(5);
		assert.equal("m7", phone.inbox[1].attr.id);
		assert.matches("^message error room wait", seen(phone)[1]);
		assert.same({}, seen(laptop));
	end);

	it("R3: the self-ping finds that the room has lost the account, which then rejoins", function ()
		local s, phone = in_room();
		s.room:forget "Alice";
		s:wait(3600);
		assert.same({ "Alice" }, s:occupants());
		assert.same({}, seen(phone));
	end);
end);

describe("stanzas that the module creates", function ()
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

	it("R4: no forbidden status or error when a session leaves", function ()
		local s, phone = in_room();
		local laptop = s:enter_laptop();
		phone:send(scene.leave "Alice");
		assert_harmless(phone);
		laptop:unavailable();
		assert_harmless(laptop);
	end);

	it("R4: no forbidden status or error when the room does not answer", function ()
		local s = scene.new { remote = true, room = { silent = true } };
		local phone, laptop = s:client "phone", s:client "laptop";
		phone:send(join "Alice");
		laptop:send(join("Alice", { id = "j2" }));
		s:wait(7200);
		assert_harmless(phone);
		assert_harmless(laptop);
	end);

	it("R4: no forbidden status or error while the account is lost", function ()
		local s, phone = in_room { remote = true };
		local laptop = s:client "laptop";
		s.room:remove("Alice", "332");
		s.room.silent = true;
		laptop:send(join("Alice", { id = "j2" }));
		s:wait(7200);
		assert_harmless(phone);
		assert_harmless(laptop);
	end);

	it("R4: no forbidden status or error when the module is unloaded", function ()
		local s, phone = in_room();
		s.host:unload();
		assert_harmless(phone);
	end);

	it("R4: no forbidden status or error when the account's nick is taken", function ()
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
		it("R6: an error of a client does not reach the room", function ()
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

		it("R6: an error for a lost session does not reach the room", function ()
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

	it("R6: no error for a private message that another session has received", function ()
		local s, phone = in_room();
		local laptop = s:enter_laptop();
		phone:hibernate();
		s.room:whisper("Bob", "Alice", "psst");
		phone:expire();
		assert.same({ "message chat room/Bob psst" }, seen(laptop));
		assert.same({}, s:upstream());
	end);

	it("R6: an error for the last lost session does not reach the room", function ()
		local s, phone = in_room();
		phone:hibernate();
		s.room:say("Bob", "hi");
		s.room:update "Bob";
		phone:expire();
		assert.same({}, s:upstream());
		assert.same({ "Alice" }, s:occupants());
	end);

	it("R6: an error does not reach a room that the account is no longer in", function ()
		local s, phone = in_room();
		local laptop = s:enter_laptop();
		phone:hibernate();
		s.room:say("Bob", "hi");
		laptop:lose();
		s.room:kick "Alice";
		phone:expire();
		assert.same({}, s:upstream());
	end);

	it("R6: an error of a session that has left the room does not remove the account", function ()
		local s, phone = in_room { bounces = true };
		local laptop = s:enter_laptop();
		s.room:say("Bob", "hi");
		laptop:send(scene.leave "Alice");
		laptop:send("<message type='error' id='e1' to='room@rooms.example.org/Bob'>"..scene.error("cancel", "service-unavailable").."</message>");
		laptop:send("<presence type='error' id='e1' to='room@rooms.example.org/Bob'>"..scene.error("cancel", "service-unavailable").."</presence>");
		assert.same({ "message groupchat room/Bob hi" }, seen(phone));
		assert.same({ "Alice" }, s:occupants());
	end);

	it("R6: stanzas for an account without sessions cause no error, and IQs are answered", function ()
		local s, phone = in_room();
		phone:close();
		s.room:say("Bob", "hi");
		s.room:update "Bob";
		s.room:query("Bob", "Alice", st.stanza("ping", { xmlns = "urn:xmpp:ping" }));
		assert.same({ "alice iq result room/Bob" }, s:upstream());
	end);

	it("R6: a delivery failure on the account's outgoing link is left to Prosody", function ()
		local s = in_room();
		local sent = scene.message "hi";
		sent.attr.from = "alice@example.org/minimix";
		assert.is_nil(s.host:fire("delivery/failure", { session = { type = "s2sout" }; stanza = sent }));
	end);

	it("R6: a message to the occupant JID without sessions causes no error", function ()
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
