-- Sessions that end or leave, and whether the account stays.

local scene = require "support.scene";

local join, leave, message, seen, status = scene.join, scene.leave, scene.message, scene.seen, scene.status;
local mav = "<mav xmlns='urn:xmpp:muc:affiliations:1'/>";
local no_history = { muc = "<history maxstanzas='0'/>" };

local in_room = scene.in_room;

local function answer_with_other_ids(room)
	local send = room.send;
	function room.send(stanza)
		if stanza.name == "presence" then stanza.attr.id = stanza.attr.id and "of room "..stanza.attr.id; end
		return send(stanza);
	end
end

local ends = {
	["that closes its stream"] = function (client) client:close(); end;
	["that loses its connection"] = function (client) client:lose(); end;
	["whose hibernation expires"] = function (client) client:hibernate(); client:expire(); end;
	["that goes offline"] = function (client) client:unavailable(); end;
	["that another one with the same resource replaces"] = function (client) client.host:client("alice", client.resource); end;
};

describe("a session", function ()
	for name, die in pairs(ends) do
		describe(name, function ()
			scene.everywhere(function (new_scene)
				it("L1: is detached, and the room is not told", function ()
					local s = new_scene();
					s.room:enter "Bob";
					local phone, laptop = s:client "phone", s:client "laptop";
					s:enter(phone);
					s:enter(laptop);
					die(phone);
					s:deliver();
					assert.same({}, s:upstream());
					phone:take();
					s.room:say("Bob", "hi");
					assert.same({}, phone:take());
					assert.same({ "message groupchat room/Bob hi" }, seen(laptop));
					assert.same({}, s.host.unhandled);
				end);

				it("L1: leaves the account in the room, also as the last session", function ()
					local s = new_scene();
					s.room:enter "Bob";
					local phone = s:client "phone";
					s:enter(phone);
					die(phone);
					s:wait(1);
					s.room:say("Bob", "hi");
					s.room:update("Bob", scene.presence(nil, { content = "<show>away</show>" }));
					assert.same({}, s:upstream());
					assert.same({ "Alice" }, s:occupants());
					assert.same({}, s.host.unhandled);
				end);
			end);

			it("J4: does not cancel the account's join", function ()
				local s = scene.new { remote = true };
				local release = scene.hold_back(s.room);
				local phone, laptop = s:client "phone", s:client "laptop";
				phone:send(join("Alice", { id = "j1" }));
				die(phone);
				phone:take();
				s:deliver();
				release();
				laptop:send(join("Alice", { id = "j2" }));
				s:wait(1);
				assert.same({ "presence - room/Alice 110"; "message groupchat room subject:" }, seen(laptop));
				assert.same({}, phone:take());
				assert.same({ "Alice" }, s:occupants());
			end);

			it("J4: is removed from the sessions that wait", function ()
				local s = scene.new { remote = true };
				local release = scene.hold_back(s.room);
				local phone, laptop = s:client "phone", s:client "laptop";
				phone:send(join("Alice", { id = "j1" }));
				laptop:send(join("Alice", { id = "j2" }));
				die(laptop);
				laptop:take();
				s:deliver();
				release();
				assert.same({ "presence - room/Alice 110"; "message groupchat room subject:" }, seen(phone));
				assert.same({}, laptop:take());
			end);

			it("L3: does not cancel the leave that it sent", function ()
				local s = scene.new { remote = true };
				local phone = s:client "phone";
				s:enter(phone);
				local release = scene.hold_back(s.room);
				phone:send(leave "Alice");
				die(phone);
				phone:take();
				s:deliver();
				release();
				assert.same({ "alice presence unavailable room/Alice" }, s:upstream());
				assert.same({}, s:occupants());
				assert.same({}, phone:take());
				assert.is_true(s:is_forgotten());
			end);

			it("J6: gets no answer to its resync", function ()
				local s = scene.new { remote = true };
				s.room:enter "Bob";
				local phone, laptop = s:client "phone", s:client "laptop";
				s:enter(phone);
				s:enter(laptop);
				local release = scene.hold_back(s.room);
				laptop:send(join("Alice", { id = "mav", muc = mav }));
				s:deliver();
				release(1);
				die(laptop);
				laptop:take();
				release();
				s:wait(60);
				assert.same({}, laptop:take());
				assert.same({}, seen(phone));
			end);

			it("L1: is detached from all its rooms", function ()
				local s, phone = in_room();
				local den = s:add_room "den";
				den:enter "Bear";
				phone:send(join("Grizzly", { room = "den" }));
				die(phone);
				phone:take();
				den:say("Bear", "hi");
				s.room:say("Bob", "hi");
				assert.same({}, phone:take());
				assert.same({ "Grizzly" }, s:occupants(den));
				assert.same({ "Alice" }, s:occupants());
			end);
		end);
	end

	it("L1: a session that replaces another does not inherit its rooms", function ()
		local s, phone = in_room();
		local successor = s:client "phone";
		assert.equal(phone.jid, successor.jid);
		s.room:say("Bob", "hi");
		assert.same({}, seen(successor));
		successor:send(message "hi");
		assert.same({ "alice/phone message groupchat room hi" }, s:upstream());
		assert.same({ "message error room modify not-acceptable" }, seen(successor));
		successor:send(join("Alice", no_history));
		assert.same({
			"presence - room/Bob"; "presence - room/Alice 110"; "message groupchat room subject:";
		}, seen(successor));
	end);

	it("L1: a session that was offline must join again", function ()
		local s, phone = in_room();
		phone:unavailable();
		phone:available();
		seen(phone);
		s.room:say("Bob", "hi");
		assert.same({}, seen(phone));
		phone:send(join("Alice", no_history));
		assert.same({
			"presence - room/Bob"; "presence - room/Alice 110"; "message groupchat room subject:";
		}, seen(phone));
		assert.same({}, s:upstream());
	end);

	it("L1: a hibernating session stays attached and misses nothing", function ()
		local s, phone = in_room();
		local laptop = s:enter_laptop();
		phone:hibernate();
		s.room:say("Bob", "one");
		s.room:leave "Bob";
		laptop:send(message "two");
		assert.same({ "alice message groupchat room two" }, s:upstream());
		phone:resume();
		s.room:enter "Carol";
		assert.same({
			"message groupchat room/Bob one";
			"presence unavailable room/Bob";
			"message groupchat room/Alice two";
			"presence - room/Carol";
		}, seen(phone));
	end);

	it("L1: a session that hibernates while the account joins is attached when it resumes", function ()
		local s = scene.new { remote = true };
		local phone = s:client "phone";
		phone:send(join "Alice");
		phone:hibernate();
		s:deliver();
		phone:resume();
		assert.same({ "presence - room/Alice 110"; "message groupchat room subject:" }, seen(phone));
	end);

	it("L1: a session that hibernates while it waits for the account's join is attached when it resumes", function ()
		local s = scene.new { remote = true };
		local phone, laptop = s:client "phone", s:client "laptop";
		phone:send(join "Alice");
		laptop:send(join("Alice", { id = "j2" }));
		laptop:hibernate();
		s:deliver();
		laptop:resume();
		assert.same({ "presence - room/Alice 110"; "message groupchat room subject:" }, seen(laptop));
	end);

	it("L1: a session that ends twice is detached once", function ()
		local s, phone = in_room();
		phone:unavailable();
		phone:unavailable();
		phone:close();
		assert.same({}, s:upstream());
		assert.same({ "Alice" }, s:occupants());
	end);
end);

