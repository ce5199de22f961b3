-- Stanzas that sessions send while the join is pending: newer requests, queued requests, and all others.

local st = require "util.stanza";
local scene = require "support.scene";
local view = require "support.view";

local join, leave, message, presence, query, status, whisper =
	scene.join, scene.leave, scene.message, scene.presence, scene.query, scene.status, scene.whisper;

local version = "<query xmlns='jabber:iq:version'/>";
local wrong, right = "<password>wrong</password>", "<password>secret</password>";

-- Returns a scene with the phone's join in flight to a remote room, with Bob in it.
local function joining(fields, join_fields)
	fields = fields or {};
	if fields.remote == nil then fields.remote = true; end
	local s = scene.new(fields);
	s.room:enter "Bob";
	local phone = s:client "phone";
	phone:send(join("Alice", join_fields));
	return s, phone, view.of(phone);
end

local function with_laptop(s)
	local laptop = s:client "laptop";
	return laptop, view.of(laptop);
end

local function is_from_session(line)
	return line:find "^alice/" ~= nil;
end

-- Returns the stanzas that reached the room, and checks that the account sent them.
local function sent_by_account(s)
	local lines = s:upstream();
	for _, line in ipairs(lines) do
		assert(not is_from_session(line), "sent from the session's own address: "..line);
	end
	return lines;
end

local function count_of(lines, pattern)
	local count = 0;
	for _, line in ipairs(lines) do
		if line:find(pattern) then count = count + 1; end
	end
	return count;
end

