-- R7: each form of a room's answer, for each kind of request; and errors for messages at any time.

local st = require "util.stanza";
local jid = require "util.jid";
local scene = require "support.scene";
local view = require "support.view";

local join, leave, message, presence, query, status, whisper =
	scene.join, scene.leave, scene.message, scene.presence, scene.query, scene.status, scene.whisper;

local xmlns_user = "http://jabber.org/protocol/muc#user";
local xmlns_stanzas = "urn:ietf:params:xml:ns:xmpp-stanzas";
local unknown_child = "<mav xmlns='urn:xmpp:muc:affiliations:1'/>"; -- The cache cannot serve a join with this payload.
local version = "<query xmlns='jabber:iq:version'/>";

-- Forms of an answer

local function without_code(presence_stanza, code)
	local x = presence_stanza:get_child("x", xmlns_user);
	if x then
		x:maptags(function (tag)
			if tag.attr.code ~= code then return tag; end
		end);
	end
end

local function map_nick(stanza, f)
	local nick = jid.resource(stanza.attr.from);
	if nick then stanza.attr.from = jid.bare(stanza.attr.from).."/"..f(nick); end
	local x = stanza:get_child("x", xmlns_user);
	local item = x and x:get_child("item");
	if item and item.attr.nick then item.attr.nick = f(item.attr.nick); end
end

local function full_width(nick)
	return (nick:gsub("%a", function (letter) return utf8.char(0xfee0 + letter:byte()); end));
end

local function set_error(stanza, element)
	if stanza.attr.type ~= "error" then return; end
	stanza:remove_children("error");
	if element then stanza:add_child(element); end
end

-- change(answer): replaces the answer. wait: seconds for which all stanzas of the room are held back. lost: the room
-- does not receive the request. doubtful: the answer may or may not be accepted. errors: applies to errors only;
-- presence: to presence only. new_id: the answer has another id than the request.
local forms = {
	["as it should be"] = {};
	["without an id"] = { new_id = true; change = function (answer) answer.attr.id = nil; end };
	["with another id"] = { new_id = true; change = function (answer) answer.attr.id = "other"; end; doubtful = true };
	["with an empty id"] = { new_id = true; change = function (answer) answer.attr.id = ""; end };
	["with the nick in small letters"] = { change = function (answer) map_nick(answer, string.lower); end };
	["with the nick in full-width letters"] = { change = function (answer) map_nick(answer, full_width); end };
	["without 110"] = { presence = true; change = function (answer) without_code(answer, "110"); end };
	["without 110 and id"] = { presence = true; new_id = true; change = function (answer)
		without_code(answer, "110");
		answer.attr.id = nil;
	end };
	["without 110, with the nick in small letters"] = { presence = true; change = function (answer)
		without_code(answer, "110");
		map_nick(answer, string.lower);
	end };
	["from the room itself"] = { errors = true; change = function (answer) answer.attr.from = jid.bare(answer.attr.from); end };
	["from the room itself, without an id"] = { errors = true; change = function (answer)
		answer.attr.from, answer.attr.id = jid.bare(answer.attr.from), nil;
	end };
	["with an empty error"] = { errors = true; change = function (answer) set_error(answer, st.stanza "error"); end };
	["with no error element"] = { errors = true; change = function (answer) set_error(answer); end };
	["with an unknown condition"] = { errors = true; change = function (answer)
		set_error(answer, st.stanza("error", { type = "nonsense" }):tag("what", { xmlns = xmlns_stanzas }):up());
	end };
	["twice"] = { twice = true };
	["late"] = { wait = 20 };
	["after the time limit"] = { wait = 150; unanswered = true };
	["never"] = { lost = true; unanswered = true };
};

-- Changes the answers of the room. Returns a function that stops this, after the delayed stanzas are sent.
local function reform(s, form, is_answer)
	local room = s.room;
	local send, held = room.send, {};
	room.silent = form.lost;
	function room.send(stanza)
		local out = st.clone(stanza);
		local answers = is_answer(stanza);
		if answers and form.change then form.change(out); end
		for _ = 1, answers and form.twice and 2 or 1 do
			if form.wait then
				table.insert(held, st.clone(out));
			else
				send(st.clone(out));
			end
		end
	end
	return function ()
		room.send, room.silent = send, nil;
		for _, stanza in ipairs(held) do send(stanza); end
	end;
end

local function is_own(stanza)
	if stanza.name ~= "presence" then return false; end
	if stanza.attr.type == "error" then return true; end
	for _, code in ipairs(scene.codes(stanza)) do
		if code == "110" then return true; end
	end
	return false;
end

local function is_error_of(name)
	return function (stanza) return stanza.name == name and stanza.attr.type == "error"; end;
end

local function is_iq_from(nick)
	return function (stanza)
		return stanza.name == "iq" and (stanza.attr.type == "result" or stanza.attr.type == "error")
			and jid.resource(stanza.attr.from) == nick;
	end;
