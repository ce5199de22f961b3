-- Queries of sessions to rooms and occupants, queries of occupants to the account, and self-pings.

local st = require "util.stanza";
local scene = require "support.scene";

local join, query, seen = scene.join, scene.query, scene.seen;

local version = "<query xmlns='jabber:iq:version'/>";
local disco = "<query xmlns='http://jabber.org/protocol/disco#info'/>";
local ping = "<ping xmlns='urn:xmpp:ping'/>";
local owner = "<query xmlns='http://jabber.org/protocol/muc#owner'/>";

local function last(list)
	return list[#list];
end

local function result(id, content)
	return ("<iq type='result' id='%s'>%s</iq>"):format(id, content or "");
end

local function failure(id, kind, condition)
	return ("<iq type='error' id='%s'>%s</iq>"):format(id, scene.error(kind, condition));
end

-- Sends queries to a room that does not answer. Returns the ids of the forwarded queries.
local function ids_of(s)
	local ids = {};
	for i, stanza in ipairs(s:arrived()) do ids[i] = stanza.attr.id; end
	return ids;
end

describe("a query to the room", function ()
	scene.everywhere(function (new_scene)
		it("C3: is sent from the account, and its answer goes to the session that asked", function ()
			local s = new_scene();
			local phone, laptop = s:client "phone", s:client "laptop";
			s:enter(phone);
			s:enter(laptop);
			phone:send(query(disco, { id = "q7" }));
			s:deliver();
			local asked = s:arrived()[1];
			assert.equal(s:occupant_jid(), asked.attr.from);
			assert.not_equal("q7", asked.attr.id);
			local got = scene.take(phone);
			assert.equal(1, #got);
			assert.equal("iq result room query", scene.line(got[1]));
			assert.equal("q7", got[1].attr.id);
			assert.same({}, seen(laptop));
			assert.same({}, s.host.unhandled);
		end);

		it("C3: reaches an occupant, and the answer comes back", function ()
			local s = new_scene();
			local bob = s.room:enter "Bob";
			local phone = s:client "phone";
			s:enter(phone);
			phone:send(query(version, { id = "q7", to = "Bob" }));
			s:deliver();
			assert.equal("iq get room/Alice query", scene.line(last(bob.inbox)));
			s:from("Bob", result(last(bob.inbox).attr.id, version));
			assert.equal("q7", phone.inbox[1].attr.id);
			assert.same({ "iq result room/Bob query" }, seen(phone));
		end);

		it("C3: may fail, as without the module", function ()
			local s = new_scene();
			local phone, laptop = s:client "phone", s:client "laptop";
			s:enter(phone);
			s:enter(laptop);
			phone:send(query(version, { id = "q7", to = "Nobody" }));
			phone:send(query(owner, { id = "q8", type = "set" }));
			s:deliver();
			assert.equal("q7", phone.inbox[1].attr.id);
			assert.equal("q8", phone.inbox[2].attr.id);
			assert.same({ "iq error room/Nobody cancel item-not-found"; "iq error room cancel service-unavailable" }, seen(phone));
			assert.same({}, seen(laptop));
		end);

		it("C3: to the archive keeps the session's own address", function ()
			local s = new_scene();
			local phone = s:client "phone";
			s:enter(phone);
			s.room.on_iq = function (room, stanza)
				room.send(st.message({ from = room.jid, to = stanza.attr.from })
					:tag("result", { xmlns = "urn:xmpp:mam:2", queryid = "f1" }));
				return st.reply(stanza):tag("fin", { xmlns = "urn:xmpp:mam:2" });
			end;
			phone:send(query("<query xmlns='urn:xmpp:mam:2' queryid='f1'/>", { id = "q7", type = "set" }));
			s:deliver();
			assert.same({ "alice/phone iq set room query" }, s:upstream());
			assert.equal("q7", phone.inbox[2].attr.id);
			assert.same({ "message - room"; "iq result room fin" }, seen(phone));
		end);

		it("C8: passes unchanged from a session that has not joined", function ()
			local s = new_scene();
			local phone, stranger = s:client "phone", s:client "stranger";
			s:enter(phone);
			stranger:send(query(disco, { id = "q7" }));
			stranger:send(query(version, { id = "q8", to = "Bob" }));
			s:deliver();
			assert.same({ "alice/stranger iq get room query"; "alice/stranger iq get room/Bob query" }, s:upstream());
			assert.equal("q7", stranger.inbox[1].attr.id);
			assert.same({ "iq result room query"; "iq error room/Bob cancel not-acceptable" }, seen(stranger));
		end);
	end);

	it("C3: is sent with its payload", function ()
		local s, phone = scene.two_devices();
		phone:send("<iq type='set' id='q7' to='room@rooms.example.org' xml:lang='de'><query xmlns='http://jabber.org/protocol/muc#admin'>"
			.."<item nick='Bob' role='none'><reason>because</reason></item></query></iq>");
		local asked = s:arrived()[1];
		assert.equal("de", asked.attr["xml:lang"]);
		assert.equal(
			"<query xmlns='http://jabber.org/protocol/muc#admin'><item nick='Bob' role='none'><reason>because</reason></item></query>",
			s.host.xml(asked.tags[1]));
	end);

	it("C3: may have an id that another session uses", function ()
		local s, phone, laptop = scene.two_devices();
		s.room.silent = true;
		phone:send(query(version, { id = "same" }));
		laptop:send(query(disco, { id = "same" }));
		local ids = ids_of(s);
		assert.not_equal(ids[1], ids[2]);
		s:from(nil, result(ids[2], disco));
		assert.same({}, seen(phone));
		assert.equal("same", laptop.inbox[1].attr.id);
		assert.same({ "iq result room query" }, seen(laptop));
		s:from(nil, failure(ids[1], "cancel", "feature-not-implemented"));
		assert.equal("same", phone.inbox[1].attr.id);
		assert.same({ "iq error room cancel feature-not-implemented" }, seen(phone));
		assert.same({}, seen(laptop));
	end);

	it("C3: accepts an answer from the room that was asked only", function ()
		local s, phone, laptop = scene.two_devices();
		s:add_room("den", { silent = true });
		s:enter(phone, "Grizzly", { room = "den" });
		s.room.silent = true;
		phone:send(query(disco, { id = "q7" }));
		local id = ids_of(s)[1];
		s:from("den@rooms.example.org", result(id, disco));
		s:from("room@elsewhere.example", result(id, disco));
		s:from("rooms.example.org", failure(id, "cancel", "item-not-found"));
		assert.same({}, seen(phone));
		assert.same({}, seen(laptop));
		s:from(nil, result(id, disco));
		assert.equal("q7", phone.inbox[1].attr.id);
		assert.same({ "iq result room query" }, seen(phone));
	end);

	it("C3: gets only the first of two answers", function ()
		local s, phone, laptop = scene.two_devices();
		s.room.silent = true;
		phone:send(query(disco, { id = "q7" }));
		local id = ids_of(s)[1];
		s:from(nil, result(id, disco));
		s:from(nil, result(id, disco));
		s:from(nil, failure(id, "cancel", "item-not-found"));
		s:from(nil, result("made-up", disco));
		s:from(nil, result("q7", disco));
		assert.same({ "iq result room query" }, seen(phone));
		assert.same({}, seen(laptop));
		assert.same({}, s:upstream());
	end);

	it("C3: accepts the answer of an occupant that has changed its nick", function ()
		local s, phone, _, bob = scene.two_devices();
		phone:send(query(version, { id = "q7", to = "Bob" }));
		local id = last(bob.inbox).attr.id;
		s.room:rename("Bob", "Bert");
		seen(phone);
		s:from("Bert", result(id, version));
		assert.equal("q7", phone.inbox[1].attr.id);
	end);

	it("C3: gets an error if it is never answered", function ()
		local s, phone, laptop = scene.two_devices();
		s.room.silent = true;
		phone:send(query(disco, { id = "q7" }));
		local id = ids_of(s)[1];
		s.host:tick(100);
		assert.same({}, seen(phone));
		s.host:tick(60);
		assert.equal("q7", phone.inbox[1].attr.id);
		assert.same({ "iq error room wait remote-server-timeout" }, seen(phone));
		s:from(nil, result(id, disco));
		s.host:tick(600);
		assert.same({}, seen(phone));
		assert.same({}, seen(laptop));
	end);

	it("C3: times out after the configured time", function ()
		local s, phone = scene.two_devices { options = { minimix_iq_timeout = 10 } };
		s.room.silent = true;
		phone:send(query(disco, { id = "q7" }));
		s.host:tick(45);
		assert.same({ "iq error room wait remote-server-timeout" }, seen(phone));
	end);

	it("C3: beyond the limit is refused for one session, but not for another", function ()
		local s, phone, laptop = scene.two_devices { options = { minimix_max_pending_iqs = 2 } };
		s.room.silent = true;
		for i = 1, 3 do
			phone:send(query(disco, { id = "q"..i }));
		end
		laptop:send(query(disco, { id = "l1" }));
		assert.equal("q3", phone.inbox[1].attr.id);
		assert.same({ "iq error room wait resource-constraint" }, seen(phone));
		assert.same({}, seen(laptop));
		local ids = ids_of(s);
		assert.equal(3, #ids);
		s:from(nil, result(ids[1], disco));
		seen(phone);
		phone:send(query(disco, { id = "q4" }));
		assert.same({}, seen(phone));
		assert.same({ "alice iq get room query" }, s:upstream());
	end);

	it("C3: beyond the limit is refused again when new ones have replaced the answered", function ()
		local s, phone = scene.two_devices { options = { minimix_max_pending_iqs = 2 } };
		s.room.silent = true;
		for i = 1, 2 do phone:send(query(disco, { id = "q"..i })); end
		s:from(nil, result(ids_of(s)[1], disco));
		seen(phone);
		phone:send(query(disco, { id = "q3" }));
		phone:send(query(disco, { id = "q4" }));
		assert.equal("q4", phone.inbox[1].attr.id);
		assert.same({ "iq error room wait resource-constraint" }, seen(phone));
	end);

	it("C3: is accepted again when earlier ones have timed out", function ()
		local s, phone = scene.two_devices { options = { minimix_max_pending_iqs = 1, minimix_iq_timeout = 10 } };
		s.room.silent = true;
		phone:send(query(disco, { id = "q1" }));
		s.host:tick(60);
		seen(phone);
		phone:send(query(disco, { id = "q2" }));
		assert.same({}, seen(phone));
	end);

	it("C3: is dropped when its session has ended", function ()
		local s, phone, laptop = scene.two_devices { options = { minimix_max_pending_iqs = 1 } };
		s.room.silent = true;
		phone:send(query(disco, { id = "q7" }));
		local id = ids_of(s)[1];
		phone:lose();
		local successor = s:client "phone";
		s:from(nil, result(id, disco));
		s.host:tick(600);
		assert.same({}, seen(laptop));
		assert.same({}, seen(successor));
		s.room.silent = false;
		s:enter(successor);
		successor:send(query(disco, { id = "q8" }));
		assert.equal("q8", successor.inbox[1].attr.id);
		assert.same({ "iq result room query" }, seen(successor));
	end);

	it("C3: is not affected by the end of another session", function ()
		local s, phone, laptop = scene.two_devices();
		s.room.silent = true;
		phone:send(query(disco, { id = "q7" }));
		laptop:lose();
		s:from(nil, result(ids_of(s)[1], disco));
		local got = scene.take(phone);
		assert.equal("q7", got[1].attr.id);
		assert.same({ "iq result room query" }, scene.lines(got));
	end);

	it("C3: keeps its answer while the session hibernates", function ()
		local s, phone = scene.two_devices { remote = true };
		phone:send(query(disco, { id = "q7" }));
		phone:hibernate();
		s:deliver();
		phone:resume();
		assert.equal("q7", phone.inbox[1].attr.id);
		assert.same({ "iq result room query" }, seen(phone));
	end);

	it("C3: is answered although the session has left the room", function ()
		local s, phone = scene.two_devices { remote = true };
		phone:send(query(disco, { id = "q7" }));
		phone:send(scene.leave "Alice");
		s:deliver();
		assert.same({ "presence unavailable room/Alice 110"; "iq result room query" }, seen(phone));
	end);

	it("C3: is answered although the room has removed the account", function ()
		local s, phone = scene.two_devices { remote = true };
		phone:send(query(disco, { id = "q7" }));
		s.room:kick "Alice";
		s:deliver();
		assert.same({ "presence unavailable room/Alice 110 307"; "iq result room query" }, seen(phone));
	end);

	it("C3: to the account's own nick uses the current nick", function ()
		local s, phone = scene.two_devices();
		s.room:rename("Alice", "Alicia");
		seen(phone);
		phone:send(query("<vCard xmlns='vcard-temp'/>", { id = "q7", to = "Alicia" }));
		assert.same({ "alice iq get room/Alicia vCard" }, { s:upstream()[1] });
	end);

	for name, xmlns in pairs {
		["of its archive's form"] = "urn:xmpp:mam:2";
		["of its archive in an older version"] = "urn:xmpp:mam:1";
	} do
		it("C3: "..name.." passes with the session's own address", function ()
			local s, phone = scene.two_devices();
			phone:send(query("<query xmlns='"..xmlns.."'/>", { id = "q7" }));
			assert.same({ "alice/phone iq get room query" }, s:upstream());
			assert.equal("q7", phone.inbox[1].attr.id);
		end);
	end

	it("C3: to the archive has no limit", function ()
		local s, phone = scene.two_devices { options = { minimix_max_pending_iqs = 1 } };
		s.room.silent = true;
		for i = 1, 3 do
			phone:send(query("<query xmlns='urn:xmpp:mam:2'/>", { id = "q"..i, type = "set" }));
		end
		assert.same({}, seen(phone));
		assert.equal(3, #s:upstream());
	end);

	it("C7: configures a room that the account has just created", function ()
		local s = scene.new { room = { creates = true } };
		local phone = s:client "phone";
		phone:send(join "Alice");
		seen(phone);
		s:upstream();
		s.room.on_iq = function (_, stanza) return st.reply(stanza); end;
		phone:send(query("<query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'/></query>",
			{ id = "own", type = "set" }));
		assert.same({ "alice iq set room query" }, s:upstream());
		assert.equal("own", phone.inbox[1].attr.id);
		assert.same({ "iq result room" }, seen(phone));
	end);

	it("C7: configures a room before its answer to the join is complete", function ()
		local s = scene.new { remote = true, room = { silent = true } };
		local phone = s:client "phone";
		phone:send(join "Alice");
		s:deliver();
		s:upstream();
		s:from("Alice", "<presence>"..scene.status("110 201", { affiliation = "owner" }).."</presence>");
		seen(phone);
		phone:send(query(owner, { id = "own" }));
		s:deliver();
		local id = ids_of(s)[1];
		s:from(nil, result(id, owner));
		assert.equal("own", phone.inbox[1].attr.id);
		assert.same({ "iq result room query" }, seen(phone));
	end);

	for _, attached in ipairs { true, false } do
		it("C7: registers a nick, "..(attached and "in" or "out of").." the room", function ()
			local s = scene.new();
			local phone, stranger = s:client "phone", s:client "stranger";
			s:enter(phone);
			s.room.on_iq = function (_, stanza) return st.reply(stanza); end;
			local client = attached and phone or stranger;
			client:send(query("<query xmlns='jabber:iq:register'/>", { id = "reg" }));
			client:send(query("<query xmlns='jabber:iq:register'><x xmlns='jabber:x:data' type='submit'/></query>", { id = "reg2", type = "set" }));
			assert.equal("reg", client.inbox[1].attr.id);
			assert.equal("reg2", client.inbox[2].attr.id);
			assert.same({ "iq result room"; "iq result room" }, seen(client));
		end);
	end

	it("C7: configures the room from a session that has not joined", function ()
		local s = scene.two_devices();
		local stranger = s:client "stranger";
		s.room.on_iq = function (_, stanza) return st.reply(stanza); end;
		stranger:send(query(owner, { id = "own" }));
		assert.same({ "alice/stranger iq get room query" }, s:upstream());
		assert.same({ "iq result room" }, seen(stranger));
	end);
end);

describe("a self-ping", function ()
	scene.everywhere(function (new_scene)
		it("C4: of an attached session is answered at once", function ()
			local s = new_scene();
			local phone = s:client "phone";
			s:enter(phone);
			phone:send(query(ping, { id = "p1", to = "Alice" }));
			assert.equal("p1", phone.inbox[1].attr.id);
			assert.same({ "iq result room/Alice" }, seen(phone));
			s:deliver();
			assert.equal(0, #s:upstream());
		end);

		it("C4: of a session that has not joined gets not-acceptable", function ()
			local s = new_scene();
			local phone, laptop = s:client "phone", s:client "laptop";
			s:enter(phone);
			laptop:send(query(ping, { id = "p1", to = "Alice" }));
			assert.equal("p1", laptop.inbox[1].attr.id);
			assert.same({ "iq error room/Alice cancel not-acceptable" }, seen(laptop));
			s:deliver();
			assert.equal(0, #s:upstream());
		end);

		it("C4: of a session while the account rejoins gets a timeout error", function ()
			local s = new_scene();
			local phone = s:client "phone";
			s:enter(phone);
			s.room.refuse = { "wait", "service-unavailable" };
			s.room:remove("Alice", "332");
			s:wait(5);
			phone:send(query(ping, { id = "p1", to = "Alice" }));
			local got = scene.take(phone);
			assert.equal("p1", got[1].attr.id);
			assert.equal("iq error room/Alice wait remote-server-timeout", scene.line(got[1]));
		end);
	end);

	it("C4: of a session that has left gets not-acceptable", function ()
		local _, phone = scene.two_devices();
		phone:send(scene.leave "Alice");
		seen(phone);
		phone:send(query(ping, { id = "p1", to = "Alice" }));
		assert.same({ "iq error room/Alice cancel not-acceptable" }, seen(phone));
	end);

	it("C4: of a session that went offline and returned gets not-acceptable", function ()
		local _, phone = scene.two_devices();
		phone:unavailable();
		phone:available();
		seen(phone);
		phone:send(query(ping, { id = "p1", to = "Alice" }));
		assert.same({ "iq error room/Alice cancel not-acceptable" }, seen(phone));
	end);

	it("C4: uses the current nick of the account", function ()
		local s, phone = scene.two_devices();
		s.room:rename("Alice", "Alicia");
		seen(phone);
		phone:send(query(ping, { id = "p1", to = "Alicia" }));
		assert.same({ "iq result room/Alicia" }, seen(phone));
		phone:send(query(ping, { id = "p2", to = "Alice" }));
		assert.same({ "iq error room/Alice cancel item-not-found" }, seen(phone));
	end);

	it("C4: goes to the room if the account is not in it", function ()
		local s, phone = scene.two_devices();
		s.room:kick "Alice";
		seen(phone);
		phone:send(query(ping, { id = "p1", to = "Alice" }));
		assert.equal("alice@example.org/phone", last(s:arrived()).attr.from);
		assert.same({ "iq error room/Alice cancel not-acceptable" }, seen(phone));
	end);

	it("C4: is a query if it goes to another occupant", function ()
		local s, phone, _, bob = scene.two_devices();
		phone:send(query(ping, { id = "p1", to = "Bob" }));
		assert.equal("iq get room/Alice ping", scene.line(last(bob.inbox)));
		s:from("Bob", result(last(bob.inbox).attr.id));
		assert.equal("p1", phone.inbox[1].attr.id);
		assert.same({ "iq result room/Bob" }, seen(phone));
	end);

	it("C4: does not count as a pending IQ of the session", function ()
		local s, phone = scene.two_devices { options = { minimix_max_pending_iqs = 1 } };
		s.room.silent = true;
		phone:send(query(disco, { id = "q1" }));
		phone:send(query(ping, { id = "p1", to = "Alice" }));
		assert.same({ "iq result room/Alice" }, seen(phone));
	end);
end);

describe("a query of an occupant to the account", function ()
	local function asked(xmlns, name)
		return st.stanza(name or "query", { xmlns = xmlns });
	end

	scene.everywhere(function (new_scene)
		it("C5: goes to the session that the room sees, and its answer returns", function ()
			local s = new_scene();
			s.room:enter "Bob";
			local phone, laptop = s:client "phone", s:client "laptop";
			s:enter(phone, "Alice", { content = "<priority>5</priority>" });
			s:enter(laptop, "Alice", { content = "<priority>1</priority>" });
			local id = s.room:query("Bob", "Alice", asked "jabber:iq:version");
			local got = scene.take(phone);
			assert.equal(1, #got);
			assert.equal("iq get room/Bob query", scene.line(got[1]));
			assert.equal(id, got[1].attr.id);
			assert.same({}, seen(laptop));
			phone:send(("<iq type='result' id='%s' to='room@rooms.example.org/Bob'>%s</iq>"):format(id, version));
			s:deliver();
			local answer = s:arrived()[1];
			assert.equal(s:occupant_jid(), answer.attr.from);
			assert.equal(id, answer.attr.id);
			assert.equal("room@rooms.example.org/Bob", answer.attr.to);
		end);

		it("C5: the server answers a ping", function ()
			local s = new_scene();
			s.room:enter "Bob";
			local phone = s:client "phone";
			s:enter(phone);
			local id = s.room:query("Bob", "Alice", asked("urn:xmpp:ping", "ping"));
			s:deliver();
			local answer = s:arrived()[1];
			assert.equal("result", answer.attr.type);
			assert.equal(id, answer.attr.id);
			assert.equal(s:occupant_jid(), answer.attr.from);
			assert.same({}, seen(phone));
		end);

		it("C5: the server answers a query for the vCard", function ()
			local s = new_scene { modules = { "vcard" } };
			s.room:enter "Bob";
			local phone = s:client "phone";
			s:enter(phone);
			phone:send("<iq type='set' id='v1'><vCard xmlns='vcard-temp'><FN>Alice</FN></vCard></iq>");
			phone:take();
			local id = s.room:query("Bob", "Alice", asked("vcard-temp", "vCard"));
			s:deliver();
			local answer = s:arrived()[1];
			assert.equal("result", answer.attr.type);
			assert.equal(id, answer.attr.id);
			assert.equal("Alice", answer:find "{vcard-temp}vCard/FN#");
			assert.same({}, seen(phone));
		end);

		it("C5: the server answers if no session is attached", function ()
			local s = new_scene();
			s.room:enter "Bob";
			local phone, stranger = s:client "phone", s:client "stranger";
			s:enter(phone);
			phone:close();
			stranger:take();
			local id = s.room:query("Bob", "Alice", asked "jabber:iq:version");
			s:deliver();
			local answers = s:arrived();
			assert.equal(1, #answers);
			assert.equal(id, answers[1].attr.id);
			assert.same({}, stranger:take());
			assert.same({ "Alice" }, s:occupants());
		end);
	end);

	it("C5: the server answers a query for PEP nodes", function ()
		local s, phone, laptop = scene.two_devices { modules = { "pep" } };
		local pubsub = asked("http://jabber.org/protocol/pubsub", "pubsub"):tag("items", { node = "urn:xmpp:avatar:metadata" }):reset();
		local id = s.room:query("Bob", "Alice", pubsub);
		local answers = s:arrived();
		assert.equal(1, #answers);
		assert.equal(id, answers[1].attr.id);
		assert.same({}, seen(phone));
		assert.same({}, seen(laptop));
	end);

	it("C5: goes to the session whose presence the room shows at the time", function ()
		local s, phone, laptop = scene.two_devices();
		laptop:send(scene.presence("Alice", { content = "<priority>10</priority>" }));
		seen(phone);
		seen(laptop);
		s.room:query("Bob", "Alice", asked "jabber:iq:version");
		assert.same({}, seen(phone));
		assert.same({ "iq get room/Bob query" }, seen(laptop));
		laptop:lose();
		seen(phone);
		s.room:query("Bob", "Alice", asked "jabber:iq:version");
		assert.same({ "iq get room/Bob query" }, seen(phone));
	end);

	it("C5: may come from the room itself", function ()
		local s, phone = scene.two_devices();
		s:from(nil, "<iq type='get' id='i1'><query xmlns='jabber:iq:version'/></iq>");
		s:from(nil, "<iq type='get' id='i2'><ping xmlns='urn:xmpp:ping'/></iq>");
		assert.same({ "iq get room query" }, seen(phone));
		assert.same({ "alice iq result room" }, s:upstream());
	end);

	it("C5: may fail, and the error returns", function ()
		local s, phone = scene.two_devices();
		local id = s.room:query("Bob", "Alice", asked "jabber:iq:last");
		seen(phone);
		phone:send(("<iq type='error' id='%s' to='room@rooms.example.org/Bob'>%s</iq>"):format(id, scene.error("cancel", "service-unavailable")));
		local answer = s:arrived()[1];
		assert.equal("alice@example.org/minimix", answer.attr.from);
		assert.equal(id, answer.attr.id);
		assert.same({ "Alice" }, s:occupants());
	end);

	it("C5, B3: has no effect without a payload or an id", function ()
		local s, phone = scene.two_devices { remote = true };
		for _, kind in ipairs { "get", "set", "result", "error" } do
			s:from("Bob", "<iq type='"..kind.."' id='i1'/>");
			s:from("Bob", "<iq type='"..kind.."'/>");
		end
		s:from("Bob", "<iq type='nonsense' id='i1'><query xmlns='jabber:iq:version'/></iq>");
		s:from("Bob", "<iq id='i1'/>");
		assert.same({}, seen(phone));
		assert.same({ "Alice" }, s:occupants());
	end);

	it("C5, R6: gets no error for a ping without an attached session", function ()
		local s, phone, laptop = scene.two_devices();
		phone:close();
		laptop:close();
		s.room:query("Bob", "Alice", asked("urn:xmpp:ping", "ping"));
		assert.same({ "alice iq result room/Bob" }, s:upstream());
	end);

	it("C5, R5: is ignored from a room that the account is not in", function ()
		local s, phone = scene.two_devices();
		s:from("room@elsewhere.example/Bob", "<iq type='get' id='i1'><query xmlns='jabber:iq:version'/></iq>");
		assert.same({}, seen(phone));
		assert.equal(1, #s.host.unhandled);
	end);
end);