local function assert_in(s, seen, nick)
	seen:now();
	assert.equal(nick, seen.nick);
	assert.same({ "Bob" }, seen:occupants());
	assert.same({ nick }, s:occupants());
	local before = #seen.said;
	s.room:say("Bob", "still there?");
	assert.equal(before + 1, #seen:now().said);
end

local function assert_out(s, seen)
	s:wait(120);
	assert.is_nil(seen:now().nick);
	assert.same({}, s:occupants());
	assert.is_true(s:is_forgotten());
end

-- Whether a message reached the room.
local function was_said(s, body)
	for _, entry in ipairs(s.room.history) do
		if entry.stanza:get_child_text("body") == body then return true; end
	end
	return false;
end

describe("a session that joins again before the room has answered", function ()
	it("J8: is attached under the newer nick", function ()
		local s, phone, seen = joining();
		phone:send(join("Alicia", { id = "j2" }));
		s:wait(30);
		assert_in(s, seen, "Alicia");
		assert.is_nil(seen:error "presence j2");
		assert.equal("j2", seen.entered[#seen.entered]);
		assert.truthy(seen.subjects >= 1);
		sent_by_account(s);
	end);

	it("J8: is attached with the newer password", function ()
		local s, phone, seen = joining({ room = { password = "secret" } }, { muc = wrong });
		phone:send(join("Alice", { id = "j2", muc = right }));
		s:wait(30);
		assert_in(s, seen, "Alice");
		assert.is_nil(seen:error "presence j2");
		assert.same({ "j2" }, seen.entered);
	end);

	it("J8: gets the refusal of the newer join, and nothing is left behind", function ()
		local s, phone, seen = joining({ room = { password = "secret" } }, { muc = wrong });
		phone:send(join("Alicia", { id = "j2", muc = wrong }));
		s:wait(30);
		assert.equal("not-authorized", seen:error "presence j2");
		assert_out(s, seen);
	end);

	it("J8: sends only the first and the newest nick to the room", function ()
		local s, phone, seen = joining();
		phone:send(join("Alicia", { id = "j2" }));
		phone:send(join("Ally", { id = "j3" }));
		s:wait(30);
		assert_in(s, seen, "Ally");
		assert.equal("j3", seen.entered[#seen.entered]);
		assert.equal(0, count_of(sent_by_account(s), "room/Alicia"));
	end);

	it("J8: may return to the nick that it asked for first", function ()
		local s, phone, seen = joining();
		phone:send(join("Alicia", { id = "j2" }));
		phone:send(join("Alice", { id = "j3" }));
		s:wait(30);
		assert_in(s, seen, "Alice");
		assert.equal("j3", seen.entered[#seen.entered]);
	end);

	it("J8: is attached under the newer nick if the room never answers the first", function ()
		local s, phone, seen = joining();
		s.room.ignores = function (_, stanza) return stanza.attr.to == s.room.jid.."/Alice"; end;
		phone:send(join("Alicia", { id = "j2" }));
		s:wait(6);
		assert_in(s, seen, "Alicia");
	end);

	it("J8: replaces its join in the queue", function ()
		local s = joining({ room = { password = "secret" } }, { muc = wrong });
		local laptop, seen = with_laptop(s);
		laptop:send(join("Alice", { id = "j2", muc = wrong }));
		laptop:send(join("Alicia", { id = "j3", muc = right }));
		s:wait(30);
		assert_in(s, seen, "Alicia");
		assert.same({ "j3" }, seen.entered);
		assert.equal(2, count_of(s:upstream(), " join$"));
	end);

	it("J8: drops its join in the queue when a later one is served from the cache", function ()
		local s, phone = scene.in_room { remote = true };
		phone:send(scene.presence("Anna", { id = "j1" }));
		phone:send(join("Al", { id = "j2" }));
		phone:send(join("Alice", { id = "j3" }));
		s:wait(30);
		assert.same({ "Anna" }, s:occupants());
	end);

	it("J8: is out after the refusal of the newer join, although the first has no answer", function ()
		local s, phone, seen = joining();
		s.room.ignores = function (_, stanza) return stanza.attr.to == s.room.jid.."/Alice"; end;
		phone:send(join("Bob", { id = "j2" }));
		local laptop, laptop_seen = with_laptop(s);
		laptop:send(join("Alicia", { id = "j3" }));
		s:wait(70);
		assert_in(s, laptop_seen, "Alicia");
		assert.equal("conflict", seen:now():error "presence j2");
		assert.is_nil(seen.nick);
		assert.same({}, seen.said);
	end);
end);

describe("a session that leaves before the room has answered", function ()
	-- Returns a scene with a join in flight behind the repetition of a leave that the room has not confirmed.
	local function joining_after_leave()
		local s, phone = scene.in_room { remote = true };
		s.room.silent = true;
		phone:send(leave("Alice", { id = "l1" }));
		s:wait(70);
		s.host.wire = {};
		phone:send(join("Alicia", { id = "j2" }));
		return s, phone;
	end

	it("J8: withdraws its join, and is told once", function ()
		local s, phone, seen = joining();
		phone:send(leave("Alice", { id = "l1" }));
		s:wait(10);
		assert.equal(1, seen:now().left);
		assert.same({}, seen:failed());
		assert_out(s, seen);
		assert.equal(1, seen.left);
	end);

	it("J8: is told when the join would have timed out, if the room does not answer", function ()
		local s, phone, seen = joining { room = { silent = true } };
		phone:send(leave("Alice", { id = "l1" }));
		s:wait(70);
		assert.equal(1, seen:now().left);
		assert.same({}, seen:failed());
	end);

	it("J8: may leave twice, and is told once", function ()
		local s, phone, seen = joining();
		phone:send(leave("Alice", { id = "l1" }));
		phone:send(leave("Alice", { id = "l2" }));
		s:wait(10);
		assert.equal(1, seen:now().left);
		assert.same({}, seen:failed());
		assert_out(s, seen);
	end);

	for _, form in ipairs { ""; ", in a room that sends no ids" } do
		it("L5, J8: is out after a restart although the room has confirmed only the leave ahead of its join"..form, function ()
			local s, phone = joining_after_leave();
			local send = s.room.send;
			function s.room.send(stanza)
				if form ~= "" then stanza.attr.id = nil; end
				send(stanza);
			end
			phone:send(leave("Alicia", { id = "l2" }));
			local sent = s.host.wire;
			assert.same({ "unavailable"; nil; "unavailable" }, { sent[1].attr.type; sent[2].attr.type; sent[3].attr.type });
			s.host.wire, s.room.silent = {}, false;
			s.room:receive(sent[1]);
			s.room:receive(sent[2]);
			assert.same({ "Alicia" }, s:occupants());
			s.host.wire = {};
			s:restart { killed = true };
			s:wait(600);
			assert.same({}, s:occupants());
			assert.is_true(s:is_forgotten());
		end);
	end

	it("L5, J8: is out after a restart although the room has removed it between a session's join and its leave", function ()
		local s, phone = scene.in_room { remote = true };
		local laptop = s:client "laptop";
		laptop:send(join("Alice", { id = "j2"; muc = "<mav xmlns='urn:xmpp:muc:affiliations:1'/>" }));
		laptop:close();
		phone:send(leave("Alice", { id = "l1" }));
		local sent = s.host.wire;
		s.host.wire = {};
		s.room:kick "Alice";
		s.room:receive(sent[1]);
		assert.same({ "Alice" }, s:occupants());
		s.host.wire = {};
		s:restart { killed = true };
		s:wait(600);
		assert.same({}, s:occupants());
		assert.is_true(s:is_forgotten());
	end);

	it("L5, J6: is in after a reload before the room confirms the leave ahead of its next join", function ()
		local s, phone = joining_after_leave();
		s:from("Alice", "<presence>"..status("110").."</presence>");
		s:from(nil, "<message type='groupchat'><subject/></message>");
		s.host:reload();
		s.room.silent = false;
		s:wait(120);
		phone:take();
		assert.same({ "Alicia" }, s:occupants());
		s.room:say("Bob", "still there?");
		assert.same({ "still there?" }, scene.bodies(scene.take(phone)));
	end);

	it("L5, J6: is in although the room confirms an earlier leave under another nick first", function ()
		local s, phone = joining_after_leave();
		s:from("Eve", "<presence type='unavailable'>"..status("110", { role = "none" }).."</presence>");
		s:from("Alice", "<presence id='other'>"..status("110").."</presence>");
		s:from(nil, "<message type='groupchat'><subject/></message>");
		s:from("Alice", "<presence type='unavailable' id='other'>"..status("110", { role = "none" }).."</presence>");
		s:from("Alicia", "<presence id='j2'>"..status("110").."</presence>");
		s:from(nil, "<message type='groupchat'><subject/></message>");
		phone:take();
		s:from("Bob", "<message type='groupchat'><body>still there?</body></message>");
		assert.same({ "still there?" }, scene.bodies(scene.take(phone)));
	end);

	it("J6, C2: is told of its nick after a reload that follows the confirmation of the leave ahead of its join", function ()
		local s, phone = joining_after_leave();
		s:from("Alice", "<presence>"..status("110").."</presence>");
		s:from(nil, "<message type='groupchat'><subject/></message>");
		s:from("Alice", "<presence type='unavailable'>"..status("110", { role = "none" }).."</presence>");
		phone:take();
		s.host:reload();
		s:from("Alicia", "<presence id='j2'>"..status("110").."</presence>");
		local lines = scene.seen(phone);
		assert.equal("presence unavailable room/Alice 110 303", lines[1]);
		assert.equal("presence - room/Alicia 110", lines[2]);
	end);

	-- The room gets a leave and a join for a nick that another occupant took before. It has shown no presence with 110.
	for _, form in ipairs {
		{ "a message"; function (s) s:from("Eve", "<message type='groupchat'><body>hi</body></message>"); end };
		{ "a new subject"; function (s) s:from("Eve", "<message type='groupchat'><subject>Tea</subject></message>"); end };
		{ "nothing for 15 s"; function (s) s:wait(15); end };
	} do
		it("J8, R2: is not in under the nick of another occupant, after "..form[1], function ()
			local s, phone = joining { room = { silent = true } };
			phone:send(leave("Alice", { id = "l1" }));
			phone:send(join("Eve", { id = "j2" }));
			s:wait(10);
			local sent = s:arrived();
			local leave_id = sent[#sent - 1].attr.id;
			phone:take();
			s:from("Eve", "<presence>"..status("", { jid = "eve@elsewhere.example/client" }).."</presence>");
			form[2](s);
			local left = { role = "none"; jid = s:occupant_jid "alice" };
			s:from("Alice", "<presence type='unavailable' id='"..leave_id.."'>"..status("110", left).."</presence>");
			s:from("Eve", "<presence type='error' id='j2'>"..scene.error("cancel", "conflict").."</presence>");
			for _, line in ipairs(scene.seen(phone)) do
				assert.is_nil(line:find "^presence unavailable room/Alice");
			end
		end);
	end

	for _, form in ipairs {
		{ "a message"; function (s) s:from("Eve", "<message type='groupchat'><body>hi</body></message>"); end };
		{ "a new subject"; function (s) s:from("Eve", "<message type='groupchat'><subject>Tea</subject></message>"); end };
		{ "nothing for 15 s"; function (s) s:wait(15); end };
	} do
		it("J8, R7: is in under the nick of its second join, after a presence with that of the first one and "..form[1], function ()
			local s, phone, seen = joining { room = { silent = true } };
			phone:send(leave("Alice", { id = "l1" }));
			phone:send(join("Eve", { id = "j2" }));
			s:wait(10);
			phone:send(join("Alicia", { id = "j3" }));
			s:wait(10);
			local sent = s:arrived();
			local leave_id = sent[#sent - 2].attr.id;
			s:from("Eve", "<presence>"..status("", { jid = "eve@elsewhere.example/client" }).."</presence>");
			form[2](s);
			local left = { role = "none"; jid = s:occupant_jid "alice" };
			s:from("Alice", "<presence type='unavailable' id='"..leave_id.."'>"..status("110", left).."</presence>");
			s:from("Eve", "<presence type='error' id='j2'>"..scene.error("cancel", "conflict").."</presence>");
			s:from("Alicia", "<presence id='j3'>"..status("110", { jid = s:occupant_jid "alice" }).."</presence>");
			s:from(nil, "<message type='groupchat'><subject/></message>");
			s:wait(60);
			assert.equal("Alicia", seen:now().nick);
		end);
	end

	it("J8: is told that it is out after all stanzas of the room", function ()
		local s, phone, seen = joining { room = { silent = true } };
		s:deliver();
		s:from("Bob", "<presence>"..status "".."</presence>");
		seen:now();
		phone:send(leave("Alice", { id = "l1" }));
		s:from("Alice", "<presence id='j1'>"..status "110".."</presence>");
		s:from(nil, "<message type='groupchat'><subject>Tea</subject></message>");
		s:from("Bob", "<message type='groupchat'><body>hi</body></message>");
		s.room.silent = false;
		s:wait(70);
		seen:now();
		assert.is_nil(seen.nick);
		assert.equal(1, seen.left);
	end);

	it("J8: may join again at once, and is attached", function ()
		local s, phone, seen = joining();
		phone:send(leave("Alice", { id = "l1" }));
		phone:send(join("Alice", { id = "j2" }));
		s:wait(30);
		assert_in(s, seen, "Alice");
		assert.equal("j2", seen.entered[#seen.entered]);
		assert.truthy(seen.left <= 1);
		assert.same({}, seen:failed());
	end);

	it("J8, J7: needs a nick to join again", function ()
		local s, phone, seen = joining();
		s:deliver();
		phone:send(leave("Alice", { id = "l1" }));
		phone:send(join(nil, { id = "j2" }));
		s:wait(30);
		assert.same({ "j1" }, seen:now().entered);
		assert_out(s, seen);
	end);

	it("J8: may join again under another nick, and is attached under that", function ()
		local s, phone, seen = joining();
		phone:send(leave("Alice", { id = "l1" }));
		phone:send(join("Alicia", { id = "j2" }));
		s:wait(30);
		assert_in(s, seen, "Alicia");
		assert.same({}, seen:failed());
	end);

	it("J8: may join and leave twice in a row, and is out", function ()
		local s, phone, seen = joining();
		phone:send(leave("Alice", { id = "l1" }));
		phone:send(join("Alice", { id = "j2" }));
		phone:send(leave("Alice", { id = "l2" }));
		s:wait(30);
		assert.truthy(seen:now().left >= 1);
		assert.same({}, seen:failed());
		assert_out(s, seen);
	end);

	it("J8: gets no refusal of a join that was withdrawn and repeated", function ()
		local s, phone, seen = joining({ room = { password = "secret" } }, { muc = wrong });
		phone:send(leave("Alice", { id = "l1" }));
		phone:send(join("Alice", { id = "j2", muc = right }));
		s:wait(30);
		assert_in(s, seen, "Alice");
		assert.is_nil(seen:error "presence j2");
	end);

	it("J8: gives way to the next request in the queue", function ()
		local s, phone, seen = joining();
		local laptop, laptop_seen = with_laptop(s);
		laptop:send(join("Alicia", { id = "j2" }));
		phone:send(leave("Alice", { id = "l1" }));
		s:wait(10);
		assert.equal(1, seen:now().left);
		assert.is_nil(seen.nick);
		assert.truthy(laptop_seen:now().nick);
		assert_in(s, laptop_seen, laptop_seen.nick);
		assert.is_nil(laptop_seen:error "presence j2");
	end);
end);

describe("a join that the room leaves unanswered", function ()
	-- The room never answers presence to these nicks.
	local function ignore(s, ...)
		local ignored = {};
		for _, nick in ipairs { ... } do ignored[s.room.jid.."/"..nick] = true; end
		s.room.ignores = function (_, stanza) return stanza.name == "presence" and ignored[stanza.attr.to]; end;
	end

	it("J9: does not delay the next request for more than 5 seconds", function ()
		local s = joining();
		ignore(s, "Alice");
		local laptop, seen = with_laptop(s);
		laptop:send(join("Alicia", { id = "j2" }));
		s:wait(6);
		assert_in(s, seen, "Alicia");
		assert.same({ "j2" }, seen.entered);
		sent_by_account(s);
	end);

	it("J9: is answered when the next request has succeeded", function ()
		local s, _, seen = joining();
		ignore(s, "Alice");
		local laptop = with_laptop(s);
		laptop:send(join("Alicia", { id = "j2" }));
		s:wait(70);
		assert.same({}, seen:failed());
		assert_in(s, seen, "Alicia");
		assert.same({ "j1" }, seen.entered);
	end);

	it("J9: delays each queued request for at most 5 seconds", function ()
		local s = joining();
		ignore(s, "Alice", "Alicia");
		local laptop = with_laptop(s);
		laptop:send(join("Alicia", { id = "j2" }));
		local tablet = s:client "tablet";
		local seen = view.of(tablet);
		tablet:send(join("Ally", { id = "j3" }));
		s:wait(11);
		assert_in(s, seen, "Ally");
	end);

	for name, codes in pairs { leave = "110"; kick = "307 110"; shutdown = "332 110" } do
		it(("J1, R2: gets an error of its own after the %s of an earlier stay under another nick"):format(name), function ()
			local s, _, seen = joining();
			ignore(s, "Alice");
			s:deliver();
			s:from("Anna", "<presence type='unavailable'>"..status(codes, { role = "none" }).."</presence>");
			s:wait(5);
			assert.equal("remote-server-timeout", seen:now():error "presence j1");
			assert_out(s, seen);
		end);
	end

	it("J9: does not delay a later request for more than 5 seconds", function ()
		local s = joining();
		ignore(s, "Alice");
		s:wait(20);
		local laptop, seen = with_laptop(s);
		laptop:send(join("Alicia", { id = "j2" }));
		s:wait(6);
		assert_in(s, seen, "Alicia");
	end);

	it("J9, J10: does not make a later nick change a join", function ()
		local s, phone = scene.in_room { remote = true };
		local seen = view.of(phone);
		phone:send(join("Alicia", { id = "j2" }));
		phone:send(presence("Al", { id = "n1" }));
		s.room:kick "Alice";
		s.room.silent = true;
		s:wait(70);
		assert.equal(0, count_of(sent_by_account(s), "room/Al$"));
		assert.equal("remote-server-timeout", seen:now():error "presence j2");
	end);

	it("J9: has the full timeout without another request, and is sent once", function ()
		local s, _, seen = joining();
		s.host:tick(50);
		s:deliver();
		assert_in(s, seen, "Alice");
		assert.same({ "j1" }, seen.entered);
		assert.equal(1, count_of(sent_by_account(s), " join$"));
	end);

	it("J9, R7: may be answered when the next request has been tried", function ()
		local s, _, seen = joining();
		local laptop, laptop_seen = with_laptop(s);
		laptop:send(join("Alicia", { id = "j2" }));
		s.host:tick(7);
		s:deliver();
		s:wait(120);
		local nick = s:occupants()[1];
		assert_in(s, seen, nick);
		assert_in(s, laptop_seen, nick);
		assert.same({}, seen:failed());
		assert.same({}, laptop_seen:failed());
		sent_by_account(s);
	end);

	for _, id in ipairs { "j1"; "x"; "" } do
		local id_attribute = id ~= "" and (" id='%s'"):format(id) or "";

		it("J9, R7: may be answered late, without 110, while the next request is for another's nick: "..id_attribute, function ()
			local s = scene.new { remote = true };
			local phone, laptop = s:client "phone", s:client "laptop";
			phone:send(join("Alice", { id = "j1" }));
			laptop:send(join("Bob", { id = "j2" }));
			s.host:tick(6);
			s.host:drop();
			s:from("Bob", "<presence>"..scene.status "".."</presence>");
			s:from("Alice", ("<presence%s>%s</presence>"):format(id_attribute, scene.status ""));
			s:from(nil, "<message type='groupchat'><subject/></message>");
			assert.same({ "presence - room/Bob"; "presence - room/Alice"; "message groupchat room subject:" }, scene.seen(phone));
			s:from("Bob", "<presence type='error' id='j2'>"..scene.error("cancel", "conflict").."</presence>");
			assert.same({
				"presence - room/Bob"; "presence - room/Alice 110 210"; "message groupchat room subject:";
			}, scene.seen(laptop));
		end);
	end

	for _, subject in ipairs { "a subject"; "no subject" } do
		-- The room answers late. The phone asks for one nick, and then the laptop for another.
		local function both_asked()
			local s, phone, seen = joining();
			local laptop, laptop_seen = with_laptop(s);
			local release = scene.hold_back(s.room);
			local hold = s.room.send;
			function s.room.send(stanza)
				if subject == "a subject" or stanza.name ~= "message" then return hold(stanza); end
			end
			s:deliver();
			laptop:send(join("Alicia", { id = "j2" }));
			s.host:tick(6);
			s:upstream();
			return s, phone, seen, laptop, laptop_seen, release;
		end

		it("J9, R2: is answered with "..subject..", and a kick follows before the room gets the next one", function ()
			local s, phone, _, _, laptop_seen, release = both_asked();
			s.room:kick "Alice";
			s:deliver();
			assert.same({ "Alicia" }, s:occupants());
			release();
			s:wait(60);
			local lines = scene.seen(phone);
			assert.equal("presence unavailable room/Alice 110 307", lines[#lines]);
			assert.same({ "j2" }, laptop_seen:now().entered);
			assert_in(s, laptop_seen, "Alicia");
			assert.same({ "alice presence - room/Alicia join" }, s:upstream());
		end);

		it("J9, R2: is answered with "..subject..", and a kick follows after the room has changed the nick by the next one", function ()
			local s, phone, _, laptop, _, release = both_asked();
			s:deliver();
			s.room:kick "Alicia";
			s:upstream();
			release();
			s:wait(600);
			local lines = scene.seen(phone);
			assert.equal("presence unavailable room/Alicia 110 307", lines[#lines]);
			lines = scene.seen(laptop);
			assert.equal("presence unavailable room/Alicia 110 307", lines[#lines]);
			assert.same({}, s:upstream());
			assert.same({}, s:occupants());
			assert.is_true(s:is_forgotten());
		end);
	end

	it("J9, R7: may be answered late under the same nick as the next request", function ()
		local s, _, seen = joining();
		local laptop, laptop_seen = with_laptop(s);
		laptop:send(join("Alice", { id = "j2" }));
		s.host:tick(7);
		s:deliver();
		s:wait(120);
		assert_in(s, seen, "Alice");
		assert_in(s, laptop_seen, "Alice");
		assert.same({}, seen:failed());
		assert.same({}, laptop_seen:failed());
	end);

	-- The room's stanzas arrive some seconds late. Other occupants see a presence for each join.
	for _, latency in ipairs { 8, 20, 29 } do
		it("J9, P1: is sent once if others of the same nick follow, with answers after "..latency.." s", function ()
			local s, _, seen = joining();
			local laptop, laptop_seen = with_laptop(s);
			local tablet = s:client "tablet";
			local tablet_seen = view.of(tablet);
			local send = scene.hold_back(s.room);
			s:wait(1);
			laptop:send(join("Alice", { id = "j2" }));
			s:wait(3);
			tablet:send(join("Alice", { id = "j3" }));
			s:wait(latency - 4);
			send();
			s:wait(120);
			for _, each in ipairs { seen, laptop_seen, tablet_seen } do
				assert_in(s, each, "Alice");
				assert.same({}, each:failed());
			end
			assert.equal(1, count_of(sent_by_account(s), " join$"));
		end);
	end

	for _, returns in ipairs { false, true } do
		it("J9, J2: whose answer stops after some occupants shares them with the next one"
			..(returns and ", when the account returns" or ""), function ()
			local s = scene.new { remote = true };
			s.room:enter "Bob";
			local phone = s:client "phone";
			local seen = view.of(phone);
			if returns then
				s:enter(phone);
				s.room:forget "Alice";
				s:from("Bob", ("<presence type='error'>%s</presence>"):format(scene.error("cancel", "item-not-found")), s:occupant_jid "alice");
			end
			local send = scene.hold_back(s.room);
			if returns then s:wait(1); else phone:send(join("Alice", { id = "j1" })); end
			s:wait(1);
			send(1);
			local laptop, laptop_seen = with_laptop(s);
			laptop:send(join("Alicia", { id = "j2" }));
			s:wait(8);
			send();
			s:wait(60);
			if not returns then assert_in(s, seen, seen:now().nick); end
			assert_in(s, laptop_seen, laptop_seen:now().nick);
			local tablet = s:client "tablet";
			tablet:send(join(laptop_seen.nick, { id = "j3" }));
			assert.truthy(table.concat(scene.lines(scene.take(tablet)), "\n"):find("room/Bob", 1, true));
		end);
	end

	it("J9, J2: whose answer stops after some occupants keeps them when the next one fails", function ()
		local s, phone = scene.in_room { remote = true };
		local seen = view.of(phone);
		phone:send(join "Alice");
		s.room:forget "Alice";
		ignore(s, "Alicia");
		s:from("Bob", ("<presence type='error'>%s</presence>"):format(scene.error("cancel", "item-not-found")), s:occupant_jid "alice");
		local send = scene.hold_back(s.room);
		-- The room answers a self-ping and a query to its archive, and shows Bob.
		for _ = 1, 3 do
			s:wait(2);
			send(1);
		end
		local laptop, laptop_seen = with_laptop(s);
		laptop:send(join("Alicia", { id = "j2" }));
		s:wait(8);
		assert.equal(1, count_of(sent_by_account(s), "room/Alicia join$"));
		s:from("Alicia", ("<presence type='error' id='j2'>%s</presence>"):format(scene.error("cancel", "remote-server-not-found")));
		assert.equal("remote-server-not-found", laptop_seen:now():error "presence j2");
		send();
		assert_in(s, seen, "Alice");
	end);

	it("J9, J2: of a lost account is followed by one that does not show an occupant of the time before", function ()
		local s, phone = scene.in_room { remote = true };
		phone:close();
		s.room:remove("Alice", "332");
		s.room.silent = true;
		local joins = 0;
		while joins == 0 do
			s:wait(1);
			joins = count_of(sent_by_account(s), "room/Alice join$");
		end
		s.room:leave "Bob";
		s.room.silent = false;
		local laptop, seen = with_laptop(s);
		laptop:send(join("Alicia", { id = "j2" }));
		s:wait(8);
		seen:now();
		assert.equal("Alicia", seen.nick);
		assert.same({}, seen:occupants());
	end);

	it("R7, J2: is withdrawn and replaced, and no occupant of its late answer is shown, without 110", function ()
		local s, phone = joining();
		s.host:drop();
		s.room.silent = true;
		phone:send(leave("Alice", { id = "l1" }));
		phone:send(join("Al", { id = "j2" }));
		s:wait(6);
		scene.take(phone);
		for _, nick in ipairs { "Bob", "Alice" } do s:from(nick, "<presence>"..status "".."</presence>"); end
		s:from(nil, "<message type='groupchat'><subject/></message>");
		s:from("Alice", "<presence type='unavailable'>"..status("", { role = "none" }).."</presence>");
		for _, nick in ipairs { "Carol", "Al" } do s:from(nick, "<presence>"..status "".."</presence>"); end
		s:from(nil, "<message type='groupchat'><subject/></message>");
		assert.same({ "presence - room/Carol"; "presence - room/Al"; "message groupchat room subject:" }, scene.seen(phone));
	end);

	it("J9: delays the next request of the same nick for 5 seconds if the answer is lost", function ()
		local s = joining();
		local laptop, seen = with_laptop(s);
		local _, drop = scene.hold_back(s.room);
		s:wait(1);
		laptop:send(join("Alice", { id = "j2" }));
		s:wait(1);
		drop();
		s:wait(5);
		assert_in(s, seen, "Alice");
		assert.same({ "j2" }, seen.entered);
	end);

	it("J9, R7: may be refused late, which fails no other request", function ()
		local s, _, seen = joining();
		s.room:enter "Alice";
		local laptop, laptop_seen = with_laptop(s);
		laptop:send(join("Alicia", { id = "j2" }));
		s.host:tick(7);
		s:deliver();
		s:wait(120);
		seen:now();
		laptop_seen:now();
		assert.equal("Alicia", laptop_seen.nick);
		assert.same({}, laptop_seen:failed());
		assert.truthy(seen.nick or seen:error "presence j1");
		assert.same({ "Alicia" }, s:occupants());
	end);

	it("J9, R7: may be refused when the next request has succeeded, which removes no session", function ()
		local s, _, seen = joining();
		ignore(s, "Alice");
		local laptop, laptop_seen = with_laptop(s);
		laptop:send(join("Alicia", { id = "j2" }));
		s:wait(6);
		local first;
		for _, stanza in ipairs(s.room.received) do
			first = first or stanza.attr.to == s.room.jid.."/Alice" and stanza;
		end
		s:from("Alice", st.error_reply(first, "cancel", "not-allowed"));
		s:wait(120);
		assert_in(s, laptop_seen, "Alicia");
		assert.same({}, laptop_seen:failed());
		assert.truthy(seen:now().nick or seen:error "presence j1");
	end);

	for name, fields in pairs {
		["in order"] = { 1, 2 }; ["in the other order"] = { 2, 1 }; ["in order, without ids"] = { 1, 2, no_ids = true };
	} do
		it("J4, J9, R2: is answered with a kick, like the next request, and each session gets its own: "..name, function ()
			local s, phone = joining { room = { silent = true } };
			local laptop = s:client "laptop";
			laptop:send(join("Alicia", { id = "j2" }));
			s:wait(6);
			local nicks = { "Alice"; "Alicia" };
			for _, i in ipairs(fields) do
				local id = fields.no_ids and "" or (" id='j%d'"):format(i);
				s:from(nicks[i], ("<presence type='unavailable'%s>%s</presence>"):format(id, status("110 307", { role = "none" })));
			end
			for i, client in ipairs { phone, laptop } do
				local got = scene.take(client);
				assert.same({ "presence unavailable room/"..nicks[i].." 110 307" }, scene.lines(got));
				assert.equal("j"..i, got[1].attr.id);
			end
			assert.is_true(s:is_forgotten());
		end);
	end

	it("J9, R2: is answered, and a kick under the nick of the next request follows before the subject", function ()
		local s, phone = joining { room = { silent = true } };
		local laptop = s:client "laptop";
		laptop:send(join("Alicia", { id = "j2" }));
		s:wait(6);
		s:from("Alice", "<presence id='j1'>"..status("110").."</presence>");
		s:from("Alicia", "<presence type='unavailable'>"..status("110 307", { role = "none" }).."</presence>");
		s.room.silent = false;
		s:wait(6);
		assert.same({
			"presence - room/Alice 110";
			"presence unavailable room/Alice 110 303"; "presence - room/Alicia 110"; "presence unavailable room/Alicia 110 307";
		}, scene.seen(phone));
		assert.same({ "presence unavailable room/Alicia 110 307" }, scene.seen(laptop));
		assert.is_true(s:is_forgotten());
		assert.same({}, s:occupants());
	end);

	it("J4, R2: is answered with a kick before it, and the room is left if it then admits the account under another nick", function ()
		local s, phone = scene.in_room { remote = true };
		local laptop = s:client "laptop";
		laptop:send(join("Alice", { id = "j2"; muc = "<mav xmlns='urn:xmpp:muc:affiliations:1'/>" }));
		local release, lose = scene.hold_back(s.room);
		s.room:kick "Alice";
		release(1);
		phone:take();
		s.room:receive(table.remove(s.host.wire, 1));
		s.room:rename("Alice", "Eve");
		lose();
		assert.same({ "Eve" }, s:occupants());
		s:wait(600);
		assert.same({ "presence unavailable room/Alice 110 307" }, scene.seen(laptop));
		assert.same({}, s:occupants());
		assert.is_true(s:is_forgotten());
	end);

	it("J6, J9: shows all occupants of a room that has the account under the nick of the next request", function ()
		local s = scene.new { remote = true };
		s.room:enter "Bob";
		s.room:enter("Al", { jid = s:occupant_jid "alice" }).inbox = nil;
		local phone, laptop = s:client "phone", s:client "laptop";
		local seen, laptop_seen = view.of(phone), view.of(laptop);
		s.host.wire = {};
		phone:send(join("Eve", { id = "j1" }));
		laptop:send(join("Al", { id = "j2" }));
		s.host:tick(6);
		s:wait(60);
		assert_in(s, seen, "Al");
		assert_in(s, laptop_seen, "Al");
	end);

	it("J5, J9: times out for each request if the room answers none", function ()
		local s, _, seen = joining { room = { silent = true } };
		local laptop, laptop_seen = with_laptop(s);
		laptop:send(join("Alicia", { id = "j2" }));
		s:wait(80);
		assert.equal("remote-server-timeout", seen:error "presence j1");
		assert.equal("remote-server-timeout", laptop_seen:error "presence j2");
	end);

	it("J9: leaves no occupant in a room that answers late", function ()
		local s, _, seen = joining();
		local laptop, laptop_seen = with_laptop(s);
		laptop:send(join("Alicia", { id = "j2" }));
		s.host:tick(200);
		assert.equal("remote-server-timeout", seen:error "presence j1");
		assert.equal("remote-server-timeout", laptop_seen:error "presence j2");
		s:deliver();
		assert_out(s, seen);
	end);
end);

describe("stanzas that a session sends while its join is pending", function ()
	local kinds = {
		message = function (id) return message("hi", { id = id }); end;
		["private message"] = function (id) return whisper("Bob", "psst", { id = id }); end;
		["query to an occupant"] = function (id) return query(version, { id = id, to = "Bob" }); end;
		["query to the room"] = function (id)
			return query("<query xmlns='http://jabber.org/protocol/muc#admin'><item role='visitor'/></query>", { id = id });
		end;
		["presence update"] = function (id) return presence("Alice", { id = id, content = "<show>away</show>" }); end;
		["nick change"] = function (id) return presence("Alicia", { id = id }); end;
	};
	local names = { message = "message"; ["private message"] = "message"; ["query to an occupant"] = "iq"; ["query to the room"] = "iq" };

	it("J10: are sent in order after the join, from the account", function ()
		local s, phone = joining();
		phone:send(message("one", { id = "m1" }));
		phone:send(whisper("Bob", "two", { id = "m2" }));
		phone:send(query(version, { id = "q1", to = "Bob" }));
		phone:send(message("three", { id = "m3" }));
		assert.same({ "alice presence - room/Alice join" }, s:sent());
		s:wait(1);
		assert.same({
			"alice message groupchat room one"; "alice message chat room/Bob two"; "alice iq get room/Bob query";
			"alice message groupchat room three";
		}, s:sent());
	end);

	it("J10: arrive after the session's own presence", function ()
		local s, phone = joining();
		phone:send(message("one", { id = "m1" }));
		s:wait(1);
		local lines = scene.seen(phone);
		assert.same({ "presence - room/Bob"; "presence - room/Alice 110"; "message groupchat room subject:";
			"message groupchat room/Alice one" }, lines);
	end);

	for name, kind in pairs(kinds) do
		it("J10: wait for the join of a session that leaves and joins again: "..name, function ()
			local s, phone, seen = joining();
			s:deliver();
			seen:now();
			s:upstream();
			phone:send(leave("Alice", { id = "l1" }));
			phone:send(join("Alice", { id = "j2" }));
			phone:send(kind "x1");
			s:wait(5);
			assert.equal("presence unavailable room/Alice 110", scene.line(phone.inbox[1]));
			seen:now();
			assert.same({ "j1"; "j2" }, { table.unpack(seen.entered, 1, 2) });
			assert.not_equal("not-acceptable", seen:error((names[name] or "presence").." x1"));
			local sent = sent_by_account(s);
			assert.equal("alice presence - room/Alice join", sent[2]);
			assert.equal(3, #sent);
		end);
	end

	for _, name in ipairs { "presence update"; "nick change" } do
		it("J10, L3: get an error after a leave without another join: "..name, function ()
			local s, phone, seen = joining();
			s:deliver();
			phone:send(leave("Alice", { id = "l1" }));
			seen:now();
			phone:send(kinds[name] "x1");
			s:wait(5);
			assert.equal("not-acceptable", seen:error "presence x1");
			assert_out(s, seen);
		end);
	end

	it("J10: keep their order with a presence in between", function ()
		local s, phone, seen = joining();
		phone:send(message("one", { id = "m1" }));
		phone:send(presence("Alice", { id = "p1", content = "<show>away</show>" }));
		phone:send(message("two", { id = "m2" }));
		s:wait(5);
		assert.equal("away", s.room:occupant("Alice").presence:get_child_text("show"));
		assert.same({ "one"; "two" }, seen:now().said);
		assert.same({}, seen:failed());
		sent_by_account(s);
	end);

	it("J10: change the nick after the join", function ()
		local s, phone, seen = joining();
		phone:send(presence("Alicia", { id = "n1" }));
		assert.same({ "alice presence - room/Alice join" }, s:sent());
		s:wait(10);
		assert_in(s, seen, "Alicia");
		assert.same({}, seen:failed());
		sent_by_account(s);
	end);

	it("J10: get the error for a nick that is taken", function ()
		local s, phone, seen = joining();
		s.room:enter "Alicia";
		phone:send(presence("Alicia", { id = "n1" }));
		s:wait(10);
		assert.equal("conflict", seen:error "presence n1");
		assert.equal("Alice", seen.nick);
	end);

	it("J10: are sent in order when a leave follows", function ()
		local s, phone, seen = joining();
		phone:send(message("one", { id = "m1" }));
		phone:send(whisper("Bob", "two", { id = "m2" }));
		phone:send(presence("Alice", { id = "p1", content = "<show>away</show>" }));
		phone:send(leave("Alice", { id = "l1" }));
		s:wait(10);
		assert.same({
			"alice presence - room/Alice join"; "alice message groupchat room one"; "alice message chat room/Bob two";
			"alice presence unavailable room/Alice";
		}, s:upstream());
		assert.is_true(was_said(s, "one"));
		assert.same({}, seen:failed());
		assert.equal(1, seen.left);
		assert_out(s, seen);
	end);

	it("J10: get the room's error when a leave follows and the join fails", function ()
		local s, phone, seen = joining { room = { password = "secret" } };
		phone:send(message("bye", { id = "m1" }));
		phone:send(leave("Alice", { id = "l1" }));
		s:wait(10);
		assert.is_false(was_said(s, "bye"));
		assert.equal("not-acceptable", seen:error "message m1");
		assert.equal(1, seen.left);
		assert_out(s, seen);
	end);

	it("J10: are sent when a leave follows and another session waits", function ()
		local s, phone, seen = joining();
		local laptop, laptop_seen = with_laptop(s);
		laptop:send(join("Alice", { id = "j2" }));
		phone:send(message("from the phone", { id = "m1" }));
		laptop:send(message("from the laptop", { id = "m2" }));
		phone:send(leave("Alice", { id = "l1" }));
		s:wait(10);
		assert.is_true(was_said(s, "from the phone"));
		assert.is_true(was_said(s, "from the laptop"));
		assert.equal(1, seen:now().left);
		assert.same({}, seen:failed());
		assert.same({ "from the phone"; "from the laptop" }, laptop_seen:now().said);
		assert_in(s, laptop_seen, "Alice");
	end);

	it("J10: are sent when a leave follows, of a session in the queue", function ()
		local s, _, seen = joining();
		local laptop, laptop_seen = with_laptop(s);
		laptop:send(join("Alice", { id = "j2" }));
		laptop:send(message("from the laptop", { id = "m2" }));
		laptop:send(leave("Alice", { id = "l1" }));
		s:wait(10);
		assert.is_true(was_said(s, "from the laptop"));
		assert.equal(1, laptop_seen:now().left);
		assert.same({}, laptop_seen:failed());
		assert_in(s, seen, "Alice");
	end);

	it("J10: get an error when a leave follows, of a session in the queue, and no join succeeds", function ()
		local s = joining { room = { password = "secret" } };
		local laptop, laptop_seen = with_laptop(s);
		laptop:send(join("Alice", { id = "j2" }));
		laptop:send(message("from the laptop", { id = "m2" }));
		laptop:send(leave("Alice", { id = "l1" }));
		s:wait(10);
		assert.equal("not-acceptable", laptop_seen:error "message m2");
		assert_out(s, laptop_seen);
	end);

	it("J10: get an error when the join waits for a leave of the account, and a leave follows", function ()
		local s, phone, seen = joining();
		s:deliver();
		phone:send(leave("Alice", { id = "l1" }));
		phone:send(join("Alice", { id = "j2" }));
		phone:send(message("one", { id = "m1" }));
		phone:send(leave("Alice", { id = "l2" }));
		s:wait(10);
		assert.is_false(was_said(s, "one"));
		assert.equal("not-acceptable", seen:error "message m1");
		assert_out(s, seen);
	end);

	it("J8, J10: are not lost when a session joins, speaks and leaves twice in a row", function ()
		local s, phone, seen = joining();
		phone:send(message("one", { id = "m1" }));
		phone:send(leave("Alice", { id = "l1" }));
		phone:send(join("Alice", { id = "j2" }));
		phone:send(message("two", { id = "m2" }));
		phone:send(leave("Alice", { id = "l2" }));
		s:wait(10);
		assert.not_equal(was_said(s, "one"), seen:error "message m1" ~= nil);
		assert.not_equal(was_said(s, "two"), seen:error "message m2" ~= nil);
		assert.is_nil(seen:error "presence j2");
		assert_out(s, seen);
	end);

	it("J10: wait with the session that is in the queue", function ()
		local s, phone, seen = joining();
		local laptop, laptop_seen = with_laptop(s);
		laptop:send(join("Alice", { id = "j2" }));
		laptop:send(message("from the laptop", { id = "m2" }));
		phone:send(message("from the phone", { id = "m1" }));
		assert.same({ "alice presence - room/Alice join" }, s:sent());
		s:wait(2);
		local lines = sent_by_account(s);
		assert.equal(1, count_of(lines, "from the laptop$"));
		assert.equal(1, count_of(lines, "from the phone$"));
		assert.equal(2, #seen:now().said);
		assert.truthy(#laptop_seen:now().said >= 1);
		assert.same({}, laptop_seen:failed());
	end);

	it("J10: wait while the account rejoins", function ()
		local s, _, seen = joining();
		s:deliver();
		s.room:remove("Alice", "332");
		local laptop, laptop_seen = with_laptop(s);
		laptop:send(join("Alice", { id = "j2" }));
		laptop:send(message("from the laptop", { id = "m2" }));
		s:wait(30);
		sent_by_account(s);
		assert_in(s, seen, "Alice");
		assert_in(s, laptop_seen, "Alice");
		assert.not_equal(was_said(s, "from the laptop"), laptop_seen:error "message m2" ~= nil);
	end);

	it("C1, J10: get the room's error", function ()
		local s, phone, seen = joining();
		local laptop, laptop_seen = with_laptop(s);
		laptop:send(join("Alice", { id = "j2" }));
		s.room.members["alice@example.org"] = "none";
		local receive = s.room.receive;
		function s.room.receive(room, stanza)
			receive(room, stanza);
			local occupant = room:occupant "Alice";
			if occupant then occupant.role = "visitor"; end
		end
		phone:send(message("hi", { id = "m1" }));
		s:wait(2);
		assert.equal("forbidden", seen:error "message m1");
		assert.same({}, laptop_seen:failed());
	end);

	for name, new in pairs(kinds) do
		-- A local room answers a join before anything else can be sent, or never.
		for how, fields in pairs {
			["refused"] = { remote = true; room = { password = "secret" } };
			["unanswered"] = { remote = true; room = { silent = true } };
			["unanswered by a local room"] = { remote = false; room = { silent = true } };
		} do
			it(("J10: get an error when the join is %s: a %s"):format(how, name), function ()
				local s, phone, seen = joining(fields);
				local laptop = with_laptop(s);
				s:sent();
				phone:send(new "x1");
				assert.same({}, s:sent());
				s:wait(70);
				local condition = seen:error((names[name] or "presence").." x1");
				assert.is_string(condition);
				if how ~= "refused" then
					assert.equal("remote-server-timeout", condition);
				elseif names[name] == "message" then
					assert.equal("not-acceptable", condition);
				end
				assert.is_string(seen:error "presence j1");
				assert.same({}, laptop:take());
				local lines = sent_by_account(s);
				assert.equal(0, count_of(lines, "hi$") + count_of(lines, "psst$") + count_of(lines, "query$"));
			end);
		end
	end

	it("J10: get an error without id if they had none", function ()
		local s, phone, seen = joining { room = { password = "secret" } };
		phone:send("<message type='groupchat' to='room@rooms.example.org'><body>hi</body></message>");
		s:wait(5);
		assert.equal("not-acceptable", seen:error "message -");
	end);

	it("J10: get errors in the order in which they were sent, after the error of the join", function ()
		local s, phone = joining { room = { password = "secret" } };
		for i = 1, 5 do phone:send(message("text "..i, { id = "m"..i })); end
		s:wait(5);
		local ids = {};
		for i, stanza in ipairs(scene.take(phone)) do ids[i] = stanza.attr.id; end
		assert.same({ "j1"; "m1"; "m2"; "m3"; "m4"; "m5" }, ids);
	end);

	it("J4, J10: belong to their session: one is refused, and those of the next session are sent", function ()
		local s, phone, seen = joining({ room = { password = "secret" } }, { muc = wrong });
		local laptop, laptop_seen = with_laptop(s);
		laptop:send(join("Alice", { id = "j2", muc = right }));
		phone:send(message("from the phone", { id = "m1" }));
		laptop:send(message("from the laptop", { id = "m2" }));
		s:wait(5);
		assert.equal("not-acceptable", seen:error "message m1");
		assert.same({ "message m1"; "presence j1" }, seen:failed());
		assert.same({}, laptop_seen:failed());
		assert.same({ "from the laptop" }, laptop_seen.said);
		assert.is_false(was_said(s, "from the phone"));
	end);

	it("J8, J10: are sent after the newer join of the same session", function ()
		local s, phone, seen = joining({ room = { password = "secret" } }, { muc = wrong });
		phone:send(message("one", { id = "m1" }));
		phone:send(join("Alice", { id = "j2", muc = right }));
		phone:send(message("two", { id = "m2" }));
		s:wait(5);
		assert_in(s, seen, "Alice");
		assert.not_equal(was_said(s, "one"), seen:error "message m1" ~= nil);
		assert.is_true(was_said(s, "two"));
		assert.is_nil(seen:error "message m2");
	end);

	it("J4, R2: are sent although a kick of an earlier stay under another nick arrives first", function ()
		local s, phone, seen = joining();
		phone:send(message("one", { id = "m1" }));
		s:from("Anna", "<presence type='unavailable'>"..status("307 110", { role = "none" }).."</presence>");
		s:wait(5);
		assert.is_true(was_said(s, "one"));
		assert_in(s, seen, "Alice");
	end);

	it("J8, J10: get an error when the room kicks the account under the newer nick, and the nick change was lost", function ()
		local s, phone, seen = joining();
		phone:send(message("one", { id = "m1" }));
		phone:send(join("Alicia", { id = "j2" }));
		local release, lose = scene.hold_back(s.room);
		s:deliver();
		release(3);
		s:deliver();
		assert.same({ "Alicia" }, s:occupants());
		lose();
		s.room:remove("Alicia", "307");
		s:wait(5);
		assert.is_false(was_said(s, "one"));
		assert.equal("not-acceptable", seen:now():error "message m1");
		assert.is_true(s:is_forgotten());
	end);

	it("J10: are sent although the session ends meanwhile", function ()
		local s, phone = joining();
		phone:send(message("gone in a second", { id = "m1" }));
		phone:close();
		s:wait(5);
		assert.is_true(was_said(s, "gone in a second"));
	end);

	it("J10: are sent although the session goes offline meanwhile", function ()
		local s, phone, seen = joining();
		phone:send(message("hi", { id = "m1" }));
		phone:unavailable();
		s:wait(10);
		assert.is_true(was_said(s, "hi"));
		assert.is_nil(seen:error "message m1");
	end);

	it("J10: get an error when the session goes offline and the join fails", function ()
		local s, phone, seen = joining { room = { password = "secret" } };
		phone:send(message("hi", { id = "m1" }));
		phone:unavailable();
		s:wait(10);
		assert.equal("not-acceptable", seen:error "message m1");
		assert.is_true(s:is_forgotten());
	end);

	it("J10: are dropped when the session ends and the join fails", function ()
		local s, phone = joining { room = { password = "secret" } };
		phone:send(message("hi", { id = "m1" }));
		phone:lose();
		local again = s:client "phone";
		s:wait(70);
		assert.same({}, scene.seen(again));
		assert.is_true(s:is_forgotten());
	end);

	it("J10: wait until a hibernating session is attached", function ()
		local s, phone, seen = joining();
		phone:send(message("hi", { id = "m1" }));
		phone:hibernate();
		s:wait(5);
		phone:resume();
		assert.same({ "hi" }, seen:now().said);
	end);

	local function flood(count, size)
		return function ()
			local s, phone, seen = joining();
			for i = 1, count do phone:send(message(("x"):rep(size)..i, { id = "m"..i })); end
			assert.same({ "alice presence - room/Alice join" }, s:sent());
			s:wait(30);
			sent_by_account(s);
			local failed = 0;
			seen:now();
			for i = 1, count do
				local is_failed = seen.errors["message m"..i] ~= nil;
				if is_failed then failed = failed + 1; end
			end
			assert.equal(count, failed + #seen:now().said);
			assert.truthy(failed > 0);
			assert.truthy(#seen.said > 0);
			assert_in(s, seen, "Alice");
		end
	end

	it("B1, J10: are limited in number, with an error for each beyond the limit #once", flood(3000, 1));
	it("B1, J10: are limited in bytes, with an error for each beyond the limit #once", flood(300, 60000));

	it("B1, J10: are limited for nick changes and presence as well #once", function ()
		local s, phone, seen = joining();
		for i = 1, 3000 do phone:send(presence("Alice"..i, { id = "n"..i })); end
		s:wait(60);
		assert.truthy(seen:now().nick);
		assert.same({ seen.nick }, s:occupants());
		assert.truthy(#s:upstream() < 1000);
	end);
end);

describe("no membership stays pending:", function ()
	-- In each case the room has stopped in the middle of an exchange. The session has asked with this id.
	local states = {
		["the room says nothing"] = { id = "j1"; function (s, phone)
			s.room.silent = true;
			phone:send(join "Alice");
		end };
		["the room has shown an occupant"] = { id = "j1"; function (s, phone)
			s.room.silent = true;
			phone:send(join "Alice");
			s:deliver();
			s:from("Bob", "<presence>"..status "".."</presence>");
		end };
		["the room has shown the account without 110"] = { id = "j1"; options = { minimix_max_occupants = 0 }; function (s, phone)
			s.room.silent = true;
			phone:send(join "Alice");
			s:deliver();
			s:from("Alice", "<presence>"..status "".."</presence>");
		end };
		["the room has sent a challenge"] = { id = "j1"; function (s, phone)
			s.room.silent = true;
			phone:send(join "Alice");
			s:deliver();
			s:from(nil, "<message id='c1'><body>Type the word</body><captcha xmlns='urn:xmpp:captcha'>"
				.."<x xmlns='jabber:x:data' type='form'/></captcha></message>");
		end };
		["the account joins by itself"] = { id = "j2"; function (s, phone)
			local laptop = s:client "laptop";
			s:enter(laptop);
			s.room:forget "Alice";
			s.room.silent = true;
			s:from("Alice", "<presence type='unavailable'>"..status("110 332", { role = "none" }).."</presence>");
			s:wait(5);
			phone:send(join("Alice", { id = "j2" }));
		end };
		["another session's join is unanswered"] = { id = "j2"; function (s, phone)
			local laptop = s:client "laptop";
			s.room.silent = true;
			laptop:send(join "Alice");
			s:deliver();
			phone:send(join("Alice", { id = "j2" }));
		end };
		["another session's resync is unanswered"] = { id = "j2"; function (s, phone)
			local laptop = s:client "laptop";
			s:enter(laptop);
			s.room.silent = true;
			laptop:send(join("Alice", { id = "r1", muc = "<mav xmlns='urn:xmpp:muc:affiliations:1'/>" }));
			s:deliver();
			phone:send(join("Alice", { id = "j2" }));
		end };
		["its own resync is unanswered"] = { id = "r1"; function (s, phone)
			s:enter(phone);
			s.room.silent = true;
			phone:send(join("Alice", { id = "r1", muc = "<mav xmlns='urn:xmpp:muc:affiliations:1'/>" }));
		end };
		["a nick change is unanswered"] = { id = "j2"; function (s, phone)
			local laptop = s:client "laptop";
			s:enter(laptop);
			s.room.silent = true;
			laptop:send(presence("Alicia", { id = "n1" }));
			s:deliver();
			phone:send(join("Alice", { id = "j2" }));
		end };
		["a leave is unanswered"] = { id = "j2"; function (s, phone)
			s:enter(phone);
			s.room.silent = true;
			phone:send(leave("Alice", { id = "l1" }));
			s:wait(1);
			phone:take();
			phone:send(join("Alice", { id = "j2" }));
		end };
		["a leave is unanswered, of another session"] = { id = "j2"; function (s, phone)
			local laptop = s:client "laptop";
			s:enter(laptop);
			s.room.silent = true;
			laptop:send(leave("Alice", { id = "l1" }));
			s:wait(1);
			phone:send(join("Alice", { id = "j2" }));
		end };
	};

	for name, state in pairs(states) do
		it("J5: a join is answered when "..name, function ()
			local s = scene.new { remote = true, options = state.options };
			s.room:enter "Bob";
			local phone = s:client "phone";
			local seen = view.of(phone);
			state[1](s, phone);
			s:wait(3600);
			local answered = seen:error("presence "..state.id) ~= nil;
			for _, id in ipairs(seen.entered) do answered = answered or id == state.id; end
			assert.is_true(answered);
		end);

		it("J5: the next join is answered as well, when "..name, function ()
			local s = scene.new { remote = true, options = state.options };
			s.room:enter "Bob";
			local phone = s:client "phone";
			state[1](s, phone);
			s:wait(3600);
			s.room.silent = false;
			s:wait(1800);
			local tablet = s:client "tablet";
			local seen = view.of(tablet);
			tablet:send(join("Alice", { id = "j9" }));
			s:wait(70);
			assert.equal("Alice", seen:now().nick);
			assert.same({ "Alice" }, s:occupants());
		end);
	end
end);