end

-- Requests. `errors`: the room refuses. setup(s, t) and ask(s, t) with t.phone, t.laptop and their received stanzas in
-- t.seen and t.laptop_seen. answered(s, t, form) and unanswered(s, t, form) check the result. wait: seconds for an
-- answer.
local operations = {};

local function same_nick(expected, actual)
	assert.equal(expected:lower(), (actual or "none"):lower());
end

local function both_enter(s, t)
	for _, client in ipairs { t.phone, t.laptop } do s:enter(client); end
	t.seen.nick, t.laptop_seen.nick = "Alice", "Alice";
	t.seen.others.Bob, t.laptop_seen.others.Bob = true, true;
end

local function phone_enters(s, t)
	s:enter(t.phone);
	t.seen.nick, t.seen.others.Bob = "Alice", true;
end

local function assert_untouched(t)
	assert.same({}, t.laptop_seen:failed());
	same_nick("Alice", t.laptop_seen.nick);
	assert.equal(0, t.laptop_seen.left);
end

local function assert_refused(t, request, condition, form)
	local got = t.seen:error(request);
	assert.is_string(got);
	if not (form.errors or form.unanswered or form.doubtful) then assert.equal(condition, got); end
	assert.same({ request }, t.seen:failed());
end

local function has_entered(t, id)
	for _, entered in ipairs(t.seen:now().entered) do
		if entered == id then return true; end
	end
	return false;
end

operations["a join"] = {
	is_answer = is_own;
	ask = function (_, t) t.phone:send(join "Alice"); end;
	answered = function (_, t, form)
		same_nick("Alice", t.seen:now().nick);
		assert.same({}, t.seen:failed());
		assert.truthy(has_entered(t, "j1") or form.new_id);
		assert.equal(1, t.seen.subjects);
		assert.same({ "Bob" }, t.seen:occupants());
	end;
	unanswered = function (_, t)
		assert.equal("remote-server-timeout", t.seen:error "presence j1");
		assert.is_nil(t.seen.nick);
	end;
};

operations["a join that is refused"] = {
	errors = true;
	is_answer = is_own;
	setup = function (s) s.room.members_only = true; end;
	ask = function (_, t) t.phone:send(join "Alice"); end;
	answered = function (s, t, form)
		assert_refused(t, "presence j1", "registration-required", form);
		if not form.doubtful then assert.is_true(s:is_forgotten()); end
		t.phone:take();
		t.laptop:take();
	end;
	unanswered = function (_, t)
		assert.equal("remote-server-timeout", t.seen:error "presence j1");
	end;
};

local function loses(s)
	s.room:forget "Alice";
	s:from("Alice", "<presence type='unavailable'>"..status("110 332", { role = "none" }).."</presence>");
end