describe("one of several sessions that leaves", function ()
	scene.everywhere(function (new_scene)
		it("L2: is told at once, and the others are not told", function ()
			local s = new_scene { room = { members = { ["alice@example.org"] = "member" } } };
			s.room:enter "Bob";
			local phone, laptop = s:client "phone", s:client "laptop";
			s:enter(phone);
			s:enter(laptop);
			phone:send(leave("Alice", { id = "l1", content = "<status>bye</status>" }));
			local got = scene.take(phone);
			assert.equal(1, #got);
			assert.equal("presence unavailable room/Alice 110", scene.line(got[1]));
			local item = got[1]:find "{http://jabber.org/protocol/muc#user}x/item";
			assert.equal("none", item.attr.role);
			assert.equal("member", item.attr.affiliation);
			s:deliver();
			assert.same({}, s:upstream());
			assert.same({}, seen(laptop));
			s.room:say("Bob", "hi");
			assert.same({}, seen(phone));
			assert.same({ "message groupchat room/Bob hi" }, seen(laptop));
		end);
	end);

	it("L2: can leave by the bare JID of the room", function ()
		local s, phone = in_room();
		local laptop = s:enter_laptop();
		phone:send(leave());
		assert.same({ "presence unavailable room/Alice 110" }, seen(phone));
		s.room:say("Bob", "hi");
		assert.same({}, seen(phone));
		assert.same({ "message groupchat room/Bob hi" }, seen(laptop));
		assert.same({}, s:upstream());
	end);

	it("L2: can leave with a wrong nick", function ()
		local s, phone = in_room();
		local laptop = s:enter_laptop();
		s.room:rename("Alice", "Alicia");
		seen(phone);
		seen(laptop);
		phone:send(leave "Alice");
		assert.same({ "presence unavailable room/Alicia 110" }, seen(phone));
		assert.same({}, s:upstream());
	end);

	it("L2: a second leave of the session goes to the room itself", function ()
		local s, phone = in_room();
		s:enter_laptop();
		phone:send(leave "Alice");
		seen(phone);
		phone:send(leave "Alice");
		assert.same({ "alice/phone presence unavailable room/Alice" }, s:upstream());
		assert.same({ "Alice" }, s:occupants());
	end);

	it("L2: can join again", function ()
		local s, phone = in_room();
		s:enter_laptop();
		phone:send(leave "Alice");
		phone:send(join("Alice", { id = "back" }));
		assert.same({
			"presence unavailable room/Alice 110";
			"presence - room/Bob"; "presence - room/Alice 110"; "message groupchat room subject:";
		}, seen(phone));
		assert.same({}, s:upstream());
	end);

	it("L2: leaves a hibernating session attached", function ()
		local s, phone = in_room();
		local laptop = s:enter_laptop();
		laptop:hibernate();
		phone:send(leave "Alice");
		assert.same({ "presence unavailable room/Alice 110" }, seen(phone));
		assert.same({}, s:upstream());
		s.room:say("Bob", "hi");
		laptop:resume();
		assert.same({ "message groupchat room/Bob hi" }, seen(laptop));
	end);

	it("L2: gets an answer with the id of its leave", function ()
		local s, phone = in_room();
		s:enter_laptop();
		phone:send(leave("Alice", { id = "l1" }));
		assert.equal("l1", scene.take(phone)[1].attr.id);
	end);
end);

describe("the last session that leaves", function ()
	scene.everywhere(function (new_scene)
		it("L3: makes the account leave, and gets the room's own answer", function ()
			local s = new_scene { room = { occupant_ids = true } };
			local bob = s.room:enter "Bob";
			local phone = s:client "phone";
			s:enter(phone);
			phone:send(leave("Alice", { id = "l1", content = "<status>bye</status>" }));
			s:deliver();
			assert.same({ "alice presence unavailable room/Alice" }, s:upstream());
			assert.equal("bye", bob.inbox[#bob.inbox]:get_child_text "status");
			local got = scene.take(phone);
			assert.equal(1, #got);
			assert.equal("presence unavailable room/Alice 110", scene.line(got[1]));
			assert.is_not_nil(got[1]:get_child("occupant-id", "urn:xmpp:occupant-id:0"));
			assert.same({}, s:occupants());
			assert.is_true(s:is_forgotten());
		end);

		it("L3: can join again", function ()
			local s = new_scene { room = { subject = "Tea" } };
			local phone = s:client "phone";
			s:enter(phone);
			phone:send(leave "Alice");
			s:deliver();
			seen(phone);
			s:upstream();
			s.room:enter "Carol";
			phone:send(join "Alicia");
			s:deliver();
			assert.same({ "alice presence - room/Alicia join" }, s:upstream());
			assert.same({
				"presence - room/Carol"; "presence - room/Alicia 110"; "message groupchat room subject:Tea";
			}, seen(phone));
		end);
	end);

	it("L3: the account stays out, also after a restart", function ()
		local s, phone = in_room();
		phone:send(leave "Alice");
		seen(phone);
		s:wait(7200);
		assert.same({ "alice presence unavailable room/Alice" }, s:upstream());
	end);

	it("L3: can leave with a wrong nick, or none", function ()
		for _, nick in ipairs { "Alicia", false } do
			local s, phone = in_room();
			phone:send(leave(nick or nil));
			assert.same({ "alice presence unavailable room/Alice" }, s:upstream());
			assert.same({ "presence unavailable room/Alice 110" }, seen(phone));
			assert.same({}, s:occupants());
		end
	end);

	it("L3: makes the account leave once, also with several leaves", function ()
		local s, phone = in_room { remote = true };
		phone:send(leave "Alice");
		phone:send(leave "Alice");
		s:deliver();
		assert.same({ "alice presence unavailable room/Alice" }, s:upstream());
		assert.same({ "presence unavailable room/Alice 110" }, seen(phone));
		assert.is_true(s:is_forgotten());
	end);

	it("L3: counts as the last one after the other sessions have ended", function ()
		local s, phone = in_room();
		local laptop = s:enter_laptop();
		laptop:lose();
		phone:send(leave "Alice");
		assert.same({ "alice presence unavailable room/Alice" }, s:upstream());
		assert.same({}, s:occupants());
	end);

	it("L3: does not count as the last one while another session waits for its join", function ()
		local s = scene.new { remote = true };
		s.room:enter "Bob";
		local phone, laptop = s:client "phone", s:client "laptop";
		phone:send(join "Alice");
		laptop:send(join("Alice", { id = "j2" }));
		s:deliver();
		phone:send(leave "Alice");
		s:deliver();
		assert.same({ "Alice" }, s:occupants());
		seen(laptop);
		s.room:say("Bob", "hi");
		assert.same({ "message groupchat room/Bob hi" }, seen(laptop));
	end);

	it("L3: another session joins before the room has confirmed the leave", function ()
		local s, phone = in_room { remote = true };
		local laptop = s:client "laptop";
		phone:send(leave "Alice");
		laptop:send(join("Alice", { id = "j2" }));
		s:wait(1);
		assert.same({ "presence unavailable room/Alice 110" }, seen(phone));
		assert.same({
			"presence - room/Bob"; "presence - room/Alice 110"; "message groupchat room subject:";
		}, seen(laptop));
		assert.same({ "alice presence unavailable room/Alice"; "alice presence - room/Alice join" }, s:upstream());
		assert.same({ "Alice" }, s:occupants());
	end);

	it("L3: joins again before the room has confirmed the leave", function ()
		local s, phone = in_room { remote = true };
		phone:send(leave("Alice", { id = "l1" }));
		phone:send(join("Alicia", { id = "j2" }));
		s:wait(1);
		assert.same({
			"presence unavailable room/Alice 110";
			"presence - room/Bob"; "presence - room/Alicia 110"; "message groupchat room subject:";
		}, seen(phone));
		assert.same({ "Alicia" }, s:occupants());
	end);

	for _, nick in ipairs { "Al"; "Alice" } do
		it("L3, R7: another session joins as "..nick..", and the room answers all at once with other ids", function ()
			local s = scene.new { remote = true };
			answer_with_other_ids(s.room);
			local phone, laptop = s:client "phone", s:client "laptop";
			phone:send(join "Alice");
			phone:send(leave("Alice", { id = "l1" }));
			laptop:send(join(nick, { id = "j2" }));
			s.host:tick(5);
			assert.equal(0, #s.room.received);
			s.room:enter "Bob";
			s:wait(1);
			for _, line in ipairs(seen(laptop)) do
				assert.is_true(not line:find "unavailable" or line == "presence unavailable room/Alice 110 303", line);
			end
			assert.same({ nick }, s:occupants());
			s.room:say("Bob", "hi");
			assert.same({ "message groupchat room/Bob hi" }, seen(laptop));
			s:wait(600);
			assert.same({ nick }, s:occupants());
			s.room:kick(nick);
			assert.equal("presence unavailable room/"..nick.." 110 307", table.concat(seen(laptop)));
			s:wait(60);
			assert.is_true(s:is_forgotten());
		end);
	end

	local failures = {
		["has no answer"] = function (s) s:wait(180); end;
		["does not reach the room"] = function (s)
			s:from("Alicia", "<presence type='error' id='j2'>"..scene.error("cancel", "remote-server-not-found").."</presence>");
		end;
		["is refused for now"] = function (s)
			s:from("Alicia", "<presence type='error' id='j2'>"..scene.error("wait", "service-unavailable").."</presence>");
		end;
	};
	for name, fail in pairs(failures) do
		it("L3, J4, L5: is out in the end if another session's join "..name..", and the leave is lost", function ()
			local s, phone = in_room { remote = true };
			s.room.silent = true;
			phone:send(leave "Alice");
			local laptop = s:client "laptop";
			laptop:send(join("Alicia", { id = "j2" }));
			s:wait(6);
			fail(s);
			local lines = seen(laptop);
			assert.equal(1, #lines);
			assert.matches("^presence error room/Alicia ", lines[1]);
			s.room.silent = false;
			s:upstream();
			s:wait(600);
			for _, line in ipairs(s:upstream()) do assert.is_nil(line:find "join", line); end
			assert.same({}, s:occupants());
			s:wait(600);
			assert.is_true(s:is_forgotten());
		end);
	end

	-- The answer to an earlier join looks like that to the session's own join. The room has ended that stay, and the answer
	-- to the session's join follows.
	local stays_end = {
		["a kick"] = function (s) s.room:kick "Alice"; end;
		["a ban that is lifted"] = function (s) s.room:ban "Alice"; s.room.members = {}; end;
		["a change of affiliation"] = function (s) s.room:remove("Alice", "321"); end;
		["a change to members only"] = function (s) s.room:remove("Alice", "322"); end;
		["a removal without a code"] = function (s) s.room:leave "Alice"; end;
		["a technical removal"] = function (s) s.room:remove("Alice", "333"); end;
		["the end of the service"] = function (s) s.room:remove("Alice", "332"); end;
		["the end of the room"] = function (s) s.room:destroy("elsewhere@rooms.example.org", "because"); end;
	};

	-- Returns a scene in which a room with other ids has admitted Alice by a join from before a leave, and her laptop, whose
	-- join is in flight. Then returns a function that lets the room's answers pass.
	local function admitted_by_earlier_join()
		local s = scene.new { remote = true };
		answer_with_other_ids(s.room);
		local phone, laptop = s:client "phone", s:client "laptop";
		local release = scene.hold_back(s.room);
		phone:send(join "Alice");
		s:deliver();
		phone:send(leave("Alice", { id = "l1" }));
		laptop:send(join("Alice", { id = "j2" }));
		s.host:tick(5);
		return s, laptop, release;
	end

	for name, end_stay in pairs(stays_end) do
		it("L3, R2, R7: another session's join comes after "..name..", and the room answers an earlier join first", function ()
			local s, laptop, release = admitted_by_earlier_join();
			end_stay(s);
			s:deliver();
			assert.same({ "Alice" }, s:occupants());
			release();
			s:wait(60);
			assert.same({ "Alice" }, s:occupants());
			for _, line in ipairs(seen(laptop)) do assert.is_nil(line:find "unavailable", 1, true, line); end
			s.room:enter "Bob";
			assert.same({ "presence - room/Bob" }, seen(laptop));
			s.room:kick "Alice";
			assert.equal("presence unavailable room/Alice 110 307", table.concat(seen(laptop)));
			s:wait(600);
			assert.same({}, s:occupants());
			assert.is_true(s:is_forgotten());
		end);
	end

	it("L3, R2, R7: another session's join comes after a ban, and the room answers an earlier join first", function ()
		local s, laptop, release = admitted_by_earlier_join();
		s.room:ban "Alice";
		s:deliver();
		release();
		s:wait(600);
		local lines = seen(laptop);
		assert.is_truthy(lines[#lines]:find("presence unavailable room/Alice 110 301", 1, true), lines[#lines]);
		assert.same({}, s:occupants());
		assert.is_true(s:is_forgotten());
	end);

	for name, end_stay in pairs(stays_end) do
		local is_technical = name:find "technical" or name:find "service";
		it("L3, R2, R7: another session joins, and "..name.." follows at once, in a room with other ids", function ()
			local s, laptop, release = admitted_by_earlier_join();
			s:deliver();
			end_stay(s);
			release();
			s:wait(60);
			local lines = table.concat(seen(laptop), "; ");
			assert.equal(is_technical == nil, lines:find "unavailable" ~= nil, lines);
			assert.same(is_technical and { "Alice" } or {}, s:occupants());
			assert.equal(not is_technical, s:is_forgotten());
		end);
	end

	it("L3: joins and leaves again before the room has confirmed the leave", function ()
		local s, phone = in_room { remote = true };
		phone:send(leave("Alice", { id = "l1" }));
		phone:send(join("Alice", { id = "j2" }));
		phone:send(leave("Alice", { id = "l2" }));
		s:wait(1);
		local got = seen(phone);
		assert.equal("presence unavailable room/Alice 110", got[#got]);
		assert.same({}, s:occupants());
		assert.is_true(s:is_forgotten());
	end);

	it("L3: is told that it is out if the room does not answer", function ()
		local s, phone = in_room { remote = true };
		phone:send(leave("Alice", { id = "l1" }));
		s.host:drop();
		s.room.silent = true;
		s:wait(90);
		assert.same({ "presence unavailable room/Alice 110" }, seen(phone));
		s.room:say("Bob", "hi");
		assert.same({}, seen(phone));
		assert.same({}, s.host.unhandled);
	end);

	it("L3: another session joins after the leave was lost", function ()
		local s, phone = in_room { remote = true };
		local laptop = s:client "laptop";
		phone:send(leave("Alice", { id = "l1" }));
		s.host:drop();
		laptop:send(join("Alicia", { id = "j2" }));
		s:wait(90);
		assert.same({ "presence unavailable room/Alice 110" }, seen(phone));
		assert.same({
			"presence - room/Bob"; "presence - room/Alicia 110"; "message groupchat room subject:";
		}, seen(laptop));
		assert.same({ "Alicia" }, s:occupants());
	end);

	it("L3: joins again after its leaves were lost", function ()
		local s, phone = in_room { remote = true };
		phone:send(leave("Alice", { id = "l1" }));
		s.host:drop();
		s.room.silent = true;
		s:wait(90);
		s.room.silent = false;
		phone:take();
		phone:send(join("Alicia", { id = "j2" }));
		s:deliver();
		assert.same({
			"presence - room/Bob"; "presence - room/Alicia 110"; "message groupchat room subject:";
		}, seen(phone));
		assert.same({ "Alicia" }, s:occupants());
	end);

	it("L5: the leave of a lost join is not confirmed by another occupant with its nick", function ()
		local s = scene.new { remote = true };
		s.room:enter "Bob";
		local _, lose = scene.hold_back(s.room);
		s:client("phone"):send(join "Alice");
		s:deliver();
		lose();
		s:restart { killed = true };
		s:client("phone"):send(join "Bob");
		s:restart { killed = true };
		s.room:leave "Bob";
		s:wait(60);
		assert.same({}, s:occupants());
		assert.is_true(s:is_forgotten());
	end);

	for _, form in ipairs { "without 110"; "without 110 and id" } do
		it("L5, R7: the leave of an account that was admitted late is retried until confirmed, "..form, function ()
			local s = scene.new { remote = true };
			local send = s.room.send;
			function s.room.send(stanza)
				if stanza.name == "presence" and not stanza.attr.type then
					stanza:get_child("x", "http://jabber.org/protocol/muc#user"):maptags(function (tag)
						if tag.attr.code ~= "110" then return tag; end
					end);
					if form == "without 110 and id" then stanza.attr.id = nil; end
				end
				return send(stanza);
			end
			local phone = s:client "phone";
			phone:send(join "Alice");
			phone:send(leave "Alice");
			function s.room.ignores(_, stanza) return not stanza:get_child("x", "http://jabber.org/protocol/muc"); end
			s:wait(3600);
			assert.same({ "Alice" }, s:occupants());
			s.room.ignores = nil;
			s:wait(2000);
			assert.same({}, s:occupants());
			assert.is_true(s:is_forgotten());
		end);
	end

	it("L5: the leave of an account that was admitted late is retried after a restart", function ()
		local s = scene.new { remote = true };
		local release = scene.hold_back(s.room);
		local phone = s:client "phone";
		phone:send(join "Alice");
		s:deliver();
		phone:send(leave "Alice");
		s.host:drop();
		s.room.silent = true;
		release();
		s:restart { killed = true };
		s:wait(600);
		s.room.silent = false;
		s:wait(2000);
		assert.same({}, s:occupants());
		assert.is_true(s:is_forgotten());
	end);

	it("L5: the leave of an account whose own presence is lost is retried until the room confirms it", function ()
		local s = scene.new { remote = true };
		s.room:enter "Bob";
		local release, lose = scene.hold_back(s.room);
		local phone = s:client "phone";
		phone:send(join "Alice");
		s:deliver();
		release(1);
		lose();
		phone:send(leave "Alice");
		s.host:drop();
		s.room.silent = true;
		s:wait(2000);
		s.room.silent = false;
		s:wait(2000);
		assert.same({}, s:occupants());
		assert.is_true(s:is_forgotten());
	end);

	it("L5: a ping under a nick that the room has changed unheard confirms no leave", function ()
		local s, phone = in_room { remote = true };
		local _, lose = scene.hold_back(s.room);
		s.room:rename("Alice", "Alicia");
		lose();
		local left = 2;
		function s.room.ignores(_, stanza)
			left = left - (stanza.attr.type == "unavailable" and 1 or 0);
			return stanza.attr.type == "unavailable" and left >= 0;
		end
		phone:send(leave "Alice");
		s:wait(120);
		assert.same({}, s:occupants());
		assert.is_true(s:is_forgotten());
	end);

	it("L5: a join that follows the removal of the account is undone, also after a restart", function ()
		local s, phone = in_room { remote = true };
		local laptop = s:client "laptop";
		laptop:send(join("Alice", { muc = mav }));
		laptop:close();
		s.room:kick "Alice";
		function s.room.ignores(_, stanza)
			return stanza.attr.type == "unavailable";
		end
		s:deliver();
		assert.same({ "Alice" }, s:occupants());
		s:restart();
		s.room.ignores = nil;
		s:wait(60);
		assert.same({}, s:occupants());
		assert.is_true(s:is_forgotten());
		assert.matches("^presence unavailable room/Alice 110 307", seen(phone)[1]);
	end);

	it("L3: gets the kick if the room removes the account first", function ()
		local s, phone = in_room { remote = true };
		phone:send(leave "Alice");
		s.room:kick "Alice";
		s:wait(1);
		assert.same({ "presence unavailable room/Alice 110 307" }, seen(phone));
		assert.is_true(s:is_forgotten());
	end);

	it("L3: is told if the account is no occupant of the room", function ()
		local s, phone = in_room();
		s.room:forget "Alice";
		phone:send(leave "Alice");
		s:wait(120);
		assert.same({ "presence unavailable room/Alice 110" }, seen(phone));
		assert.is_true(s:is_forgotten());
	end);

	it("L3: is told if the room answers with an error", function ()
		local s, phone = in_room { remote = true };
		phone:send(leave "Alice");
		s.host:drop();
		s.room:forget "Alice";
		s:from("Alice", "<presence type='error'>"..scene.error("cancel", "item-not-found").."</presence>");
		s:wait(120);
		assert.same({ "presence unavailable room/Alice 110" }, seen(phone));
		assert.is_true(s:is_forgotten());
	end);

	it("L3: is not attached again by stanzas that arrive during the leave", function ()
		local s, phone = in_room { remote = true };
		phone:send(leave "Alice");
		s.room:say("Bob", "hi");
		s:from("Alice", "<presence>"..status "110".."</presence>");
		s:deliver();
		local got = seen(phone);
		assert.equal("presence unavailable room/Alice 110", got[#got]);
		assert.same({}, s:occupants());
		assert.is_true(s:is_forgotten());
	end);

	it("L3: leaves one room and stays in the others", function ()
		local s, phone = in_room();
		local den = s:add_room "den";
		phone:send(join("Grizzly", { room = "den" }));
		seen(phone);
		phone:send(leave("Grizzly", { room = "den" }));
		assert.same({ "presence unavailable den/Grizzly 110" }, seen(phone));
		assert.same({}, s:occupants(den));
		assert.same({ "Alice" }, s:occupants());
	end);
end);

-- Publishes a bookmark as a client does (XEP-0402).
local function bookmark(client, autojoin)
	local function field(var, value)
		return ("<field var='pubsub#%s'><value>%s</value></field>"):format(var, value);
	end
	client:send("<iq type='set' id='bookmark'><pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='urn:xmpp:bookmarks:1'>"
		.."<item id='room@rooms.example.org'><conference xmlns='urn:xmpp:bookmarks:1' autojoin='"..autojoin.."'><nick>Alice</nick></conference></item>"
		.."</publish><publish-options><x xmlns='jabber:x:data' type='submit'>"
		.."<field var='FORM_TYPE' type='hidden'><value>http://jabber.org/protocol/pubsub#publish-options</value></field>"
		..field("persist_items", "true")..field("max_items", "max")
		..field("send_last_published_item", "never")..field("access_model", "whitelist")
		.."</x></publish-options></pubsub></iq>");
	client:take();
end

describe("the last session that leaves a bookmarked room", function ()
	local function in_bookmarked_room()
		local s = scene.new { modules = { "pep", "bookmarks" } };
		s.room:enter "Bob";
		local phone = s:client "phone";
		bookmark(phone, "true");
		s:wait(10);
		s:enter(phone);
		return s, phone;
	end

	it("L3: leaves the account in the room if it is bookmarked with autojoin", function ()
		local s, phone = in_bookmarked_room();
		phone:send(leave("Alice", { id = "l1" }));
		assert.same({ "presence unavailable room/Alice 110" }, seen(phone));
		s:wait(60);
		assert.same({}, s:upstream());
		assert.same({ "Alice" }, s:occupants());
		s.room:say("Bob", "hi");
		assert.same({}, seen(phone));
	end);

	it("L3: makes the account leave if the bookmark has no autojoin", function ()
		local s, phone = in_bookmarked_room();
		bookmark(phone, "false");
		phone:send(leave("Alice", { id = "l1" }));
		assert.same({ "presence unavailable room/Alice 110" }, seen(phone));
		assert.same({}, s:occupants());
	end);
end);
