-- H1, P3: an account's archive has exactly the messages that it received or that the room's archive provided. Plays
-- stories of random events on each storage: rooms, links and storage fail, the clock jumps, accounts are banned while the server is down,
-- the archive is switched off and on. MINIMIX_STORIES and MINIMIX_SEED set the number and the first seed.

local jid = require "util.jid";
local st = require "util.stanza";
local inspect = require "fuzz.inspect";
local random = require "fuzz.random";
local backend = require "support.backend";
local clock = require "support.clock";
local faulty = require "support.faulty";
local mam = require "support.mam";
local scene = require "support.scene";

local count = tonumber(os.getenv "MINIMIX_STORIES" or "") or 2;
local first_seed = require "support.seed" ("random stories", "MINIMIX_STORIES");

local accounts = { alice = "Alice"; carol = "Carol"; dave = "Dave" };
local usernames = { "alice", "carol", "dave" };
local room_names = { "room", "other" };
local steps = 60;

-- Seconds until a broken link is detected, and until the range of an account that did not get a message is closed on disk.
local break_durable_after, missed_durable_after = 7, 1;

-- Seconds until everything is written once storage works again.
local mended_after = 12;

-- The test's record of an account in a room. `inside`: the room lists it, `since` a time. `told`: messages received live, with times.
-- `shown`: history received. `due`: messages sent while it was in.
local function new_record()
	return { inside = false; told = {}; shown = {}; due = {} };
end

local function username_of(stanza)
	return (jid.split(stanza.attr.to));
end