operations["a join of the account itself"] = {
	is_answer = is_own;
	setup = phone_enters;
	ask = loses;
	wait = 60;
	answered = function (s, t)
		assert.equal(0, t.seen:now().left);
		same_nick("Alice", t.seen.nick);
		assert.equal(1, #s:occupants());
		same_nick("Alice", s:occupants()[1]);
	end;
};

operations["a join of the account itself that is refused"] = {
	errors = true;
	is_answer = is_own;
	setup = function (s, t)
		phone_enters(s, t);
		s.room.members_only = true;
	end;
	ask = loses;
	wait = 1800;
	answered = function (s, t)
		assert.equal(1, t.seen:now().left);
		assert.is_nil(t.seen.nick);
		assert.same({}, s:occupants());
		assert.same({}, t.seen:failed());
	end;
	unanswered = function (_, t)
		assert.truthy(t.seen:now().left <= 1);
		assert.same({}, t.seen:failed());
	end;
};

operations["a resync"] = {
	is_answer = is_own;
	setup = both_enter;
	ask = function (_, t) t.phone:send(join("Alice", { id = "r1", muc = unknown_child })); end;
	answered = function (_, t)
		assert.is_true(has_entered(t, "r1"));
		same_nick("Alice", t.seen.nick);
		assert.same({ "Bob" }, t.seen:occupants());
		assert.same({}, t.seen:failed());
		assert_untouched(t);
		assert.truthy(#t.laptop_seen.entered <= 1);
	end;
	unanswered = function (_, t)
		assert.is_true(has_entered(t, "r1"));
		assert_untouched(t);
	end;
};

operations["a resync that is refused"] = {
	errors = true;
	is_answer = is_own;
	setup = function (s, t)
		both_enter(s, t);
		-- mod_muc may do so for an unsupported extension.
		local receive = s.room.receive;
		function s.room.receive(room, stanza)
			if stanza.attr.id == nil or not (stanza.name == "presence" and stanza:find "{http://jabber.org/protocol/muc}x/{urn:xmpp:muc:affiliations:1}mav") then
				return receive(room, stanza);
			end
			if not room.silent then room.send(st.error_reply(stanza, "modify", "bad-request")); end
		end
	end;
	ask = function (_, t) t.phone:send(join("Alice", { id = "r1", muc = unknown_child })); end;
	answered = function (_, t)
		assert.truthy(has_entered(t, "r1") or t.seen:error "presence r1");
		assert.equal(0, t.seen.left);
		assert_untouched(t);
	end;
	unanswered = function (_, t)
		assert.is_true(has_entered(t, "r1"));
		assert_untouched(t);
	end;
};

operations["a nick change"] = {
	is_answer = is_own;
	setup = both_enter;
	ask = function (_, t) t.phone:send(presence("Alicia", { id = "n1" })); end;
	answered = function (s, t)
		assert.same({ "Alicia" }, s:occupants());
		same_nick("Alicia", t.seen:now().nick);
		same_nick("Alicia", t.laptop_seen:now().nick);
		assert.same({ {}; {} }, { t.seen:failed(); t.laptop_seen:failed() });
		assert.equal(0, t.seen.left + t.laptop_seen.left);
	end;
	unanswered = function (_, t)
		assert.same({ {}; {} }, { t.seen:failed(); t.laptop_seen:failed() });
		assert.equal(0, t.seen.left + t.laptop_seen.left);
	end;
};

operations["a nick change that is refused"] = {
	errors = true;
	is_answer = is_own;
	setup = function (s, t)
		both_enter(s, t);
		s.room:enter "Alicia";
		t.seen:now();
		t.laptop_seen:now();
	end;
	ask = function (_, t) t.phone:send(presence("Alicia", { id = "n1" })); end;
	answered = function (_, t, form)
		if not form.doubtful or t.seen:error "presence n1" then assert_refused(t, "presence n1", "conflict", form); end
		same_nick("Alice", t.seen.nick);
		assert_untouched(t);
	end;
	unanswered = function (_, t)
		same_nick("Alice", t.seen:now().nick);
		assert_untouched(t);
	end;
};

operations["a leave"] = {
	is_answer = is_own;
	setup = phone_enters;
	ask = function (_, t) t.phone:send(leave("Alice", { id = "l1" })); end;
	answered = function (s, t)
		assert.equal(1, t.seen:now().left);
		assert.is_nil(t.seen.nick);
		assert.same({}, t.seen:failed());
		assert.same({}, s:occupants());
	end;
	unanswered = function (_, t)
		assert.equal(1, t.seen:now().left);
		assert.same({}, t.seen:failed());
	end;
};

operations["a leave that is refused"] = {
	errors = true;
	is_answer = is_own;
	setup = function (s, t)
		phone_enters(s, t);
		s.room:forget "Alice";
		local receive = s.room.receive;
		function s.room.receive(room, stanza)
			if stanza.attr.type ~= "unavailable" then return receive(room, stanza); end
			if not room.silent then room.send(st.error_reply(stanza, "cancel", "item-not-found")); end
		end
	end;
	ask = function (_, t) t.phone:send(leave("Alice", { id = "l1" })); end;
	wait = 70;
	answered = function (_, t)
		assert.equal(1, t.seen:now().left);
		assert.same({}, t.seen:failed());
	end;
	unanswered = function (_, t)
		assert.equal(1, t.seen:now().left);
		assert.same({}, t.seen:failed());
	end;
};

operations["a message that is refused"] = {
	errors = true;
	is_answer = is_error_of "message";
	setup = function (s, t)
		both_enter(s, t);
		s.room:set_role("Alice", "visitor");
	end;
	ask = function (_, t) t.phone:send(message("hi", { id = "m1" })); end;
	answered = function (_, t, form)
		assert_refused(t, "message m1", "forbidden", form);
		assert_untouched(t);
	end;
	late = true;
	unanswered = function (_, t)
		assert.same({}, t.seen:failed());
		assert_untouched(t);
	end;
};

operations["a message without an id that is refused"] = {
	errors = true;
	is_answer = is_error_of "message";
	setup = function (s, t)
		both_enter(s, t);
		s.room:set_role("Alice", "visitor");
	end;
	ask = function (_, t) t.phone:send("<message type='groupchat' to='room@rooms.example.org'><body>hi</body></message>"); end;
	answered = function (_, t)
		local failed = t.seen:failed();
		assert.equal(1, #failed);
		assert.equal(1, #t.seen.errors[failed[1]]);
		assert.truthy(failed[1]:find "^message ");
		assert_untouched(t);
	end;
	late = true;
	unanswered = function (_, t)
		assert.same({}, t.seen:failed());
		assert_untouched(t);
	end;
};

operations["a private message that is refused"] = {
	errors = true;
	is_answer = is_error_of "message";
	setup = both_enter;
	ask = function (_, t) t.phone:send(whisper("Carol", "psst", { id = "p1" })); end;
	answered = function (_, t, form)
		assert_refused(t, "message p1", "item-not-found", form);
		assert_untouched(t);
	end;
	late = true;
	unanswered = function (_, t)
		assert.same({}, t.seen:failed());
		assert_untouched(t);
	end;
};

local function answers_version(s, new_reply)
	function s.room.on_iq(_, stanza)
		if stanza:get_child("query", "jabber:iq:version") then return new_reply(stanza); end
	end
end

local function answers_so_far(t, id)
	t.seen:now();
	return (t.seen.results[id] or 0) + #(t.seen.errors["iq "..id] or {});
end

operations["an IQ"] = {
	is_answer = is_iq_from "Bob";
	setup = function (s, t)
		both_enter(s, t);
		answers_version(s, function (stanza) return st.reply(stanza):tag("query", { xmlns = "jabber:iq:version" }):up(); end);
	end;
	ask = function (_, t) t.phone:send(query(version, { id = "q1", to = "Bob" })); end;
	wait = 125;
	answered = function (_, t)
		assert.equal(1, answers_so_far(t, "q1"));
		assert_untouched(t);
		assert.same({}, t.laptop_seen.results);
	end;
};

operations["an IQ that is refused"] = {
	errors = true;
	is_answer = is_iq_from "Bob";
	setup = function (s, t)
		both_enter(s, t);
		answers_version(s, function (stanza) return st.error_reply(stanza, "cancel", "feature-not-implemented"); end);
	end;
	ask = function (_, t) t.phone:send(query(version, { id = "q1", to = "Bob" })); end;
	wait = 125;
	answered = function (_, t)
		assert.equal(1, answers_so_far(t, "q1"));
		assert_untouched(t);
	end;
};

operations["a self-ping"] = {
	is_answer = is_iq_from "Alice";
	setup = function (s, t)
		both_enter(s, t);
		s:wait(120);
	end;
	ask = function (_, t) t.phone:send(query("<ping xmlns='urn:xmpp:ping'/>", { id = "q1", to = "Alice" })); end;
	wait = 125;
	answered = function (_, t)
		assert.equal(1, answers_so_far(t, "q1"));
		assert_untouched(t);
		assert.same({}, t.laptop_seen.results);
	end;
};

operations["a self-ping of an account that is out"] = {
	errors = true;
	is_answer = is_iq_from "Alice";
	setup = function (s, t)
		both_enter(s, t);
		s.room:forget "Alice";
		s:wait(120);
		t.seen:now();
		t.laptop_seen:now();
	end;
	ask = function (_, t) t.phone:send(query("<ping xmlns='urn:xmpp:ping'/>", { id = "q1", to = "Alice" })); end;
	wait = 125;
	answered = function (_, t)
		assert.equal(1, answers_so_far(t, "q1"));
		assert_untouched(t);
	end;
};

-- Checks that hold after every form of answer: the room and all other state are as before.
local function assert_well(s, t)
	s.room.members_only, s.room.receive = nil, nil;
	s:wait(3600);
	t.seen:now();
	t.laptop_seen:now();
	local tablet = s:client "tablet";
	local tablet_seen = view.of(tablet);
	tablet:send(join("Alice", { id = "last" }));
	s:wait(70);
	assert.is_string(tablet_seen:now().nick);
	assert.same({}, tablet_seen:failed());
	assert.equal(1, #s:occupants());
	s.room:say("Bob", "everybody there?");
	for _, seen in ipairs { t.seen, t.laptop_seen, tablet_seen } do
		local before = #seen.said;
		assert.equal(seen:now().nick and before + 1 or before, #seen.said);
		if seen.nick then same_nick(s:occupants()[1], seen.nick); end
	end
end

local function means_something(operation, form)
	return not (form.errors and not operation.errors) and not (form.presence and (operation.errors or operation.is_answer ~= is_own));
end

local function play(operation, form)
	local s = scene.new { remote = true, bounces = true };
	s.room:enter "Bob";
	local t = { phone = s:client "phone"; laptop = s:client "laptop" };
	t.seen, t.laptop_seen = view.of(t.phone), view.of(t.laptop);
	-- Services that omit 110 never send it.
	local stop = form.presence and reform(s, form, operation.is_answer);
	if operation.setup then operation.setup(s, t); end
	s:deliver();
	t.seen:now();
	t.laptop_seen:now();
	stop = stop or reform(s, form, operation.is_answer);
	operation.ask(s, t);
	s:deliver();
	if form.wait then
		s:wait(form.wait);
		if form.unanswered and not operation.late then (operation.unanswered or operation.answered)(s, t, form); end
		stop();
		s:wait(30);
		if not form.unanswered or operation.late then operation.answered(s, t, form); end
		return assert_well(s, t);
	elseif form.lost then
		s:wait(150);
		if operation.unanswered then operation.unanswered(s, t, form); end
		stop();
	elseif form.doubtful then
		s:wait(math.max(operation.wait or 0, 80));
		operation.answered(s, t, form);
		stop();
	else
		s:wait(operation.wait or 30);
		operation.answered(s, t, form);
		stop();
	end
	return assert_well(s, t);
end

for operation_name, operation in pairs(operations) do
	describe("the answer to "..operation_name, function ()
		for form_name, form in pairs(forms) do
			if means_something(operation, form) then
				it("R7: may come "..form_name, function () play(operation, form); end);
			end
		end
	end);
end

describe("a room that first", function ()
	local function asked()
		local s = scene.new { remote = true, room = { silent = true } };
		s.room:enter "Bob";
		local phone = s:client "phone";
		phone:send(join "Alice");
		s:deliver();
		return s, phone, view.of(phone);
	end

	local removals = {
		["kicks the account"] = status("110 307", { role = "none" });
		["kicks the account, without 110"] = status("307", { role = "none" });
		["bans the account"] = status("110 301", { role = "none", affiliation = "outcast" });
		["removes one who is no member"] = status("110 321", { role = "none" });
		["is destroyed"] = status("110", { role = "none" }, "<destroy/>");
	};
	for name, content in pairs(removals) do
		it("R2, R7: "..name.." has answered the join", function ()
			local s, _, seen = asked();
			s:from("Alice", "<presence type='unavailable'>"..content.."</presence>");
			assert.is_true(seen:now().left == 1 or seen:error "presence j1" ~= nil);
			assert.is_nil(seen.nick);
			s:wait(5);
			assert.is_true(s:is_forgotten());
		end);
	end

	it("J5, R7: sends a challenge has more time", function ()
		local s, phone, seen = asked();
		s:from(nil, "<message id='c1'><body>Type the word</body><captcha xmlns='urn:xmpp:captcha'>"
			.."<x xmlns='jabber:x:data' type='form'/></captcha></message>");
		assert.same({ "message - room Type the word" }, scene.seen(phone));
		s:wait(90);
		assert.same({}, seen:failed());
		s:from("Alice", "<presence id='j1'>"..status "110".."</presence>");
		s:from(nil, "<message type='groupchat'><subject/></message>");
		assert.equal("Alice", seen:now().nick);
		assert.same({ "j1" }, seen.entered);
	end);

	it("J5, R7: sends a challenge and refuses has answered", function ()
		local s, phone, seen = asked();
		s:from(nil, "<message id='c1'><captcha xmlns='urn:xmpp:captcha'><x xmlns='jabber:x:data' type='form'/></captcha></message>");
		scene.take(phone);
		s:wait(90);
		s:from("Alice", "<presence type='error' id='j1'>"..scene.error("auth", "forbidden").."</presence>");
		assert.equal("forbidden", seen:error "presence j1");
		assert.is_true(s:is_forgotten());
	end);

	it("J8, R7: admits the account by an earlier join is not in by an occupant with the nick of the next one", function ()
		local s, phone = asked();
		phone:send(leave("Alice", { id = "l1" }));
		phone:send(join("Bob", { id = "j2" }));
		s:deliver();
		s:from("Alice", "<presence type='unavailable'>"..status "110".."</presence>");
		scene.take(phone);
		s:from("Bob", "<presence>"..status().."</presence>");
		s:from("Alice", "<presence id='j1'>"..status "110".."</presence>");
		s:from(nil, "<message type='groupchat'><subject/></message>");
		s:from("Alice", "<presence type='unavailable' id='l1'>"..status "110".."</presence>");
		s:from("Bob", "<presence type='error' id='j2'>"..scene.error("cancel", "conflict").."</presence>");
		assert.same({ "presence error room/Bob cancel conflict" }, scene.seen(phone));
	end);

	it("J9, R7: answers without 110 and a subject lets the account in before the next request is tried", function ()
		local s, phone = asked();
		local seen = view.of(phone);
		s:from("Alice", "<presence id='j1'>"..status().."</presence>");
		local laptop = s:client "laptop";
		laptop:send(join("Alicia", { id = "j2" }));
		s:wait(180);
		assert.equal("Alice", seen:now().nick);
		assert.same({}, seen:failed());
	end);

	for name, sent in pairs { ["enters"] = "<presence>"..status().."</presence>";
		["is kicked"] = "<presence type='unavailable'>"..status("307", { role = "none" }).."</presence>" } do
		it("R7: sends 110 does not answer a join by an occupant that "..name.." under its nick", function ()
			local s, phone = scene.in_room { remote = true };
			local seen = view.of(phone);
			phone:send(leave "Alice");
			s:deliver();
			s.room.silent = true;
			phone:send(join("Bob", { id = "j2" }));
			s:deliver();
			s:from("Bob", sent);
			s:wait(180);
			assert.equal("remote-server-timeout", seen:now():error "presence j2");
			assert.is_nil(seen.nick);
			s.room.silent = false;
			s:wait(600);
			assert.same({}, s:occupants());
		end);
	end

	for name, begin_again in pairs { ["a restart"] = function (s) s:restart(); end; ["a reload"] = function (s) s.host:reload(); end } do
		it("P1, R7: sends 110 does not answer a join by an occupant with its nick, after "..name, function ()
			local s, phone = scene.in_room { remote = true };
			s.room.silent = true;
			phone:send(leave "Alice");
			s:deliver();
			begin_again(s);
			local laptop = s:client "laptop";
			local seen = view.of(laptop);
			laptop:send(join("Bob", { id = "j2" }));
			s:wait(6);
			s:from("Bob", "<presence>"..status().."</presence>");
			s:wait(180);
			assert.equal("remote-server-timeout", seen:now():error "presence j2");
			assert.is_nil(seen.nick);
			s.room.silent = false;
			s:wait(600);
			assert.same({}, s:occupants());
		end);
	end

	it("J9, R7: sends a challenge does not delay the next request", function ()
		local s = asked();
		s:from(nil, "<message id='c1'><captcha xmlns='urn:xmpp:captcha'><x xmlns='jabber:x:data' type='form'/></captcha></message>");
		s.room.silent = false;
		local laptop = s:client "laptop";
		local seen = view.of(laptop);
		laptop:send(join("Alicia", { id = "j2" }));
		s:wait(6);
		assert.equal("Alicia", seen:now().nick);
	end);
end);

describe("an error that is not the answer to the account's own join", function ()
	for condition, kind in pairs { ["not-acceptable"] = "modify"; ["item-not-found"] = "cancel" } do
		-- A room that answers the presence of a non-occupant as Prosody does, or with another condition.
		local function lost_with_update(id)
			local s = scene.new { remote = true };
			s.room:enter "Bob";
			local phone = s:client "phone";
			local seen = view.of(phone);
			s:enter(phone);
			seen.nick = "Alice";
			local receive = s.room.receive;
			function s.room.receive(room, stanza)
				local is_update = stanza.name == "presence" and stanza.attr.type == nil
					and not stanza:get_child("x", "http://jabber.org/protocol/muc");
				if is_update and not room:occupant(stanza.attr.from) then
					return room.send(st.error_reply(stanza, kind, condition));
				end
				return receive(room, stanza);
			end
			loses(s);
			s.host:tick(2); -- the room's archive is being asked; the join follows its answer
			phone:send(presence("Alice", { id = id, content = "<show>away</show>" }));
			s:deliver();
			return s, seen;
		end

		for _, id in ipairs { "p1", "" } do
			it(("R3, R7: %s for a presence update%s does not take the account out of the room"):format(
				condition, id == "" and " without an id" or ""), function ()
				local s, seen = lost_with_update(id ~= "" and id or nil);
				s:wait(15);
				assert.same({ "Alice" }, s:occupants());
				assert.equal("Alice", seen:now().nick);
				s.room:say("Bob", "hi");
				assert.same({ "hi" }, seen:now().said);
				s:wait(600);
				assert.same({ "Alice" }, s:occupants());
				assert.equal(0, seen:now().left);
			end);
		end
	end
end);

describe("an own presence without 110 that is over a cache limit", function ()
	for name, options in pairs { occupants = { minimix_max_occupants = 1 }, size = { minimix_max_cached_size = 10 } } do
		it("J5: completes or ends the join: "..name, function ()
			local s = scene.new { remote = true, room = { silent = true }, options = options };
			local phone, laptop = s:client "phone", s:client "laptop";
			local seen, laptop_seen = view.of(phone), view.of(laptop);
			phone:send(join("Alice", { id = "j1" }));
			s:deliver();
			s:from("Bob", "<presence>"..status "".."</presence>");
			s:from("Alice", "<presence>"..status "".."</presence>");
			s:wait(3600);
			seen:now();
			laptop:send(join("Alice", { id = "j2" }));
			s:wait(3600);
			laptop_seen:now();
			assert.truthy(seen.nick or seen:error "presence j1");
			assert.truthy(laptop_seen.nick or laptop_seen:error "presence j2");
		end);
	end
end);

-- Errors of messages

local function two_devices(fields)
	fields = fields or {};
	fields.remote = true;
	local s = scene.new(fields);
	s.room:enter "Bob";
	local t = { phone = s:client "phone"; laptop = s:client "laptop" };
	t.seen, t.laptop_seen = view.of(t.phone), view.of(t.laptop);
	for _, client in ipairs { t.phone, t.laptop } do s:enter(client); end
	t.phone:take();
	return s, t;
end

local function send_text(client, id, body)
	client:send(("<message type='groupchat' to='room@rooms.example.org'%s><body>%s</body></message>"):format(
		id and " id='"..id.."'" or "", body or "hi"));
end

local function error_for(id, kind, condition)
	return ("<message type='error'%s>%s</message>"):format(id and " id='"..id.."'" or "", scene.error(kind or "auth", condition or "forbidden"));
end

describe("the error of a message", function ()
	for _, id in ipairs { "m1", "" } do
		local has = id == "" and "without an id" or "with an id";
		id = id ~= "" and id or nil;
		local key = "message "..(id or "-");

		it("C1: goes to its sender when another session's message has been reflected, "..has, function ()
			local s, t = two_devices();
			send_text(t.laptop, id, "first");
			s:deliver();
			s.room:set_role("Alice", "visitor");
			send_text(t.phone, id, "second");
			s:deliver();
			assert.same({ key }, t.seen:failed());
			assert.same({}, t.laptop_seen:failed());
		end);

		it("C1: goes to its sender when another session's message is reflected after it, "..has, function ()
			local s, t = two_devices();
			s.room:set_role("Alice", "visitor");
			send_text(t.phone, id, "first");
			s:deliver();
			s.room:set_role("Alice", "participant");
			send_text(t.laptop, id, "second");
			s:deliver();
			assert.same({ key }, t.seen:failed());
			assert.same({}, t.laptop_seen:failed());
			assert.same({ "second" }, t.laptop_seen.said);
		end);

		it("C1: goes to each sender once when both are refused, "..has, function ()
			local s, t = two_devices();
			s.room:set_role("Alice", "visitor");
			send_text(t.phone, id, "first");
			send_text(t.laptop, id, "second");
			s:deliver();
			assert.equal("forbidden", t.seen:error(key));
			assert.equal("forbidden", t.laptop_seen:error(key));
		end);

		it("C1: goes to its sender when the first of two in flight is refused, "..has, function ()
			local s, t = two_devices();
			s.room.silent = true;
			send_text(t.phone, id, "first");
			send_text(t.laptop, id, "second");
			s:deliver();
			s:from(nil, error_for(id));
			s:from("Alice", ("<message type='groupchat'%s><body>second</body></message>"):format(id and " id='m1'" or ""));
			assert.equal("forbidden", t.seen:error(key));
			assert.same({}, t.laptop_seen:failed());
		end);

		it("C1: goes to its sender when the second of two in flight is refused, "..has, function ()
			local s, t = two_devices();
			s.room.silent = true;
			send_text(t.phone, id, "first");
			send_text(t.laptop, id, "second");
			s:deliver();
			s:from("Alice", ("<message type='groupchat'%s><body>first</body></message>"):format(id and " id='m1'" or ""));
			s:from(nil, error_for(id));
			assert.same({}, t.seen:failed());
			assert.equal("forbidden", t.laptop_seen:error(key));
		end);
	end

	it("C1: goes to its sender when the service has changed the id", function ()
		local s, t = two_devices();
		send_text(t.laptop, "m1", "first");
		s:deliver();
		s.room.silent = true;
		send_text(t.phone, "m2", "second");
		s:deliver();
		s:from(nil, error_for "of-the-service");
		assert.equal("forbidden", t.seen:error "message m2");
		assert.same({}, t.laptop_seen:failed());
	end);

	it("C1: goes to its sender when the service also changes the ids of reflected messages", function ()
		local s, t = two_devices();
		s.room.silent = true;
		send_text(t.laptop, "m1", "first");
		send_text(t.phone, "m2", "second");
		s:deliver();
		s:from("Alice", "<message type='groupchat' id='x1'><body>first</body></message>");
		s:from(nil, error_for "x2");
		assert.equal("forbidden", t.seen:error "message m2");
		assert.same({}, t.laptop_seen:failed());
	end);

	it("C1: goes to the sender of the private message, not of the message to the room", function ()
		local s, t = two_devices();
		s.room.silent = true;
		send_text(t.laptop, "m1", "first");
		t.phone:send(whisper("Carol", "psst", { id = "m1" }));
		s:deliver();
		s:from("Carol", error_for("m1", "cancel", "item-not-found"));
		assert.equal("item-not-found", t.seen:error "message m1");
		assert.same({}, t.laptop_seen:failed());
		s:from(nil, error_for "m1");
		assert.equal("forbidden", t.laptop_seen:error "message m1");
	end);

	it("C1: goes to the sender of the message to the room after many unanswered private messages", function ()
		local s, t = two_devices();
		s.room.silent = true;
		for i = 1, 200 do t.laptop:send(whisper("Bob", "psst "..i, { id = "p"..i })); end
		send_text(t.phone, "m1", "second");
		for i = 201, 400 do t.laptop:send(whisper("Bob", "psst "..i, { id = "p"..i })); end
		s:deliver();
		s:from(nil, error_for());
		assert.equal("forbidden", t.seen:error "message m1");
		assert.same({}, t.laptop_seen:failed());
	end);

	it("C1: is dropped when no session sent a message", function ()
		local s, t = two_devices();
		for _, id in ipairs { "m1", "" } do s:from(nil, error_for(id ~= "" and id or nil)); end
		assert.same({ {}; {} }, { t.seen:failed(); t.laptop_seen:failed() });
	end);

	it("C1: is dropped when its session has ended", function ()
		local s, t = two_devices();
		s.room.silent = true;
		send_text(t.phone, "m1");
		s:deliver();
		t.phone:lose();
		local again = s:client "phone";
		s:from(nil, error_for "m1");
		assert.same({}, scene.seen(again));
		assert.same({}, t.laptop_seen:failed());
	end);
end);

-- How the membership may end while a message of the phone is in flight.
local ends = {
	["a kick"] = function (s) s.room:kick "Alice"; end;
	["a ban"] = function (s) s.room:ban "Alice"; end;
	["a removal for the affiliation"] = function (s) s.room:remove("Alice", "321"); end;
	["the end of the room"] = function (s) s.room:destroy(); end;
	["a shutdown of the service"] = function (s) s.room:remove("Alice", "332"); end;
	["a rejoin that is refused"] = function (s)
		s.room.members_only = true;
		s.room:remove("Alice", "332");
		local wire = s.host.wire;
		s.host.wire = {};
		s:wait(60);
		s.host.wire = wire;
	end;
	["the sender's leave"] = function (_, t)
		t.phone:send(leave "Alice");
	end;
	["everybody's leave"] = function (s, t)
		local wire = s.host.wire;
		s.host.wire = {};
		t.phone:send(leave "Alice");
		t.laptop:send(leave "Alice");
		s:deliver();
		s.host.wire = wire;
	end;
	["the sender's leave and return"] = function (_, t)
		t.phone:send(leave "Alice");
		t.phone:send(join("Alice", { id = "j2" }));
	end;
};

describe("the error of a message that arrives after", function ()
	local messages = {
		["a message"] = { function (client) send_text(client, "m1"); end; "m1"; nil };
		["a message without an id"] = { function (client) send_text(client); end; nil; nil };
		["a private message"] = { function (client) client:send(whisper("Bob", "psst", { id = "m1" })); end; "m1"; "Bob" };
	};
	for end_name, finish in pairs(ends) do
		for message_name, kind in pairs(messages) do
			it(("C1: %s goes to its sender and to no other: %s"):format(end_name, message_name), function ()
				local s, t = two_devices { bounces = true };
				kind[1](t.phone);
				finish(s, t);
				s.host.wire = {};
				s.room.silent = true;
				local reply = error_for(kind[2], "modify", "not-acceptable");
				s:from(kind[3], reply);
				assert.equal("not-acceptable", t.seen:error("message "..(kind[2] or "-")));
				for request in pairs(t.laptop_seen:now().errors) do
					assert.falsy(request:find "^message");
				end
				s:from(kind[3], reply);
				assert.equal(1, #t.seen:now().errors["message "..(kind[2] or "-")]);
			end);
		end

		it("C1: "..end_name.." goes to each of two that used the same id", function ()
			local s, t = two_devices { bounces = true };
			send_text(t.phone, "same", "of the phone");
			send_text(t.laptop, "same", "of the laptop");
			finish(s, t);
			s.host.wire = {};
			s.room.silent = true;
			for _ = 1, 2 do s:from(nil, error_for("same", "modify", "not-acceptable")); end
			assert.equal("not-acceptable", t.seen:error "message same");
			assert.equal("not-acceptable", t.laptop_seen:error "message same");
		end);

		it("C3: "..end_name.." does not keep an IQ from its answer", function ()
			local s, t = two_devices { bounces = true };
			t.phone:send(query(version, { id = "q1", to = "Bob" }));
			local asked = s.host.wire[#s.host.wire];
			finish(s, t);
			s.host.wire = {};
			s.room.silent = true;
			s:from("Bob", st.error_reply(asked, "cancel", "not-acceptable"));
			s:wait(125);
			assert.is_string(t.seen:error "iq q1");
			assert.is_nil(t.laptop_seen:now().errors["iq q1"]);
		end);
	end

	it("C1: a kick and another session's return goes to its sender", function ()
		local s, t = two_devices();
		send_text(t.phone, "m1");
		s.room:kick "Alice";
		t.laptop:send(join("Alice", { id = "j2" }));
		s:deliver();
		assert.equal("not-acceptable", t.seen:error "message m1");
		assert.is_nil(t.laptop_seen:error "message m1");
		assert.equal("Alice", t.laptop_seen.nick);
	end);

	it("C1: a kick comes for each of 400 messages, and to no other session", function ()
		local s, t = two_devices();
		local function sender(i)
			if i % 2 == 0 then return t.laptop, t.laptop_seen, t.seen; end
			return t.phone, t.seen, t.laptop_seen;
		end
		for i = 1, 400 do send_text(sender(i), "m"..i, "text "..i); end
		s.room:kick "Alice";
		s:deliver();
		for i = 1, 400 do
			local _, own, other = sender(i);
			assert.equal("not-acceptable", own:error("message m"..i));
			assert.is_nil(other:error("message m"..i));
		end
	end);
end);
