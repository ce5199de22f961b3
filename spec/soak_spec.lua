-- B1: after an hour of joins, leaves and failures the module holds no stale data. `make soak` plays the full hour,
-- other runs play MINIMIX_SOAK seconds. Prints the memory of the module.

local spec_host = require "support.host";
local spec_room = require "support.room";
local inspect = require "fuzz.inspect";
local random = require "fuzz.random";

local seconds = tonumber(os.getenv "MINIMIX_SOAK" or "") or 90;
local seed = require "support.seed" ("coming and going", "MINIMIX_SOAK");
local accounts, devices = 12, 3;
local muc = "<x xmlns='http://jabber.org/protocol/muc'/>";
local tables = { "accounts", "pendingIqs", "iqsOfSession", "joined", "questions", "logs", "changed", "allowances" };

local soak = {};
soak.__index = soak;

local function new()
	local self = setmetatable({ draw = random.new(seed), sessions = {}, rooms = {}, said = 0, played = 0 }, soak);
	local names = {};
	for i = 1, accounts do names[i] = "user"..i; end
	self.host = spec_host.new { accounts = names; options = { minimix_archive_expires_after = 60 } };
	for i = 1, 6 do
		local remote = i % 2 == 0;
		local room = spec_room.new { jid = ("room%d@rooms.example.%s"):format(i, remote and "net" or "org") };
		self.host:attach(room, { remote = remote });
		for _, nick in ipairs { "Bob", "Carol", "Dave" } do room:enter(nick); end
		self.rooms[i] = room;
	end
	return self;
end

local function chosen(self, list)
	return list[self.draw(#list)];
end

-- Devices

function soak:slot()
	local n = self.draw(accounts * devices) - 1;
	return n, "user"..n // devices + 1, "device"..n % devices;
end

function soak:session()
	local slot, username, resource = self:slot();
	local client = self.sessions[slot];
	if not client then
		client = self.host:client(username, resource, { available = true });
		self.sessions[slot] = client;
	end
	return client, slot;
end

function soak:send(client, room, presence)
	if client:is_connected() then
		client:send(("<presence to='%s/%s' %s</presence>"):format(room.jid, client.bare_jid:match "^[^@]+", presence));
	end
end

local events = {};

function events:join() self:send(self:session(), chosen(self, self.rooms), "id='j'>"..muc); end
function events:leave() self:send(self:session(), chosen(self, self.rooms), "type='unavailable'>"); end
function events:show() self:send(self:session(), chosen(self, self.rooms), "><show>away</show>"); end

function events:ask()
	local client = self:session();
	if client:is_connected() then
		client:send(("<iq type='get' id='q%d' to='%s/Bob'><query xmlns='jabber:iq:version'/></iq>"):format(self.said, chosen(self, self.rooms).jid));
	end
end

local function ends(how)
	return function (self)
		local client, slot = self:session();
		if client:is_connected() then
			client[how](client);
			self.sessions[slot] = nil;
		end
	end;
end

events.close, events.lose = ends "close", ends "lose";

function events:hibernate()
	local client, slot = self:session();
	if client:is_connected() then
		client:hibernate();
	elseif self.draw(2) == 1 then
		client:resume();
	else
		client:expire();
		self.sessions[slot] = nil;
	end
end

-- Rooms

function events:swarm()
	local room, nick = chosen(self, self.rooms), "Visitor"..self.draw(20);
	if room:occupant(nick) then room:leave(nick); else room:enter(nick); end
end

-- A room or its server restarts.
function events:restart()
	if self.draw(10) > 1 then return; end
	local room = chosen(self, self.rooms);
	room:forget();
	for _, nick in ipairs { "Bob", "Carol", "Dave" } do room:enter(nick); end
	self.host:fire_global("s2sout-destroyed", {});
end

function events:reload()
	if self.draw(10) == 1 then self.host:reload(); end
end

local names = {};
for name in pairs(events) do table.insert(names, name); end
for _ = 1, 6 do table.insert(names, "join"); end
table.sort(names);

-- Playing

function soak:settle()
	local host = self.host;
	host:deliver();
	host:assert_clean();
	host.log, host.inspected, host.outbox, host.unhandled = {}, 0, {}, {};
	for _, client in pairs(self.sessions) do
		client:take();
		client.queue = {};
	end
	for _, room in ipairs(self.rooms) do
		room.history, room.received, room.errors = {}, {}, {};
		for _, occupant in ipairs(room.occupants) do
			if occupant.inbox then occupant.inbox = {}; end
		end
	end
end

function soak:second()
	for _, room in ipairs(self.rooms) do
		self.said = self.said + 1;
		if room:occupant "Bob" then room:say("Bob", "message "..self.said); end
	end
	for _ = 1, 5 do
		local event = events[chosen(self, names)];
		event(self);
		self.played = self.played + 1;
	end
	self.host:tick(1);
	self:settle();
end

-- Kilobytes, without data that would be on disk.
function soak:held()
	local stored = self.host.storage[self.host.name] or {};
	for _, name in ipairs { "minimix_archive", "minimix_parts" } do
		for key in pairs(stored[name] or {}) do stored[name][key] = nil; end
	end
	collectgarbage(); collectgarbage();
	return collectgarbage "count";
end

function soak:end_all()
	for _, client in pairs(self.sessions) do
		if not client:is_connected() then client:resume(); end
		for _, room in ipairs(self.rooms) do self:send(client, room, "type='unavailable'>"); end
		client:close();
	end
	self.sessions = {};
	-- Accounts without a device are still in their rooms.
	for i = 1, accounts do
		local client = self.host:client("user"..i, "last", { available = true });
		for _, room in ipairs(self.rooms) do self:send(client, room, "id='j'>"..muc); end
		self.host:deliver();
		for _, room in ipairs(self.rooms) do self:send(client, room, "type='unavailable'>"); end
		self.host:deliver();
		client:close();
	end
	for _ = 1, 120 do
		self.host:tick(60);
		self:settle();
	end
end

it("B1: nothing is left of "..seconds.." seconds of coming and going #once", function ()
	local s = new();
	local started = os.clock();
	for _ = 1, seconds // 3 do s:second(); end
	local before = s:held();
	for _ = seconds // 3 + 1, seconds do s:second(); end
	local after = s:held();
	s:end_all();
	local left = s:held();
	print(("%d messages, %d events in %.0f s; %.0f kB after a third, %.0f kB at the end, %.0f kB when all are gone"):format(
		s.said, s.played, os.clock() - started, before, after, left));
	local found = inspect.tables(s.host);
	for _, name in ipairs(tables) do
		assert(found[name], name);
		assert.is_nil(next(found[name]), name);
	end
	assert(after < before * 1.1 + 500, "it grows");
	assert(left < before, "it is not given back");
end);
