-- S5: records with values of another type, in each store of the module: a hand that edited them, or another program. They
-- affect their account only.

local mam = require "support.mam";
local scene = require "support.scene";

local room_jid = "room@rooms.example.org";

-- Values to put in the place of others.
local values = { "nonsense"; 1.5; { {} } };

local function copy(value)
	if type(value) ~= "table" then return value; end
	local new = {};
	for k, v in pairs(value) do new[k] = copy(v); end
	return new;
end

-- Calls `visit` with a description and a copy of the record, for each value in it and each other value in its place.
local function each_change(record, visit, path)
	path = path or {};
	local parent = record;
	for i = 1, #path do parent = parent[path[i]]; end
	local function change(value)
		if #path == 0 then return value; end
		local changed = copy(record);
		local holder = changed;
		for i = 1, #path - 1 do holder = holder[path[i]]; end
		holder[path[#path]] = value;
		return changed;
	end
	local name = "record";
	for _, key in ipairs(path) do name = name.."/"..tostring(key); end
	for _, value in ipairs(values) do
		visit(("%s: %s"):format(name, type(value)), change(copy(value)));
	end
	if type(parent) ~= "table" then return; end
	local keys = {};
	for key in pairs(parent) do table.insert(keys, key); end
	for _, key in ipairs(keys) do
		local deeper = copy(path);
		table.insert(deeper, key);
		each_change(record, visit, deeper);
	end
	-- A key of another type.
	local changed = copy(record);
	local holder = changed;
	for i = 1, #path do holder = holder[path[i]]; end
	holder[7] = { {} };
	visit(name.." with a key that is a number", changed);
end

local publish = "<pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='urn:xmpp:bookmarks:1'><item id='%s'>"
	.."<conference xmlns='urn:xmpp:bookmarks:1' autojoin='true'><nick>Alice</nick><password>x</password></conference></item></publish></pubsub>";

-- The record of "alice" in a store instead of the stored one, until it is written.
local replaced = {};

local function with_replaced(store, name)
	return setmetatable({}, { __index = function (_, method)
		return function (_, key, ...)
			if replaced.store == name and key == "alice" then
				if method == "get" then return copy(replaced.record); end
				if method == "set" then replaced.store = nil; end
			end
			return store[method](store, key, ...);
		end;
	end });
end

-- Returns a scene with the records of two accounts that have done all that is stored: "alice" and "carol".
local function lived()
	local s = scene.new { modules = { "disco"; "pep"; "bookmarks"; "blocklist" }; options = { minimix_bookmark_write = true };
		wrap_store = with_replaced };
	s:add_room "other";
	s:add_room "third";
	s.room:enter "Bob";
	local phone, desk = s:client "phone", s:client("desk", "carol");
	for _, client in ipairs { phone, desk } do
		local nick = client == phone and "Alice" or "Carol";
		s:enter(client, nick);
		client:send(scene.join(nick, { room = "other" }));
		s:deliver();
	end
	s:count(1, 3);
	phone:send(("<iq type='set' id='b1'>%s</iq>"):format(publish:format("third@rooms.example.org")));
	phone:send "<iq type='set' id='b2'><block xmlns='urn:xmpp:blocking'><item jid='eve@example.net'/></block></iq>";
	s:wait(5);
	-- Stays out of the third room: it has removed the account.
	s.rooms.third:kick "Alice";
	phone:send "<iq type='set' id='b3'><pubsub xmlns='http://jabber.org/protocol/pubsub'><retract node='urn:xmpp:bookmarks:1' notify='true'><item id='other@rooms.example.org'/></retract></pubsub></iq>";
	s:wait(30);
	return s;
end

-- Starts the server with a store of "alice" changed, and uses the account. "carol" must not notice.
local function use(s, stores, store, record)
	local storage = s.host.storage["example.org"];
	for name, content in pairs(copy(stores)) do storage[name] = content; end
	replaced.store, replaced.record = store, record;
	for i = 4, #s.room.history do s.room.history[i] = nil; end
	s:restart { killed = true };
	s.room.occupants = { (s.room:occupant "Bob") };
	s:wait(10);
	assert.truthy(s.room:occupant(s:occupant_jid "carol"), "carol is back");
	local desk = s:client("desk", "carol");
	assert.same({ "1"; "2"; "3" }, mam.page_through(desk, { with = room_jid; max = 20 }));
	local phone = s:client "phone";
	s:enter(phone);
	s.room:say("Bob", "4");
	mam.ask(phone, { with = room_jid; max = 20 });
	mam.ask(phone, { ["include-groupchat"] = "true"; max = 20 });
	phone:send(scene.leave "Alice");
	s:deliver();
	s:wait(20);
	assert.truthy(s.room:occupant(s:occupant_jid "carol"), "carol stays");
end

for _, store in ipairs { "minimix", "minimix_parts", "minimix_bookmarks" } do
	it("S5: a malformed record in "..store.." affects its account only #once", function ()
		local s = lived();
		local stores = copy(s.host.storage["example.org"]);
		local record = assert(stores[store].alice, "no record")();
		local problems = {};
		each_change(record, function (what, changed)
			local ok, problem = pcall(use, s, stores, store, changed);
			if not ok then table.insert(problems, what..": "..tostring(problem)); end
			if not pcall(s.host.assert_clean, s.host) then table.insert(problems, what..": logged "..s.host:last_log "error"); end
		end);
		replaced.store = nil;
		assert.same({}, problems);
	end);
end