-- A room may show accounts different messages, or none.
local function variant(story, username, body)
	if not story.differs then return body; end
	local chance = random.new(story.seed * 1000 + tonumber(body) * 10 + #username)(8);
	if chance == 1 then return nil; end
	return chance == 2 and body.." for "..username or body;
end

local function with_body(stanza, body)
	return st.clone(stanza):maptags(function (tag)
		return tag.name == "body" and st.stanza("body"):text(body) or tag;
	end);
end

local function archived_body(stanza)
	local message = mam.message_in(stanza);
	return message and message:get_child_text("body");
end

local function is_self_presence(stanza)
	local x = stanza.name == "presence" and stanza:get_child("x", "http://jabber.org/protocol/muc#user");
	return x and x:get_child_with_attr("status", nil, "code", "110") ~= nil;
end

-- Records a stanza before it is sent to an account.
local function note(story, name, stanza)
	local record = story.records[username_of(stanza)][name];
	local body = stanza.attr.type == "groupchat" and stanza:get_child_text("body") or archived_body(stanza);
	if story.unloaded and story.s.host:last_log("info", "^Rejoining") then
		story.unloaded = false;
	end
	if story.unloaded then
		-- The module does not know the account's rooms, and takes nothing.
		if is_self_presence(stanza) and stanza.attr.type then record.inside = false; end
	elseif is_self_presence(stanza) then
		local inside = stanza.attr.type == nil;
		if inside and not record.inside then record.since = math.floor(story.s.host.time()); end
		record.inside = inside;
	elseif body and (archived_body(stanza) or stanza:get_child("delay", "urn:xmpp:delay")) then
		record.shown[body] = true;
	elseif body then
		if story.off then record.shown[body] = true; else record.told[body] = story.s.host.time(); end
	end
end

-- An account that leaves does not miss the messages that it has not received by then.
local function release(record)
	record.inside, record.due = false, {};
end

local function is_reachable(story)
	return not story.cut and not story.down;
end

-- The path from the room to the account: a link that can be cut, a server that can be down, and the room's choice of
-- recipients.
local function wire_up(story, name, room)
	local send = room.send;
	function room.send(stanza)
		local username = username_of(stanza);
		if not accounts[username] then return send(stanza); end
		local body = stanza.attr.type == "groupchat" and stanza:get_child_text("body");
		if body and not stanza:get_child("delay", "urn:xmpp:delay") then
			local shown = variant(story, username, body);
			if not shown then
				story.records[username][name].due[body] = nil;
				return;
			elseif shown ~= body then
				stanza = with_body(stanza, shown);
			end
		end
		if is_reachable(story) then
			note(story, name, stanza);
			send(stanza);
		end
	end
end

local function attach_all(story)
	for name, room in pairs(story.s.rooms) do
		wire_up(story, name, room);
	end
end

local function new_story(seed, where)
	math.randomseed(seed);
	local rand = random.new(seed);
	local options, faults = where.options, faulty.new();
	options.minimix_ping_after = 20;
	options.minimix_join_timeout = 10;
	options.minimix_inactive_after = "never";
	local story = {
		seed = seed;
		rand = rand;
		remote = rand(2) == 1;
		differs = rand(3) == 1;
		keeps = rand(4) > 1;
		faults = faults;
		where = where;
		clients = {};
		records = {};
		said = 0;
		times = { room = {}; other = {} };
		log = {};
	};
	story.s = scene.new {
		remote = story.remote; resource = rand(2) == 1 and "minimix"; bounces = true;
		modules = { "disco"; "mam" }; options = options; data = where.data; wrap_store = faults.wrap;
	};
	story.s:add_room "other";
	for _, username in ipairs(usernames) do
		story.records[username] = { room = new_record(), other = new_record() };
	end
	for _, room in pairs(story.s.rooms) do
		room:enter "Bob";
		if story.keeps then mam.keep(room); end
	end
	attach_all(story);
	return story;
end

local function client_of(story, username)
	local client = story.clients[username];
	if not client then
		client = story.s:client("phone", username);
		story.clients[username] = client;
	end
	return client;
end

local function room_of(story, name)
	return story.s.rooms[name];
end

-- Events. Each gets the story, the name of a room and of an account.

local events = {};

function events.say(story, name)
	story.said = story.said + 1;
	local body = tostring(story.said);
	story.times[name][body] = story.s.host.time();
	for _, username in ipairs(usernames) do
		local record = story.records[username][name];
		-- Queries of archives are exact to the second. So an account without messages does not ask for the second of
		-- its join.
		local is_later = record.inside and math.floor(story.s.host.time()) > record.since;
		if is_later and not story.off then record.due[body] = true; end
	end
	room_of(story, name):say("Bob", body);
	return body;
end

function events.chat(story, name)
	for _ = 1, story.rand(30) do
		events.say(story, name);
		if story.rand(5) == 1 then story.s:wait(1); end
	end
	return story.said;
end

function events.join(story, name, username)
	local histories = { "", "<history maxstanzas='0'/>", "<history maxstanzas='3'/>" };
	client_of(story, username):send(scene.join(accounts[username], { muc = histories[story.rand(3)]; room = name }));
end

function events.leave(story, name, username)
	release(story.records[username][name]);
	client_of(story, username):send(scene.leave(accounts[username], { room = name }));
end

function events.go_offline(story, _, username)
	client_of(story, username):lose();
	story.clients[username] = nil;
end

local function put_out(story, name, username, how)
	local room = room_of(story, name);
	local occupant = room:occupant(story.s:occupant_jid(username));
	if not occupant then return; end
	release(story.records[username][name]);
	room[how](room, occupant.nick);
end

function events.kick(story, name, username)
	put_out(story, name, username, "kick");
end

function events.ban(story, name, username)
	put_out(story, name, username, "ban");
end

function events.pardon(story, name)
	room_of(story, name).members = {};
end

-- The room's server loses an account without a stanza, as after an error on the way.
function events.forget(story, name, username)
	local room = room_of(story, name);
	local occupant = room:occupant(story.s:occupant_jid(username));
	if occupant then room:forget(occupant.jid); end
end

function events.restart_service(story, name)
	local room = room_of(story, name);
	room.occupants = { (room:occupant "Bob") };
end

function events.remove(story, name, username)
	local room = room_of(story, name);
	local occupant = room:occupant(story.s:occupant_jid(username));
	if occupant then
		room:remove(occupant.nick, "332");
		story.records[username][name].inside = true;
	end
end

function events.cut(story, name)
	if not story.remote then return; end
	story.cut, story.cut_at = true, story.s.host.time();
	for _ = 1, story.rand(5) do events.say(story, name); end
	if story.rand(2) == 1 then events.restart_service(story, name); end
	story.s:link("destroyed");
	for _ = 1, story.rand(40) do
		story.s.host:drop();
		story.s.host:tick(story.rand(3));
		if story.rand(2) == 1 then events.say(story, name); end
	end
	story.s.host:drop();
	story.cut = false;
	story.s:link("established");
	return story.said;
end

local function expect_failures(story)
	for _, entry in ipairs(story.s.host.log) do
		if entry.level == "error" and entry.message:find "storage is away$" then entry.level = "expected"; end
	end
end

-- Retries end here. Failures that remain are known losses.
local function mend(story)
	if story.fault then
		story.faults:work();
		story.fault = nil;
		for _ = 1, mended_after do
			story.s:wait(1);
		end
		story.unloaded = false;
	end
	expect_failures(story);
end

function events.fail(story)
	if story.fault then return; end
	local kind, what = faulty.kinds[story.rand(3)], ({ "reads", "writes" })[story.rand(3)];
	local calls = story.rand(2) == 1 and story.rand(3) or nil;
	story.faults:fail(kind, what, nil, nil, calls);
	story.fault = story.s.host.time() + story.rand(30);
	return kind.." "..(what or "both").." "..(calls or "");
end

-- Messages that an account has not received yet are identified by their time. After the clock was set back, that time
-- may be wrong.
function events.jump(story)
	local seconds = ({ 3, 7200, 5184000, -3, -7200, -5184000 })[story.rand(6)];
	clock.jump(seconds);
	story.was_set_back = story.was_set_back or seconds < 0;
	return seconds;
end

-- While earlier messages may be missing, later ones are in memory only. The room's archive sends them again, if it has
-- one and the account is not put out: they are due.
local function forgive_buffered(story)
	inspect.each_membership(story.s.host, function (membership)
		local name = jid.node(membership.room);
		for _, buffered in ipairs(membership.catchUp and membership.catchUp.buffer or {}) do
			local body = buffered.stanza:get_child_text "body";
			local record = story.records[membership.username][name];
			if body and record.told[body] then
				record.told[body], record.shown[body] = nil, true;
			end
		end
	end);
end

-- Clients disconnect when the server stops. Storage gets time to recover: a SIGKILL loses unwritten messages.
local function restart(story, name, killed, change)
	mend(story);
	if story.cut_at then
		story.s.host:tick(math.max(0, story.cut_at + break_durable_after - story.s.host.time()));
		story.s:deliver();
	end
	for _, records in pairs(story.records) do
		for room_name, record in pairs(records) do
			for body, time in pairs(killed and story.times[room_name] or {}) do
				if record.inside and time >= story.s.host.time() - missed_durable_after then record.shown[body] = true; end
			end
		end
	end
	story.s.host:drop();
	forgive_buffered(story);
	if not killed then story.s.host:stop(); end
	story.down = true;
	story.s.host:tick(1);
	if change then change(); end
	for _ = 1, story.rand(20) - 1 do events.say(story, name); end
	if story.rand(2) == 1 then events.restart_service(story, name); end
	story.s:restart { killed = true };
	story.clients = {};
	attach_all(story);
	story.down = false;
end

function events.kill(story, name)
	restart(story, name, true);
	return story.said;
end

function events.stop(story, name)
	restart(story, name, false);
	return story.said;
end

function events.ban_while_down(story, name, username)
	restart(story, name, story.rand(2) == 1, function () put_out(story, name, username, "ban"); end);
	return story.said;
end

function events.switch_archive(story, name)
	restart(story, name, story.rand(2) == 1, function ()
		story.off = not story.off;
		story.where.options.minimix_archive = not story.off;
		for _, records in pairs(story.records) do
			for _, record in pairs(records) do record.due = {}; end
		end
	end);
	return story.off and "off" or "on";
end

function events.start_without_storage(story, name)
	local failed = story.faults.failed;
	restart(story, name, story.rand(2) == 1, function ()
		story.faults:fail(faulty.kinds[story.rand(3)]);
		story.unloaded = true;
		story.fault = 0;
	end);
	assert(story.faults.failed > failed, "the module has not read its storage");
	for _ = 1, story.rand(20) do
		story.s:wait(1);
		if story.rand(3) == 1 then events.say(story, name); end
	end
	mend(story);
	return story.said;
end

function events.reload(story)
	story.s.host:reload();
end

function events.wait(story)
	local seconds = story.rand(5);
	story.s:wait(seconds);
	return seconds;
end

function events.wait_long(story)
	story.s:wait(60);
end

local deck = {};
for name, cards in pairs {
	say = 14; chat = 6; join = 14; leave = 3; go_offline = 3; kick = 1; ban = 1; pardon = 2; forget = 3; restart_service = 1;
	remove = 2; cut = 3; kill = 3; stop = 1; reload = 2; wait = 10; wait_long = 4; fail = 4; jump = 2; ban_while_down = 1; switch_archive = 1;
	start_without_storage = 1;
} do
	for _ = 1, cards do table.insert(deck, name); end
end
table.sort(deck);

local function play(story)
	for _ = 1, steps do
		local event = deck[story.rand(#deck)];
		local name, username = room_names[story.rand(2)], usernames[story.rand(3)];
		local about = events[event](story, name, username);
		table.insert(story.log, ("%s %s %s %s"):format(event, name, username, about or ""));
		story.s:deliver();
		if story.fault and story.s.host.time() > story.fault then mend(story); end
	end
	mend(story);
	if story.off then events.switch_archive(story, "room"); end
end

-- Returns the messages that an account reads of a room, each once. After the clock was set back, entries are in the
-- store under a later time. A long history of a join, without an archive, may then add some of them again.
local function read(story, username, name)
	local client = client_of(story, username);
	local room_jid = room_of(story, name).jid;
	local shown = story.was_set_back and not story.keeps and story.records[username][name].shown or {};
	local bodies = {};
	for _, body in ipairs(mam.page_through(client, { with = room_jid; max = 50 })) do
		if bodies[body] and not shown[body:match "%d+"] then return nil, body.." twice"; end
		bodies[body] = true;
	end
	return bodies;
end

local function problem_of(story, username, name)
	local bodies, twice = read(story, username, name);
	if not bodies then return twice; end
	local record = story.records[username][name];
	for body in pairs(bodies) do
		if not record.told[body] and not record.shown[body] then return body.." that it was not told"; end
	end
	for body in pairs(record.told) do
		-- The room's archive may have another form of the message. That one came first.
		local archived = body:match "%d+";
		if not bodies[body] and not (record.shown[archived] and bodies[archived]) then
			return "not "..body.." that it was told";
		end
	end
	for body in pairs(story.keeps and not story.was_set_back and record.due or {}) do
		local own = body.." for "..username;
		if not bodies[body] and not bodies[own] then return "not "..body.." that it missed"; end
	end
end

local function problem_in(story)
	for _, username in ipairs(usernames) do
		for _, name in ipairs(room_names) do
			local problem = problem_of(story, username, name);
			if problem then return ("%s reads in %s %s"):format(username, name, problem); end
		end
	end
end

-- When all accounts have rejoined.
local function end_of(story)
	local problem;
	for _ = 1, 10 do
		story.s:wait(300);
		problem = problem_in(story);
		if not problem then break; end
	end
	if not problem then
		story.s:restart { killed = true };
		story.clients = {};
		problem = problem_in(story);
	end
	return problem;
end

-- Returns what is wrong at the end of a story, or nothing.
local function play_story(seed, name)
	local where = backend.open(name);
	local story = new_story(seed, where);
	local _, problem = pcall(function ()
		play(story);
		local found = end_of(story);
		expect_failures(story);
		story.s.host:assert_clean();
		return found;
	end);
	story.s:forget();
	where.close();
	return problem and ("seed %d: %s\n%s"):format(seed, tostring(problem), table.concat(story.log, "\n"));
end

for _, name in ipairs(backend.names) do
	describe("H1: an account that joins and leaves, on "..name, function ()
		it(("reads exactly the messages that it received, in %d stories from seed %d"):format(count, first_seed), function ()
			local problems = {};
			for seed = first_seed, first_seed + count - 1 do
				table.insert(problems, play_story(seed, name));
			end
			if problems[1] then
				error(("%d of %d stories\n%s"):format(#problems, count, table.concat(problems, "\n\n")), 0);
			end
		end);
	end);
end
