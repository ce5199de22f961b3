-- J: sessions join rooms.

local scene = require "support.scene";

local join, seen, status = scene.join, scene.seen, scene.status;
local mav = "<mav xmlns='urn:xmpp:muc:affiliations:1'/>";

-- Returns a scene with the first join in flight to a room that has not answered.
local function joining(fields)
	fields = fields or {};
	fields.remote = true;
	local s = scene.new(fields);
	local phone = s:client "phone";
	phone:send(join("Alice", fields.join));
	return s, phone;
end

-- Returns a room that loses every stanza, also those sent before.
local function fall_silent(s)
	s.host:drop();
	s.room.silent = true;
end

describe("the first session to join", function ()
	scene.everywhere(function (new_scene)
		it("J1: attaches, and receives everything in the room's own order", function ()
			local s = new_scene { room = { subject = "Tea" } };
			local phone = s:client "phone";
			s.room:enter "Bob";
			s.room:say("Bob", "early");
			phone:send(join "Alice");
			s:deliver();
			assert.same({ "alice presence - room/Alice join" }, s:upstream());
			assert.same({
				"presence - room/Bob";
				"presence - room/Alice 110";
				"message groupchat room/Bob early";
				"message groupchat room subject:Tea";
			}, seen(phone));
			assert.same({}, s.host.unhandled);
		end);

		it("J4: gets the room's refusal with its own id, and nothing is left behind", function ()
			local s = new_scene { room = { password = "secret" } };
			local phone = s:client "phone";
			phone:send(join("Alice", { id = "try" }));
			s:deliver();
			assert.equal("try", phone.inbox[1].attr.id);
			assert.same({ "presence error room/Alice auth not-authorized" }, seen(phone));
			assert.is_true(s:is_forgotten());
		end);

		it("J4: may try again", function ()
			local s = new_scene { room = { password = "secret" } };
			local phone = s:client "phone";
			phone:send(join "Alice");
			s:deliver();
			phone:send(join("Alice", { muc = "<password>secret</password>" }));
			s:deliver();
			assert.same({
				"presence error room/Alice auth not-authorized";
				"presence - room/Alice 110";
				"message groupchat room subject:";
			}, seen(phone));
			assert.same({ "Alice" }, s:occupants());
		end);
	end);

	it("J1: has its join forwarded with its payload", function ()
		local s = scene.new();
		local phone = s:client "phone";
		phone:send(join("Alice", {
			id = "j7";
			muc = "<password>secret</password><history maxstanzas='5'/>";
			content = "<show>away</show><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='n' ver='v'/>";
		}));
		local arrived = s:arrived();
		assert.equal(1, #arrived);
		assert.equal(
			"<presence from='alice@example.org/minimix' id='j7' to='room@rooms.example.org/Alice'><show>away</show>"
				.."<c hash='sha-1' node='n' ver='v' xmlns='http://jabber.org/protocol/caps'/>"
				.."<x xmlns='http://jabber.org/protocol/muc'><password>secret</password><history maxstanzas='5'/></x></presence>",
			s.host.xml(arrived[1])
		);
	end);

	it("J1: gets the room's presence and answers unchanged, with the id of the join", function ()
		local s, phone = joining { room = { silent = true }, join = { id = "j7" } };
		s:deliver();
		s:from("Alice", "<presence id='j7' xml:lang='en'><hats xmlns='urn:xmpp:hats:0'/>"..status "100 110 170 999".."</presence>");
		s:from(nil, "<message type='groupchat' id='s1'><subject>Tea</subject><delay xmlns='urn:xmpp:delay' stamp='2020-01-01T00:00:00Z'/></message>");
		local got = scene.take(phone);
		assert.equal(
			s.host.xml("<presence id='j7' xml:lang='en' from='room@rooms.example.org/Alice' to='alice@example.org/phone'>"
				.."<hats xmlns='urn:xmpp:hats:0'/>"..status "100 110 170 999".."</presence>"),
			s.host.xml(got[1])
		);
		assert.equal("s1", got[2].attr.id);
		assert.is_not_nil(got[2]:get_child("delay", "urn:xmpp:delay"));
		assert.equal(2, #got);
	end);

	it("J1: has the nick that the room assigns", function ()
		local s, phone = joining { room = { silent = true } };
		local laptop = s:client "laptop";
		s:deliver();
		s:from("Alice-2", "<presence>"..status "110 210".."</presence>");
		s:from(nil, "<message type='groupchat'><subject/></message>");
		assert.same({ "presence - room/Alice-2 110 210"; "message groupchat room subject:" }, seen(phone));
		laptop:send(join "Alice-2");
		assert.same({ "presence - room/Alice-2 110"; "message groupchat room subject:" }, seen(laptop));
		local tablet = s:client "tablet";
		tablet:send(join "Alice");
		assert.equal("presence - room/Alice-2 110 210", seen(tablet)[1]);
	end);

	it("J1: receives no stanzas that the room sent before its join", function ()
		local s, phone = joining { room = { silent = true } };
		s:deliver();
		for _, nick in ipairs { "Bob", "Carol" } do
			s:from(nick, "<presence>"..status "".."</presence>");
		end
		s:from("Bob", "<presence type='unavailable'>"..status("", { role = "none" }).."</presence>");
		s:from("Carol", "<presence><show>away</show>"..status "".."</presence>");
		s:from("Alice", "<presence>"..status "110".."</presence>");
		local there = {};
		for _, line in ipairs(seen(phone)) do
			there[line:match "room/%S+"] = line;
		end
		assert.is_true(there["room/Bob"] == nil or there["room/Bob"] == "presence unavailable room/Bob");
		assert.equal("presence - room/Carol away", there["room/Carol"]);
		assert.equal("presence - room/Alice 110", there["room/Alice"]);
	end);

	it("J1: is attached although the room does not send 110", function ()
		local s, phone = joining { room = { silent = true } };
		s:deliver();
		s:from("Alice", "<presence>"..status "".."</presence>");
		s:from(nil, "<message type='groupchat'><subject/></message>");
		assert.same({ "presence - room/Alice"; "message groupchat room subject:" }, seen(phone));
		local laptop = s:client "laptop";
		laptop:send(join "Alice");
		assert.same({ "presence - room/Alice 110"; "message groupchat room subject:" }, seen(laptop));
	end);

	it("J1: is attached after a delay although the room sends neither 110 nor a subject", function ()
		local s, phone = joining();
		fall_silent(s);
		s:from("Bob", "<presence/>");
		s:from("Alice", "<presence/>");
		assert.same({}, seen(phone));
		s:wait(11);
		assert.same({ "presence - room/Bob"; "presence - room/Alice" }, seen(phone));
		s:wait(11);
		phone:send(scene.message "hi");
		assert.same({ "message groupchat room subject:" }, seen(phone));
		assert.is_false(s:is_forgotten());
	end);

	it("J1: does not treat another occupant as itself in the answer to an earlier join", function ()
		local s, phone = joining();
		fall_silent(s);
		s:from("Alice", "<presence>"..status().."</presence>");
		s:from("Al", "<presence id='earlier'>"..status("110").."</presence>");
		assert.same({ "presence - room/Alice"; "presence - room/Al 110" }, seen(phone));
		s:from("Al", "<presence type='unavailable'>"..status("110", { role = "none" }).."</presence>");
		s:from("Alice", "<presence type='error' id='j1'>"..scene.error("cancel", "conflict").."</presence>");
		assert.same({ "presence unavailable room/Al 110" }, seen(phone));
		assert.is_true(s:is_forgotten());
	end);

	it("J1: does not treat another account of this server as itself, in a room that is silent", function ()
		local s = scene.new { remote = true };
		s:enter(s:client("phone", "carol"), "Alice");
		local phone = s:client "phone";
		phone:send(join("Alice", { id = "j2" }));
		s.room.silent = true;
		s:deliver();
		s:from("Alice", "<presence>"..status "".."</presence>");
		s:wait(15);
		assert.same({}, seen(phone));
		s:wait(60);
		assert.same({ "presence error room/Alice wait remote-server-timeout" }, seen(phone));
	end);

	it("J1: joins several rooms at once", function ()
		local s, phone = joining();
		local den = s:add_room("den", { password = "secret" });
		phone:send(join("Grizzly", { id = "j2", room = "den" }));
		s:deliver();
		assert.same({
			"presence - room/Alice 110"; "message groupchat room subject:"; "presence error den/Grizzly auth not-authorized";
		}, seen(phone));
		assert.same({}, s:occupants(den));
	end);

	it("J1: receives each stanza from the right room", function ()
		local s = scene.new { room = { subject = "Tea" } };
		local den = s:add_room("den", { subject = "Bears" });
		local phone = s:client "phone";
		s:enter(phone, "Alice");
		phone:send(join("Grizzly", { room = "den" }));
		assert.same({ "presence - den/Grizzly 110"; "message groupchat den subject:Bears" }, seen(phone));
		assert.same({}, s:upstream());
		assert.same({ "alice presence - den/Grizzly join" }, s:upstream(den));
	end);

	it("J1: is one of several accounts in the room", function ()
		local s = scene.new();
		local alice, bob = s:client "phone", s:client("phone", "bob");
		alice:send(join "Alice");
		bob:send(join "Bob");
		assert.same({
			"presence - room/Alice 110"; "message groupchat room subject:"; "presence - room/Bob";
		}, seen(alice));
		assert.same({
			"presence - room/Alice"; "presence - room/Bob 110"; "message groupchat room subject:";
		}, seen(bob));
		assert.same({ "Alice", "Bob" }, s:occupants());
	end);

	it("J1: may be a new session that binds the resource of the occupant JID", function ()
		local s = scene.new();
		local client = s:client "minimix";
		assert.not_equal("minimix", client.resource);
		client:send(join "Alice");
		assert.same({ "presence - room/Alice 110"; "message groupchat room subject:" }, seen(client));
	end);
end);

describe("a session that joins a room that the account is in", function ()
	scene.everywhere(function (new_scene)
		it("J2: gets the replay at once: others, own presence last, subject", function ()
			local s = new_scene { room = { subject = "Tea", whois = "anyone" } };
			local phone, laptop = s:client "phone", s:client "laptop";
			s.room:enter "Bob";
			s.room:enter "Carol";
			s:enter(phone);
			laptop:send(join("Alice", { id = "j2" }));
			local got = scene.take(laptop);
			local others = { scene.line(got[1]), scene.line(got[2]) };
			table.sort(others);
			assert.same({ "presence - room/Bob"; "presence - room/Carol" }, others);
			assert.equal("presence - room/Alice 100 110", scene.line(got[3]));
			assert.equal("j2", got[3].attr.id);
			assert.equal("message groupchat room subject:Tea", scene.line(got[4]));
			assert.equal(4, #got);
			s:deliver();
			assert.same({}, s:upstream());
			assert.same({}, seen(phone));
			assert.same({}, seen(laptop));
		end);

		it("J3: attaches under the account's nick, with 210, if it asks for another", function ()
			local s = new_scene();
			local phone, laptop = s:client "phone", s:client "laptop";
			s.room:enter "Bob";
			s:enter(phone);
			laptop:send(join("Bob", { id = "j2" }));
			assert.equal("j2", laptop.inbox[2].attr.id);
			assert.same({
				"presence - room/Bob"; "presence - room/Alice 110 210"; "message groupchat room subject:";
			}, seen(laptop));
			s:deliver();
			assert.same({}, s:upstream());
			assert.same({}, seen(phone));
		end);
	end);

	it("J2: gets the id of its join in its own presence only", function ()
		local s = scene.new();
		local phone, laptop = s:client "phone", s:client "laptop";
		s.room:enter("Bob", { presence = scene.presence(nil, { id = "bob1" }) });
		s:enter(phone);
		laptop:send(join("Alice", { id = "j2" }));
		local got = scene.take(laptop);
		assert.equal("bob1", got[1].attr.id);
		assert.equal("j2", got[2].attr.id);
		assert.not_equal("j2", got[3].attr.id);
	end);

	it("J2, H2: gets history before the subject, with delays", function ()
		local s = scene.new { room = { subject = "Tea" } };
		local phone, laptop = s:client "phone", s:client "laptop";
		s.room:enter "Bob";
		s:enter(phone);
		s.room:say("Bob", "one");
		phone:send(scene.message "two");
		laptop:send(join("Alice", { id = "j2" }));
		local got = scene.take(laptop);
		assert.same({
			"presence - room/Bob";
			"presence - room/Alice 110";
			"message groupchat room/Bob one";
			"message groupchat room/Alice two";
			"message groupchat room subject:Tea";
		}, scene.lines(got));
		for i = 3, 4 do
			assert.equal("room@rooms.example.org", got[i]:get_child("delay", "urn:xmpp:delay").attr.from);
		end
	end);

	it("J2: gets no id if it sent none", function ()
		local s = scene.new();
		local phone, laptop = s:client "phone", s:client "laptop";
		s:enter(phone);
		laptop:send("<presence to='room@rooms.example.org/Alice'>"..scene.x().."</presence>");
		assert.is_nil(scene.take(laptop)[1].attr.id);
	end);

	it("J2: gets 201 only if it is the creator", function ()
		local s = scene.new { room = { creates = true } };
		local phone, laptop = s:client "phone", s:client "laptop";
		phone:send(join "Alice");
		assert.equal("presence - room/Alice 110 201", seen(phone)[1]);
		laptop:send(join "Alice");
		assert.equal("presence - room/Alice 110", seen(laptop)[1]);
	end);

	it("J2: gets the current state of the room", function ()
		local s = scene.new();
		local phone, laptop = s:client "phone", s:client "laptop";
		s.room:enter "Bob";
		s.room:enter "Carol";
		s.room:enter "Dave";
		s:enter(phone);
		s.room:update("Bob", scene.presence(nil, { content = "<show>away</show>" }));
		s.room:leave "Carol";
		s.room:rename("Dave", "David");
		s.room:set_role("Alice", "moderator", "admin");
		s.room:set_subject("Bob", "Coffee");
		laptop:send(join "Alice");
		local got = scene.take(laptop);
		local others = { scene.line(got[1]), scene.line(got[2]) };
		table.sort(others);
		assert.same({ "presence - room/Bob away"; "presence - room/David" }, others);
		local item = got[3]:find "{http://jabber.org/protocol/muc#user}x/item";
		assert.equal("moderator", item.attr.role);
		assert.equal("admin", item.attr.affiliation);
		assert.equal("message groupchat room/Bob subject:Coffee", scene.line(got[4]));
		assert.equal(4, #got);
	end);

	it("J2: gets other occupants' presence as the room sent it", function ()
		local s = scene.new { room = { occupant_ids = true } };
		local phone, laptop = s:client "phone", s:client "laptop";
		s.room:enter("Bob", { affiliation = "owner", presence = scene.presence(nil, {
			content = "<status>brb</status><hats xmlns='urn:xmpp:hats:0'><hat title='T' uri='u'/></hats>";
		}) });
		phone:send(join "Alice");
		laptop:send(join "Alice");
		local first, second = scene.take(phone)[1], scene.take(laptop)[1];
		first.attr.to, second.attr.to = nil, nil;
		assert.equal(s.host.xml(first), s.host.xml(second));
	end);

	it("J2: gets the current configuration of the room", function ()
		local s = scene.new { room = { whois = "anyone" } };
		local phone, laptop = s:client "phone", s:client "laptop";
		s:enter(phone);
		s:from(nil, "<message type='groupchat'><x xmlns='http://jabber.org/protocol/muc#user'><status code='170'/></x></message>");
		laptop:send(join "Alice");
		assert.equal("presence - room/Alice 100 110 170", seen(laptop)[1]);
		for _, code in ipairs { "173", "174" } do
			s.room.whois = nil;
			s:from(nil, "<message type='groupchat'><x xmlns='http://jabber.org/protocol/muc#user'><status code='171'/><status code='"..code.."'/></x></message>");
			laptop:send(join "Alice");
			assert.equal("presence - room/Alice 110", seen(laptop)[2]);
			s.room.whois = "anyone";
			s:from(nil, "<message type='groupchat'><x xmlns='http://jabber.org/protocol/muc#user'><status code='172'/></x></message>");
			laptop:send(join "Alice");
			assert.equal("presence - room/Alice 100 110", seen(laptop)[2]);
		end
	end);

	it("J2, J6: sees real JIDs as soon as the room shows them", function ()
		local s = scene.new();
		local phone, laptop = s:client "phone", s:client "laptop";
		s.room:enter("Bob", { jid = "bob@elsewhere.example/client" });
		s:enter(phone);
		s.room.whois = "anyone";
		s:from(nil, "<message type='groupchat'><x xmlns='http://jabber.org/protocol/muc#user'><status code='172'/></x></message>");
		laptop:send(join "Alice");
		local got = scene.take(laptop);
		assert.equal("presence - room/Bob", scene.line(got[1]));
		assert.equal("bob@elsewhere.example/client", got[1]:find("{http://jabber.org/protocol/muc#user}x/item").attr.jid);
	end);

	for _, code in ipairs { "102", "103" } do
		it("J2: gets the list of offline members that the room has changed ("..code.."), also if it has an avatar", function ()
			local s = scene.new();
			s:enter(s:client "phone");
			s:from(nil, "<presence><x xmlns='vcard-temp:x:update'><photo>abc</photo></x></presence>");
			local laptop = s:client "laptop";
			laptop:send(join "Alice");
			assert.same({}, s:upstream());
			s:from(nil, "<message type='groupchat'><x xmlns='http://jabber.org/protocol/muc#user'><status code='"..code.."'/></x></message>");
			laptop:send(join "Alice");
			assert.same({ "alice presence - room/Alice join" }, s:upstream());
		end);
	end

	it("J2: gets no configuration from an occupant that imitates the room", function ()
		local s = scene.new();
		local phone, laptop = s:client "phone", s:client "laptop";
		s.room:enter "Mallory";
		s:enter(phone);
		s:from("Mallory", "<message type='groupchat'><x xmlns='http://jabber.org/protocol/muc#user'><status code='172'/></x></message>");
		laptop:send(join "Alice");
		assert.equal("presence - room/Alice 110", seen(laptop)[2]);
	end);

	it("J2: gets no live stanza before the replay is complete", function ()
		local s = scene.new();
		local phone, laptop = s:client "phone", s:client "laptop";
		s.room:enter "Bob";
		s:enter(phone);
		laptop:send(join "Alice");
		s.room:say("Bob", "hi");
		assert.same({
			"presence - room/Bob"; "presence - room/Alice 110"; "message groupchat room subject:"; "message groupchat room/Bob hi";
		}, seen(laptop));
		assert.same({ "message groupchat room/Bob hi" }, seen(phone));
	end);

	it("J2: attaches to the account without another attached session", function ()
		local s = scene.new { room = { subject = "Tea" } };
		local phone = s:client "phone";
		s:enter(phone);
		phone:lose();
		s.room:enter "Bob";
		s:wait(60);
		local tablet = s:client "tablet";
		tablet:send(join "Alice");
		assert.same({
			"presence - room/Bob"; "presence - room/Alice 110"; "message groupchat room subject:Tea";
		}, seen(tablet));
		assert.same({}, s:upstream());
	end);

	it("J2: does not get the account's earlier presence", function ()
		local s = scene.new();
		local phone, laptop = s:client "phone", s:client "laptop";
		s:enter(phone);
		s.room:rename("Alice", "Alicia");
		laptop:send(join "Alicia");
		assert.same({ "presence - room/Alicia 110"; "message groupchat room subject:" }, seen(laptop));
	end);

	it("J2: needs no password when the account is in the room", function ()
		local s = scene.new { room = { password = "secret" } };
		local phone, laptop = s:client "phone", s:client "laptop";
		s:enter(phone, "Alice", { muc = "<password>secret</password>" });
		laptop:send(join("Alice", { muc = "<password>wrong</password>" }));
		assert.same({ "presence - room/Alice 110"; "message groupchat room subject:" }, seen(laptop));
	end);

	it("J2: needs no further place in a full room", function ()
		local s = scene.new { room = { limit = 1 } };
		local phone, laptop = s:client "phone", s:client "laptop";
		s:enter(phone);
		laptop:send(join "Alice");
		assert.same({ "presence - room/Alice 110"; "message groupchat room subject:" }, seen(laptop));
	end);

	it("J2: may end during the replay, without effect on other sessions", function ()
		local s = scene.new();
		local phone, laptop = s:client "phone", s:client "laptop";
		s.room:enter "Bob";
		s:enter(phone);
		laptop.session.send = function ()
			laptop:lose();
			return false;
		end;
		laptop:send(join "Alice");
		s.room:say("Bob", "hi");
		assert.same({ "message groupchat room/Bob hi" }, seen(phone));
		assert.same({}, s:upstream());
	end);

	it("J3: may ask for another nick before the account has one", function ()
		local s, phone = joining();
		local laptop = s:client "laptop";
		laptop:send(join("Alicia", { id = "j2" }));
		s:deliver();
		assert.equal("presence - room/Alice 110", seen(phone)[1]);
		assert.equal("presence - room/Alice 110 210", seen(laptop)[1]);
		assert.same({ "alice presence - room/Alice join" }, s:upstream());
	end);

	it("J3: may write the nick in another normalisation", function ()
		local s = scene.new();
		local phone, laptop = s:client "phone", s:client "laptop";
		s:enter(phone);
		laptop:send(join "alice");
		assert.same({ "presence - room/Alice 110 210"; "message groupchat room subject:" }, seen(laptop));
	end);
end);

describe("sessions that join while the account's join is in flight", function ()
	scene.everywhere(function (new_scene)
		it("J4: are all attached, by one join", function ()
			local s = new_scene { room = { subject = "Tea" } };
			local phone, laptop = s:client "phone", s:client "laptop";
			s.room:enter "Bob";
			phone:send(join("Alice", { id = "j1" }));
			laptop:send(join("Alice", { id = "j2" }));
			s:deliver();
			assert.same({ "alice presence - room/Alice join" }, s:upstream());
			for id, client in pairs { j1 = phone, j2 = laptop } do
				assert.equal(id, client.inbox[2].attr.id);
				assert.same({
					"presence - room/Bob"; "presence - room/Alice 110"; "message groupchat room subject:Tea";
				}, seen(client));
			end
		end);
	end);

	it("J4: each make an attempt, with their own passwords", function ()
		local s, phone = joining { room = { password = "secret" }, join = { id = "j1", muc = "<password>wrong</password>" } };
		local laptop = s:client "laptop";
		laptop:send(join("Alice", { id = "j2", muc = "<password>secret</password>" }));
		assert.same({}, seen(laptop));
		s:deliver();
		assert.equal("j1", phone.inbox[1].attr.id);
		assert.same({ "presence error room/Alice auth not-authorized" }, seen(phone));
		assert.equal("j2", laptop.inbox[1].attr.id);
		assert.same({ "presence - room/Alice 110"; "message groupchat room subject:" }, seen(laptop));
		s.room:enter "Bob";
		assert.same({}, seen(phone));
		assert.same({ "presence - room/Bob" }, seen(laptop));
	end);

	it("J4: each make an attempt, with their own nicks", function ()
		local s, phone = joining();
		local laptop, tablet = s:client "laptop", s:client "tablet";
		s.room:enter "Alice";
		laptop:send(join("Alicia", { id = "j2" }));
		tablet:send(join("Alice", { id = "j3" }));
		s:deliver();
		assert.same({ "presence error room/Alice cancel conflict" }, seen(phone));
		assert.same({
			"presence - room/Alice"; "presence - room/Alicia 110"; "message groupchat room subject:";
		}, seen(laptop));
		assert.same({
			"presence - room/Alice"; "presence - room/Alicia 110 210"; "message groupchat room subject:";
		}, seen(tablet));
	end);

	it("J4: may change their request while they wait", function ()
		local s, phone = joining { room = { password = "secret" } };
		local laptop = s:client "laptop";
		laptop:send(join("Alice", { id = "j2", muc = "<password>wrong</password>" }));
		laptop:send(join("Alice", { id = "j3", muc = "<password>secret</password>" }));
		s:deliver();
		assert.same({ "presence error room/Alice auth not-authorized" }, seen(phone));
		assert.equal("j3", laptop.inbox[1].attr.id);
		assert.same({ "presence - room/Alice 110"; "message groupchat room subject:" }, seen(laptop));
	end);

	it("J4: each fail with their own error, and nothing is left behind", function ()
		local s, phone = joining { room = { members_only = true } };
		local laptop = s:client "laptop";
		laptop:send(join("Alice", { id = "j2" }));
		s:deliver();
		for id, client in pairs { j1 = phone, j2 = laptop } do
			assert.equal(id, client.inbox[1].attr.id);
			assert.same({ "presence error room/Alice auth registration-required" }, seen(client));
		end
		assert.is_true(s:is_forgotten());
		assert.equal(0, #s:occupants());
	end);

	it("J4: do not fail by a repeated error for another session's join", function ()
		local s, phone = joining { room = { silent = true } };
		local laptop = s:client "laptop";
		laptop:send(join("Alice", { id = "j2" }));
		s:deliver();
		for _ = 1, 2 do
			s:from("Alice", "<presence type='error' id='j1'>"..scene.error("auth", "not-authorized").."</presence>");
		end
		assert.same({ "presence error room/Alice auth not-authorized" }, seen(phone));
		assert.same({}, seen(laptop));
		s:from("Alice", "<presence>"..status "110".."</presence>");
		assert.same({ "presence - room/Alice 110" }, seen(laptop));
	end);

	it("J4: get the error of a room that returns no ids", function ()
		local s, phone = joining { room = { silent = true } };
		s:deliver();
		s:from("Alice", "<presence type='error'>"..scene.error("auth", "forbidden").."</presence>");
		assert.equal("j1", phone.inbox[1].attr.id);
		assert.same({ "presence error room/Alice auth forbidden" }, seen(phone));
		assert.is_true(s:is_forgotten());
	end);

	it("J4: get the error of a room that answers from its own address", function ()
		local s, phone = joining { room = { silent = true } };
		s:deliver();
		s:from(nil, "<presence type='error' id='j1'>"..scene.error("cancel", "item-not-found").."</presence>");
		assert.same({ "presence error room cancel item-not-found" }, seen(phone));
		assert.is_true(s:is_forgotten());
	end);

	it("J4: are attached although the session that asked has ended", function ()
		local s, phone = joining();
		local laptop = s:client "laptop";
		laptop:send(join("Alice", { id = "j2" }));
		phone:lose();
		s:deliver();
		assert.same({ "presence - room/Alice 110"; "message groupchat room subject:" }, seen(laptop));
		assert.same({ "Alice" }, s:occupants());
	end);

	it("J4: make their attempt although the session that failed has ended", function ()
		local s, phone = joining { room = { password = "secret" } };
		local laptop = s:client "laptop";
		laptop:send(join("Alice", { id = "j2", muc = "<password>secret</password>" }));
		phone:lose();
		s:deliver();
		assert.same({ "presence - room/Alice 110"; "message groupchat room subject:" }, seen(laptop));
	end);

	it("J4: leave the queue when they end", function ()
		local s, phone = joining { room = { password = "secret" } };
		local laptop, tablet = s:client "laptop", s:client "tablet";
		laptop:send(join("Alice", { id = "j2", muc = "<password>wrong</password>" }));
		tablet:send(join("Alice", { id = "j3", muc = "<password>secret</password>" }));
		laptop:lose();
		s:deliver();
		assert.same({ "presence error room/Alice auth not-authorized" }, seen(phone));
		assert.equal("presence - room/Alice 110", seen(tablet)[1]);
		assert.same({ "alice presence - room/Alice join"; "alice presence - room/Alice join" }, s:upstream());
	end);

	it("J4: leave the queue when they go offline", function ()
		local s, phone = joining();
		local laptop = s:client "laptop";
		laptop:send(join("Alice", { id = "j2" }));
		laptop:unavailable();
		seen(laptop);
		s:deliver();
		assert.equal("presence - room/Alice 110", seen(phone)[1]);
		assert.same({}, seen(laptop));
	end);

	it("J4: may withdraw their join", function ()
		local s, phone = joining();
		local laptop = s:client "laptop";
		laptop:send(join("Alice", { id = "j2" }));
		laptop:send(scene.leave("Alice", { id = "l2" }));
		assert.equal("presence unavailable room/Alice 110", seen(laptop)[1]);
		s:deliver();
		s.room:enter "Bob";
		assert.same({}, seen(laptop));
		assert.same({ "presence - room/Alice 110"; "message groupchat room subject:"; "presence - room/Bob" }, seen(phone));
		assert.same({ "Alice" }, s:occupants());
	end);

	it("J4: are attached if the session that asked withdraws its join", function ()
		local s, phone = joining();
		local laptop = s:client "laptop";
		laptop:send(join("Alice", { id = "j2" }));
		phone:send(scene.leave("Alice", { id = "l1" }));
		s:wait(1);
		assert.equal("presence unavailable room/Alice 110", seen(phone)[1]);
		assert.same({ "presence - room/Alice 110"; "message groupchat room subject:" }, seen(laptop));
		assert.same({ "Alice" }, s:occupants());
		s.room:enter "Bob";
		assert.same({}, seen(phone));
	end);

	it("J4: all withdraw, and the account is out", function ()
		local s, phone = joining();
		phone:send(scene.leave("Alice", { id = "l1" }));
		s:deliver();
		local got = seen(phone);
		assert.equal("presence unavailable room/Alice 110", got[#got]);
		assert.same({}, s:occupants());
		assert.is_true(s:is_forgotten());
	end);

	it("J4: join twice and are attached once", function ()
		local s, phone = joining();
		phone:send(join("Alice", { id = "again" }));
		s:deliver();
		s:wait(30);
		local got = scene.take(phone);
		assert.equal("presence - room/Alice 110", scene.line(got[1]));
		assert.equal("message groupchat room subject:", scene.line(got[#got]));
		local answered;
		for _, stanza in ipairs(got) do
			answered = answered or stanza.attr.id == "again";
		end
		assert.is_true(answered);
		s.room:enter "Bob";
		assert.same({ "presence - room/Bob" }, seen(phone));
		assert.same({ "Alice" }, s:occupants());
	end);

	it("J4: leave no state behind if the only session ends before a refusal", function ()
		local s, phone = joining { room = { password = "secret" } };
		phone:lose();
		s:deliver();
		assert.is_true(s:is_forgotten());
		local laptop = s:client "laptop";
		laptop:send(join("Alice", { muc = "<password>secret</password>" }));
		s:deliver();
		assert.equal("presence - room/Alice 110", seen(laptop)[1]);
	end);

	it("J4: are attached although the room sends no subject", function ()
		local s, phone = joining { room = { silent = true } };
		local laptop = s:client "laptop";
		laptop:send(join("Alice", { id = "j2" }));
		s:deliver();
		s:from("Alice", "<presence id='j1'>"..status "110".."</presence>");
		assert.same({ "presence - room/Alice 110" }, seen(phone));
		s:wait(60);
		assert.same({ "message groupchat room subject:" }, seen(phone));
		assert.same({ "presence - room/Alice 110"; "message groupchat room subject:" }, seen(laptop));
	end);

	it("J4: get nothing of the occupant list before their own replay", function ()
		local s = joining { room = { silent = true } };
		local laptop = s:client "laptop";
		laptop:send(join("Alice", { id = "j2" }));
		s:deliver();
		s:from("Bob", "<presence>"..status "".."</presence>");
		s:from("Alice", "<presence id='j1'>"..status "110".."</presence>");
		s:from("Bob", "<message type='groupchat' id='early'><body>early</body></message>");
		s:from("Carol", "<presence>"..status "".."</presence>");
		assert.same({}, seen(laptop));
		s:from(nil, "<message type='groupchat'><subject>Tea</subject></message>");
		local got = seen(laptop);
		local others = { got[1], got[2] };
		table.sort(others);
		assert.same({ "presence - room/Bob"; "presence - room/Carol" }, others);
		assert.equal("presence - room/Alice 110", got[3]);
		assert.equal("message groupchat room subject:Tea", got[#got]);
	end);
end);

describe("a join that the room does not answer", function ()
	scene.everywhere(function (new_scene)
		it("J5: ends with an error of type wait", function ()
			local s = new_scene { room = { silent = true } };
			local phone = s:client "phone";
			phone:send(join("Alice", { id = "j9" }));
			s:wait(50);
			assert.same({}, seen(phone));
			s:wait(15);
			assert.equal("j9", phone.inbox[1].attr.id);
			assert.same({ "presence error room/Alice wait remote-server-timeout" }, seen(phone));
			s:wait(7200);
			assert.is_true(s:is_forgotten());
		end);
	end);

	it("J5: ends after the configured time", function ()
		local s, phone = joining { options = { minimix_join_timeout = 10 } };
		fall_silent(s);
		s:wait(9);
		assert.same({}, seen(phone));
		s:wait(2);
		assert.same({ "presence error room/Alice wait remote-server-timeout" }, seen(phone));
	end);

	-- The room shows another occupant every 50 seconds.
	local function show_slowly(s, count)
		for i = 1, count do
			s:wait(50);
			s:from("Bob "..i, "<presence>"..status "".."</presence>");
		end
	end

	it("J5: goes on while the room shows occupants", function ()
		local s, phone = joining();
		fall_silent(s);
		show_slowly(s, 4);
		s:from("Alice", "<presence id='j1'>"..status "110".."</presence>");
		s:from(nil, "<message type='groupchat'><subject/></message>");
		local lines = seen(phone);
		table.sort(lines);
		assert.same({
			"message groupchat room subject:"; "presence - room/Alice 110"; "presence - room/Bob 1"; "presence - room/Bob 2";
			"presence - room/Bob 3"; "presence - room/Bob 4";
		}, lines);
	end);

	it("J5: ends although the room shows occupants for ever", function ()
		local s, phone = joining();
		fall_silent(s);
		show_slowly(s, 10);
		assert.same({ "presence error room/Alice wait remote-server-timeout" }, seen(phone));
	end);

	it("J5: leaves no occupant in the room when the answer comes late", function ()
		local s, phone = joining();
		s.host:tick(70);
		assert.same({ "presence error room/Alice wait remote-server-timeout" }, seen(phone));
		s:deliver();
		assert.same({}, seen(phone));
		assert.same({}, s:occupants());
		assert.is_true(s:is_forgotten());
	end);

	it("J6, R7: is answered by the presence with the account's JID, without 110, not by another occupant's", function ()
		local s, phone = joining { room = { silent = true } };
		s:deliver();
		phone:take();
		s:from("Alice", "<presence>"..status(nil).."</presence>");
		assert.same({}, seen(phone));
		s:from("Alice2", "<presence>"..status(nil, { jid = s:occupant_jid() }).."</presence>");
		local lines = seen(phone);
		assert.same({ "presence - room/Alice"; "presence - room/Alice2 110" }, lines);
	end);

	for form, change in pairs {
		["as it should be"] = function () end;
		["without 110"] = function (x) x:maptags(function (tag) if tag.name ~= "status" then return tag; end end); end;
		["without 110 and id"] = function (x, stanza)
			x:maptags(function (tag) if tag.name ~= "status" then return tag; end end);
			stanza.attr.id = nil;
		end;
		["without 110 and JID"] = function (x)
			x:maptags(function (tag) if tag.name ~= "status" then return tag; end end);
			x:get_child("item").attr.jid = nil;
		end;
	} do
		it("J5, R7: leaves no occupant in the room when the answer comes hours late, "..form, function ()
			local s, phone = joining();
			local send, asked = s.room.send, table.remove(s.host.wire);
			s.room.silent = true;
			s:wait(7200);
			assert.same({ "presence error room/Alice wait remote-server-timeout" }, seen(phone));
			assert.is_true(s:is_forgotten());
			s.room.silent = false;
			s.room:enter "Bob";
			-- An error for the subject would remove the account from many rooms.
			function s.room.send(stanza)
				if stanza.name == "message" then return; end
				if stanza.attr.type == nil then change(stanza:get_child("x", "http://jabber.org/protocol/muc#user"), stanza); end
				send(stanza);
			end
			s.room:receive(asked);
			s:upstream();
			s:wait(60);
			assert.same({}, s:occupants());
			assert.same({}, seen(phone));
			assert.same({ "alice presence unavailable room/Alice" }, s:upstream());
		end);
	end

	it("J5: leaves no session that would receive a late answer", function ()
		local s, phone = joining();
		fall_silent(s);
		s:wait(70);
		seen(phone);
		s:from("Bob", "<presence>"..status "".."</presence>");
		s:from("Alice", "<presence id='j1'>"..status "110".."</presence>");
		s:from(nil, "<message type='groupchat'><subject>Tea</subject></message>");
		s:from("Bob", "<message type='groupchat'><body>hi</body></message>");
		assert.same({}, seen(phone));
		assert.same({}, s.host.unhandled);
	end);

	it("J5: leaves no state behind in the end", function ()
		local s, phone = joining();
		fall_silent(s);
		s:wait(7200);
		assert.same({ "presence error room/Alice wait remote-server-timeout" }, seen(phone));
		assert.is_true(s:is_forgotten());
	end);

	it("J5: may be tried again", function ()
		local s, phone = joining();
		fall_silent(s);
		s:wait(70);
		seen(phone);
		s.room.silent = false;
		phone:send(join("Alice", { id = "again" }));
		s:wait(120);
		assert.same({ "presence - room/Alice 110"; "message groupchat room subject:" }, seen(phone));
		assert.same({ "Alice" }, s:occupants());
	end);

	it("J5: shows nothing of an earlier stay in the room", function ()
		local s, phone = joining { room = { silent = true } };
		s:deliver();
		s:from("Bob", "<presence>"..status "".."</presence>");
		s:wait(70);
		local got = seen(phone);
		assert.equal("presence error room/Alice wait remote-server-timeout", got[#got]);
		s.room.silent = false;
		phone:send(join "Alice");
		s:wait(120);
		local laptop = s:client "laptop";
		laptop:send(join "Alice");
		assert.same({ "presence - room/Alice 110"; "message groupchat room subject:" }, seen(laptop));
	end);

	it("J5: ends for the queued sessions as well", function ()
		local s, phone = joining();
		local laptop = s:client "laptop";
		laptop:send(join("Alice", { id = "j2" }));
		fall_silent(s);
		s:wait(600);
		assert.same({ "presence error room/Alice wait remote-server-timeout" }, seen(phone));
		assert.equal("j2", laptop.inbox[1].attr.id);
		assert.same({ "presence error room/Alice wait remote-server-timeout" }, seen(laptop));
		s:wait(7200);
		assert.is_true(s:is_forgotten());
	end);

	it("J5: sends no error when the session has ended", function ()
		local s, phone = joining();
		fall_silent(s);
		phone:lose();
		s:wait(7200);
		assert.is_true(s:is_forgotten());
	end);

	it("J5: sends no error to another session with the same full JID", function ()
		local s, phone = joining();
		fall_silent(s);
		phone:lose();
		local successor = s:client "phone";
		s:wait(70);
		assert.same({}, seen(successor));
	end);
end);

describe("a session that joins again", function ()
	scene.everywhere(function (new_scene)
		it("J6: gets a full replay, and other sessions get nothing", function ()
			local s = new_scene { room = { subject = "Tea" } };
			local phone, laptop = s:client "phone", s:client "laptop";
			s.room:enter "Bob";
			s:enter(phone);
			s:enter(laptop);
			phone:send(join("Alice", { id = "again" }));
			assert.equal("again", phone.inbox[2].attr.id);
			assert.same({
				"presence - room/Bob"; "presence - room/Alice 110"; "message groupchat room subject:Tea";
			}, seen(phone));
			s:deliver();
			assert.same({}, s:upstream());
			assert.same({}, seen(laptop));
			s.room:say("Bob", "hi");
			assert.same({ "message groupchat room/Bob hi" }, seen(phone));
		end);

		it("J6: gets the room's own answer if the cache cannot serve it", function ()
			local s = new_scene { room = { subject = "Tea" } };
			local phone, laptop = s:client "phone", s:client "laptop";
			s.room:enter "Bob";
			s:enter(phone);
			s:enter(laptop);
			laptop:send(join("Alice", { id = "mav", muc = mav }));
			s:deliver();
			local arrived = s:arrived();
			assert.equal(1, #arrived);
			assert.equal(s:occupant_jid(), arrived[1].attr.from);
			assert.is_not_nil(arrived[1]:find "{http://jabber.org/protocol/muc}x/{urn:xmpp:muc:affiliations:1}mav");
			assert.equal("mav", laptop.inbox[2].attr.id);
			assert.same({
				"presence - room/Bob"; "presence - room/Alice 110"; "message groupchat room subject:Tea";
			}, seen(laptop));
			assert.same({}, seen(phone));
		end);
	end);

	it("J6: after a new login gets the room's own answer if the cache cannot serve it", function ()
		local s = scene.new { room = { subject = "Tea" } };
		local phone, laptop = s:client "phone", s:client "laptop";
		s.room:enter "Bob";
		s.room:say("Bob", "early");
		s:enter(phone);
		laptop:send(join("Alicia", { id = "mav", muc = mav }));
		assert.same({ "alice presence - room/Alice join" }, s:upstream());
		assert.same({
			"presence - room/Bob"; "presence - room/Alice 110 210"; "message groupchat room/Bob early"; "message groupchat room subject:Tea";
		}, seen(laptop));
		assert.same({}, seen(phone));
		s.room:say("Bob", "hi");
		assert.same({ "message groupchat room/Bob hi" }, seen(phone));
		assert.same({ "message groupchat room/Bob hi" }, seen(laptop));
	end);

	it("J6: gets a replay for an extension that the first join had", function ()
		local s = scene.new();
		local phone = s:client "phone";
		phone:send(join("Alice", { muc = mav }));
		assert.same({ "alice presence - room/Alice join" }, s:upstream());
		assert.same({ "presence - room/Alice 110"; "message groupchat room subject:" }, seen(phone));
	end);

	it("J6: gets the affiliations that only a real join returns", function ()
		local s = scene.new();
		local phone, laptop = s:client "phone", s:client "laptop";
		s:enter(phone);
		local release = scene.hold_back(s.room);
		laptop:send(join("Alice", { id = "mav", muc = mav }));
		s:from(nil, "<message><x xmlns='http://jabber.org/protocol/muc#user'><mav xmlns='urn:xmpp:muc:affiliations:1' until='v2'/>"
			.."<item jid='bob@elsewhere.example' affiliation='owner'/></x></message>");
		release();
		assert.same({
			"message - room"; "presence - room/Alice 110"; "message groupchat room subject:";
		}, seen(laptop));
		assert.same({}, seen(phone));
	end);

	it("J6: shows other sessions new facts, and nothing else", function ()
		local s = scene.new();
		local phone, laptop = s:client "phone", s:client "laptop";
		s.room:enter "Bob";
		s.room:enter "Carol";
		s:enter(phone);
		s.room:occupant("Bob").presence = scene.presence(nil, { content = "<show>away</show>" });
		laptop:send(join("Alice", { muc = mav }));
		local got = seen(laptop);
		table.sort(got);
		assert.same({
			"message groupchat room subject:"; "presence - room/Alice 110"; "presence - room/Bob away"; "presence - room/Carol";
		}, got);
		assert.same({ "presence - room/Bob away" }, seen(phone));
	end);

	it("J6: shows other sessions new facts about themselves", function ()
		local s = scene.new();
		local phone, laptop = s:client "phone", s:client "laptop";
		s:enter(phone);
		s.room:occupant("Alice").role = "moderator";
		laptop:send(join("Alice", { id = "mav", muc = mav }));
		for _, client in ipairs { phone, laptop } do
			local got = scene.take(client);
			assert.equal("presence - room/Alice 110", scene.line(got[1]));
			assert.equal("moderator", got[1]:find("{http://jabber.org/protocol/muc#user}x/item").attr.role);
		end
	end);

	it("J6: gets the cache from a room that does not answer a second join", function ()
		local s = scene.new { remote = true, room = { subject = "Tea" } };
		local phone, laptop = s:client "phone", s:client "laptop";
		s.room:enter "Bob";
		s:enter(phone);
		local receive = s.room.receive;
		-- ejabberd treats it as a presence without changes.
		function s.room:receive(stanza)
			if stanza.name ~= "presence" then return receive(self, stanza); end
		end
		laptop:send(join("Alice", { id = "mav", muc = mav }));
		s:wait(60);
		assert.same({
			"presence - room/Bob"; "presence - room/Alice 110"; "message groupchat room subject:Tea";
		}, seen(laptop));
		assert.same({}, seen(phone));
		s.room:say("Bob", "hi");
		assert.same({ "message groupchat room/Bob hi" }, seen(phone));
		assert.same({ "message groupchat room/Bob hi" }, seen(laptop));
	end);

	it("J6: gets the cache from a room that answers with its own presence only", function ()
		local s = scene.new { remote = true, room = { subject = "Tea" } };
		local phone, laptop = s:client "phone", s:client "laptop";
		s.room:enter "Bob";
		s:enter(phone);
		local receive = s.room.receive;
		function s.room:receive(stanza)
			if stanza.name ~= "presence" then return receive(self, stanza); end
			s:from("Alice", "<presence>"..status "110".."</presence>");
		end
		laptop:send(join("Alice", { id = "mav", muc = mav }));
		s:wait(60);
		local got = scene.take(laptop);
		assert.equal("presence - room/Bob", scene.line(got[1]));
		assert.equal("presence - room/Alice 110", scene.line(got[2]));
		assert.equal("mav", got[2].attr.id);
		assert.equal("message groupchat room subject:Tea", scene.line(got[#got]));
		assert.equal(3, #got);
	end);

	for name, id in pairs { ["the id of the join"] = "mav"; ["another id"] = "x"; ["no id"] = false } do
		it("J6, R2: is out if the room answers with its own presence only, with "..name..", and kicks the account", function ()
			local s = scene.new { remote = true, room = { subject = "Tea" } };
			local phone, laptop = s:client "phone", s:client "laptop";
			s.room:enter "Bob";
			s:enter(phone);
			local receive = s.room.receive;
			function s.room:receive(stanza)
				if stanza:get_child("x", "http://jabber.org/protocol/muc") == nil then return receive(self, stanza); end
				s:from("Alice", ("<presence%s>%s</presence>"):format(id and " id='"..id.."'" or "", status "110"));
				self:kick "Alice";
				self.receive = receive;
			end
			s:upstream();
			laptop:send(join("Alice", { id = "mav", muc = mav }));
			laptop:send(scene.message "hello");
			s:wait(600);
			local lines = seen(phone);
			assert.equal("presence unavailable room/Alice 110 307", lines[#lines]);
			assert.equal("mav", laptop.inbox[1].attr.id);
			assert.same({
				"presence unavailable room/Alice 110 307"; "message error room modify not-acceptable";
			}, seen(laptop));
			assert.same({}, s:upstream());
			assert.same({}, s:occupants());
			assert.is_true(s:is_forgotten());
		end);
	end

	for name, count in pairs { ["before the room's answer"] = 0; ["after the occupants"] = 1; ["before the history"] = 2; ["before the subject"] = 3 } do
		it("J6, O5: gets one answer if the module is reloaded "..name, function ()
			local s = scene.new { remote = true, room = { subject = "Tea" } };
			s.room:enter "Bob";
			local phone, laptop = s:client "phone", s:client "laptop";
			s:enter(phone);
			s.room:say("Bob", "early");
			seen(phone);
			s:upstream();
			local release = scene.hold_back(s.room);
			laptop:send(join("Alice", { id = "mav", muc = mav }));
			s:deliver();
			release(count);
			s.host:reload();
			s:deliver();
			release();
			s:wait(120);
			assert.same({
				"presence - room/Bob"; "presence - room/Alice 110"; "message groupchat room/Bob early"; "message groupchat room subject:Tea";
			}, seen(laptop));
			assert.same({}, seen(phone));
			assert.same({ "alice presence - room/Alice join" }, s:upstream());
		end);
	end

	it("J6, R2: is in if the room kicks the account before it gets the join, which is sent once", function ()
		local s = scene.new { remote = true, room = { subject = "Tea" } };
		local phone, laptop = s:client "phone", s:client "laptop";
		s.room:enter "Bob";
		s:enter(phone);
		s:upstream();
		laptop:send(join("Alice", { id = "mav", muc = mav }));
		s.room:kick "Alice";
		s:wait(600);
		assert.same({ "presence unavailable room/Alice 110 307" }, seen(phone));
		assert.equal("mav", laptop.inbox[2].attr.id);
		assert.same({
			"presence - room/Bob"; "presence - room/Alice 110"; "message groupchat room subject:Tea";
		}, seen(laptop));
		assert.same({ "alice presence - room/Alice join" }, s:upstream());
		assert.same({ "Alice" }, s:occupants());
	end);

	it("J6, R2: gets the ban if the room refuses the join for it", function ()
		local s = scene.new { remote = true, room = { subject = "Tea" } };
		local phone, laptop = s:client "phone", s:client "laptop";
		s:enter(phone);
		laptop:send(join("Alice", { id = "mav", muc = mav }));
		s.room:ban "Alice";
		s:wait(600);
		assert.same({ "presence unavailable room/Alice 110 301" }, seen(phone));
		assert.same({ "presence error room/Alice auth forbidden" }, seen(laptop));
		assert.is_true(s:is_forgotten());
	end);

	it("J5, R2: times out if the room kicks the account, and answers nothing", function ()
		local s = scene.new { remote = true };
		local phone, laptop = s:client "phone", s:client "laptop";
		s:enter(phone);
		laptop:send(join("Alice", { id = "mav", muc = mav }));
		s.room:kick "Alice";
		s.room.silent = true;
		s:wait(120);
		assert.same({ "presence unavailable room/Alice 110 307" }, seen(phone));
		assert.same({ "presence error room/Alice wait remote-server-timeout" }, seen(laptop));
		s.room.silent = nil;
		s:wait(7200);
		assert.same({}, s:occupants());
		assert.is_true(s:is_forgotten());
	end);

	it("J6: does not see an occupant that leaves before the room's answer is complete", function ()
		local s = scene.new { remote = true, room = { subject = "Tea" } };
		local phone, laptop = s:client "phone", s:client "laptop";
		s:enter(phone);
		local receive = s.room.receive;
		function s.room:receive(stanza)
			if stanza.name == "presence" then
				self:enter "Bob";
				self:leave "Bob";
			end
			return receive(self, stanza);
		end
		laptop:send(join("Alice", { id = "mav", muc = mav }));
		s:wait(60);
		assert.same({
			"presence - room/Alice 110"; "message groupchat room subject:Tea";
		}, seen(laptop));
		assert.same({ "presence - room/Bob"; "presence unavailable room/Bob" }, seen(phone));
	end);

	it("J6: gets the cache from a room that answers nothing", function ()
		local s = scene.new { remote = true, room = { subject = "Tea" } };
		local phone, laptop = s:client "phone", s:client "laptop";
		s:enter(phone);
		s.room.silent = true;
		laptop:send(join("Alice", { id = "mav", muc = mav }));
		s:wait(60);
		assert.same({ "presence - room/Alice 110"; "message groupchat room subject:Tea" }, seen(laptop));
	end);

	it("J6: gets a subject although the room does not repeat it", function ()
		local s = scene.new { room = { subject = "Tea" } };
		local phone, laptop, tablet = s:client "phone", s:client "laptop", s:client "tablet";
		s:enter(phone);
		local release, discard = scene.hold_back(s.room);
		laptop:send(join("Alice", { id = "mav", muc = mav }));
		release(1);
		discard();
		tablet:send(join("Alice", { id = "j3" }));
		s:wait(60);
		assert.same({ "presence - room/Alice 110"; "message groupchat room subject:Tea" }, seen(laptop));
		assert.same({ "presence - room/Alice 110"; "message groupchat room subject:Tea" }, seen(tablet));
		assert.same({}, seen(phone));
	end);

	it("J6: does not delay the next request when the room does not answer", function ()
		local s = scene.new { remote = true };
		local phone, laptop, tablet = s:client "phone", s:client "laptop", s:client "tablet";
		s:enter(phone);
		s.room.silent = true;
		laptop:send(join("Alice", { id = "j2", muc = mav }));
		tablet:send(join("Alice", { id = "j3" }));
		s:wait(60);
		for _, client in ipairs { laptop, tablet } do
			assert.same({ "presence - room/Alice 110"; "message groupchat room subject:" }, seen(client));
		end
	end);

	it("J6, R3: is answered although the account is lost meanwhile", function ()
		local s = scene.new { remote = true };
		local phone, laptop = s:client "phone", s:client "laptop";
		s:enter(phone);
		laptop:send(join("Alice", { id = "mav", muc = mav }));
		s.host:drop();
		s.room:remove("Alice", "332");
		s:wait(60);
		assert.same({ "presence - room/Alice 110"; "message groupchat room subject:" }, seen(laptop));
		assert.same({ "Alice" }, s:occupants());
	end);

	it("J6: ends before the answer, and the answer is dropped", function ()
		local s = scene.new { remote = true };
		local phone, laptop = s:client "phone", s:client "laptop";
		s.room:enter "Bob";
		s:enter(phone);
		laptop:send(join("Alice", { muc = mav }));
		laptop:lose();
		s:deliver();
		assert.same({}, seen(phone));
		s:wait(60);
		s.room:say("Bob", "hi");
		assert.same({ "message groupchat room/Bob hi" }, seen(phone));
		local tablet = s:client "tablet";
		tablet:send(join("Alice", { muc = "<history maxstanzas='0'/>" }));
		assert.same({ "presence - room/Bob"; "presence - room/Alice 110"; "message groupchat room subject:" }, seen(tablet));
	end);

	it("J6: ends in the middle of the answer", function ()
		local s = scene.new();
		local phone, laptop = s:client "phone", s:client "laptop";
		s.room:enter "Bob";
		s:enter(phone);
		local release = scene.hold_back(s.room);
		laptop:send(join("Alice", { muc = mav }));
		release(1);
		laptop:lose();
		release();
		assert.same({}, seen(phone));
		s:wait(60);
		phone:send(join "Alice");
		assert.same({ "presence - room/Bob"; "presence - room/Alice 110"; "message groupchat room subject:" }, seen(phone));
	end);

	it("J6: does not delay the next request forever", function ()
		local s = scene.new { remote = true };
		local phone, laptop, tablet = s:client "phone", s:client "laptop", s:client "tablet";
		s.room:enter "Bob";
		s:enter(phone);
		laptop:send(join("Alice", { id = "j2", muc = mav }));
		tablet:send(join("Alice", { id = "j3" }));
		s:wait(60);
		for id, client in pairs { j2 = laptop, j3 = tablet } do
			assert.equal(id, client.inbox[2].attr.id);
			assert.same({ "presence - room/Bob"; "presence - room/Alice 110"; "message groupchat room subject:" }, seen(client));
		end
		assert.same({}, seen(phone));
	end);

	it("J6: gets the answer to its own request if several sessions ask", function ()
		local s = scene.new { remote = true };
		local phone, laptop, tablet = s:client "phone", s:client "laptop", s:client "tablet";
		s.room:enter "Bob";
		s:enter(phone);
		laptop:send(join("Alice", { id = "j2", muc = mav }));
		tablet:send(join("Alice", { id = "j3", muc = mav }));
		s:wait(60);
		assert.same({ "alice presence - room/Alice join"; "alice presence - room/Alice join" }, s:upstream());
		for id, client in pairs { j2 = laptop, j3 = tablet } do
			assert.equal(id, client.inbox[2].attr.id);
			assert.same({ "presence - room/Bob"; "presence - room/Alice 110"; "message groupchat room subject:" }, seen(client));
		end
		assert.same({}, seen(phone));
	end);

	it("J6: withdraws its request", function ()
		local s = scene.new { remote = true };
		local phone, laptop = s:client "phone", s:client "laptop";
		s.room:enter "Bob";
		s:enter(phone);
		laptop:send(join("Alice", { id = "j2", muc = mav }));
		laptop:send(scene.leave("Alice"));
		s:wait(60);
		assert.equal("presence unavailable room/Alice 110", seen(laptop)[1]);
		s.room:say("Bob", "hi");
		assert.same({}, seen(laptop));
		assert.same({ "message groupchat room/Bob hi" }, seen(phone));
	end);

	it("J6: receives all messages that arrive meanwhile", function ()
		local s = scene.new();
		local phone, laptop = s:client "phone", s:client "laptop";
		s.room:enter "Bob";
		s:enter(phone);
		s:enter(laptop);
		local release = scene.hold_back(s.room);
		laptop:send(join("Alice", { id = "mav", muc = mav }));
		release(1);
		s:from("Bob", "<message type='groupchat'><body>meanwhile</body></message>");
		release();
		assert.same({ "message groupchat room/Bob meanwhile" }, seen(phone));
		local count = 0;
		for _, line in ipairs(seen(laptop)) do
			if line == "message groupchat room/Bob meanwhile" then count = count + 1; end
		end
		assert.equal(1, count);
	end);

	it("J6: is answered although the room removes the account meanwhile", function ()
		local s = scene.new { remote = true };
		local phone, laptop = s:client "phone", s:client "laptop";
		s:enter(phone);
		laptop:send(join("Alice", { id = "mav", muc = mav }));
		s.room:kick "Alice";
		assert.same({ "presence unavailable room/Alice 110 307" }, seen(phone));
		s:wait(120);
		assert.is_true(#seen(laptop) > 0);
		assert.equal(#s:occupants() == 0, s:is_forgotten());
	end);

	it("J6, C2: leaves the account's presence in the room unchanged", function ()
		local s = scene.new();
		local phone, laptop = s:client "phone", s:client "laptop";
		local bob = s.room:enter "Bob";
		s:enter(phone, "Alice", { content = "<priority>5</priority>" });
		laptop:send(join("Alice", { muc = mav, content = "<show>away</show>" }));
		assert.is_nil(bob.inbox[#bob.inbox]:get_child "show");
		assert.same({}, seen(phone));
	end);
end);

describe("a room that the module does not handle", function ()
	it("J7: is a room that a session joined before the module was loaded", function ()
		local s = scene.new();
		local phone = s:client "phone";
		s.host:unload();
		s:enter(phone);
		s.host:load();
		s.room:enter "Bob";
		phone:send(scene.message "hi");
		phone:send(scene.presence("Alice", { content = "<show>away</show>" }));
		s.room:say("Bob", "hello");
		phone:send(scene.leave "Alice");
		assert.same({
			"alice/phone message groupchat room hi";
			"alice/phone presence - room/Alice away";
			"alice/phone presence unavailable room/Alice";
		}, s:upstream());
		assert.same({
			"presence - room/Bob";
			"message groupchat room/Alice hi";
			"presence - room/Alice 110 away";
			"message groupchat room/Bob hello";
			"presence unavailable room/Alice 110";
		}, seen(phone));
	end);

	it("J7: stays so for that session when another session joins", function ()
		local s = scene.new();
		local phone, laptop = s:client "phone", s:client "laptop";
		s.host:unload();
		s:enter(phone, "Alice");
		s.host:load();
		s:enter(laptop, "Alice");
		seen(phone);
		phone:send(scene.message "hi");
		assert.same({ "alice/phone message groupchat room hi" }, s:upstream());
		assert.same({ "message groupchat room/Alice hi" }, seen(phone));
		assert.same({ "message groupchat room/Alice hi" }, seen(laptop));
		phone:send(scene.leave "Alice");
		assert.same({ "alice/phone presence unavailable room/Alice" }, s:upstream());
	end);

	it("J7: is a room that gets presence without a join", function ()
		local s = scene.new();
		local phone, laptop = s:client "phone", s:client "laptop";
		phone:send(scene.presence "Alice");
		assert.same({ "alice/phone presence - room/Alice" }, s:upstream());
		assert.same({ "presence error room/Alice cancel not-acceptable" }, seen(phone));
		s:enter(laptop);
		phone:send(scene.presence "Alicia");
		assert.same({ "alice/phone presence - room/Alicia" }, s:upstream());
		assert.same({ "presence error room/Alicia cancel not-acceptable" }, seen(phone));
		assert.same({}, seen(laptop));
	end);

	it("J7: gets a join without a nick", function ()
		local s = scene.new();
		local phone = s:client "phone";
		phone:send("<presence id='j1' to='room@rooms.example.org'>"..scene.x().."</presence>");
		assert.same({ "presence error room modify jid-malformed" }, seen(phone));
	end);

	it("J7: belongs to an excluded service", function ()
		local s = scene.new { bounces = true; options = { minimix_exclude = { "Rooms.Example.org" } } };
		local phone = s:client "phone";
		phone:send(join "Alice");
		assert.same({ "alice/phone presence - room/Alice join" }, s:upstream());
		assert.is_true(s:is_forgotten());
	end);

	it("J7: belongs to a service that was excluded later, and the account leaves it", function ()
		local options = {};
		local s = scene.new { remote = true, options = options };
		s:enter(s:client "phone");
		options.minimix_exclude = "rooms.example.org";
		s:restart();
		s:wait(60);
		assert.same({}, s:occupants());
		assert.is_true(s:is_forgotten());
	end);

	it("J7: is a contact", function ()
		local s = scene.new();
		local phone, other = s:client "phone", s:client("laptop", "bob");
		phone:send("<presence to='bob@example.org/laptop'>"..scene.x().."</presence>");
		assert.equal("alice@example.org/phone", other:take()[1].attr.from);
		assert.same({}, s.host.outbox);
	end);

	it("J7: may send stanzas to the account without a join", function ()
		local s = scene.new { bounces = true };
		local phone = s:client "phone";
		for _, stanza in ipairs {
			"<message type='groupchat'><body>hi</body></message>";
			"<message type='chat'><body>hi</body></message>";
			"<presence/>";
			"<presence type='unavailable'/>";
			"<iq type='get' id='i1'><query xmlns='jabber:iq:version'/></iq>";
		} do
			assert.is_false(s:from("Bob", stanza, "alice@example.org"), stanza);
			assert.is_false(s:from("Bob", stanza, "carol@example.org/minimix"), stanza);
		end
		assert.same({ "message chat room/Bob hi"; "presence - room/Bob" }, {
			scene.line(phone.inbox[1]), scene.line(phone.inbox[2]);
		});
	end);

	it("J7: may send stanzas to a session's full JID", function ()
		local s = scene.new();
		local phone, laptop = s:client "phone", s:client "laptop";
		s:enter(phone);
		s:from("Bob", "<message type='groupchat'><body>hi</body></message>", laptop.jid);
		assert.same({ "message groupchat room/Bob hi" }, seen(laptop));
		assert.same({}, seen(phone));
	end);

	it("J7: is not handled for another account either", function ()
		local s = scene.new { bounces = true };
		local phone = s:client "phone";
		s:client("phone", "bob");
		s:enter(phone);
		assert.is_false(s:from("Carol", "<message type='groupchat'><body>hi</body></message>", "bob@example.org"));
		assert.same({}, seen(phone));
	end);
end);
