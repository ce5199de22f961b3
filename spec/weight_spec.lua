-- B1, B2: the cost of accounts without clients. Measures the memory of a membership and of one more account in a large
-- room. Measures the memory that the module allocates for one presence there. Prints the figures.

local st = require "util.stanza";
local jid = require "util.jid";
local spec_host = require "support.host";

-- Long, because text.ts caches short attributes.
local domain = "conference.rooms.example.net";
local muc_user = "http://jabber.org/protocol/muc#user";

local function presence(room, nick, account, caps)
	return st.presence({ from = room.."/"..nick; to = account })
		:tag("c", { xmlns = "http://jabber.org/protocol/caps"; hash = "sha-1"; node = "https://client.example.org/"; ver = caps or "q07IKJEyjvHSyhy//CH0CxmKi8w=" }):up()
		:tag("x", { xmlns = "vcard-temp:x:update" }):text_tag("photo", ("%-40s"):format(nick)):up()
		:tag("x", { xmlns = muc_user }):tag("item", { affiliation = "none"; role = "participant" }):up();
end

local function with_id(stanza, id)
	stanza.attr.id = id;
	return stanza;
end

-- A remote service that answers each join as a room with `crowd` other occupants, and counts the stanzas to it. As in
-- Prosody's rooms, all occupants see the id of a presence.
local function new_service(host, crowd)
	local self = { joined = {}; received = 0 };
	host:on_stanza_to(domain, function (stanza)
		self.received = self.received + 1;
		if stanza.attr.type or not stanza:get_child("x", "http://jabber.org/protocol/muc") then return; end
		local room, account, nick = jid.bare(stanza.attr.to), stanza.attr.from, jid.resource(stanza.attr.to);
		self.joined[room] = self.joined[room] or {};
		for i = 1, crowd do host:from_room(presence(room, "crowd"..i, account)); end
		for other in pairs(self.joined[room]) do
			if other ~= account then
				host:from_room(with_id(presence(room, jid.node(other), account), self.joined[room][other]));
				host:from_room(with_id(presence(room, nick, other), stanza.attr.id));
			end
		end
		self.joined[room][account] = stanza.attr.id;
		local own = presence(room, nick, account);
		own:get_child("x", muc_user):tag("status", { code = "110" });
		host:from_room(with_id(own, stanza.attr.id));
		host:from_room(st.message({ from = room; to = account; type = "groupchat" }):text_tag("subject", "A subject"));
	end, { remote = true });
	return self;
end

local function join(host, client, room)
	client:send(("<presence to='%s/%s'><x xmlns='http://jabber.org/protocol/muc'/></presence>"):format(room, jid.node(client.bare_jid)));
	host:deliver();
end

-- Memory of the spec itself is not counted.
local function forget_traffic(host)
	host.log, host.inspected, host.outbox, host.unhandled, host.wire = {}, 0, {}, {}, {};
end

-- Joins rooms with an account and ends its client.
local function visit(host, username, rooms)
	local client = host:client(username, "phone", { available = true });
	for _, room in ipairs(rooms) do join(host, client, room); end
	client:close();
	forget_traffic(host);
end

-- Fills the caches that have a fixed size.
local function fill_caches(host)
	local client = host:client("filler", "phone", { available = true });
	join(host, client, "filler@"..domain);
	for i = 1, 4200 do
		client:send(("<presence to='filler@%s/filler' id='%d'><status>%d</status></presence>"):format(domain, i, i));
	end
	client:close();
	forget_traffic(host);
end

-- Kilobytes, without data that a disk and the service would hold.
local function in_use(host, service)
	host:tick(10);
	local stored, joined = host.storage[host.name], service.joined;
	host.storage[host.name], service.joined = {}, {};
	collectgarbage(); collectgarbage();
	local count = collectgarbage "count";
	host.storage[host.name], service.joined = stored, joined;
	return count;
end

local function numbered(pattern, first, last)
	local list = {};
	for i = first, last do table.insert(list, pattern:format(i)); end
	return list;
end

describe("an account without clients #once", function ()
	it("B1: takes little memory for each of its rooms", function ()
		local host = spec_host.new {};
		local service = new_service(host, 1);
		local rooms = 20;
		fill_caches(host);
		visit(host, "user0", numbered("first%d@"..domain, 1, rooms));
		local before = in_use(host, service);
		for account = 1, 20 do
			visit(host, "user"..account, numbered("room"..account.."-%d@"..domain, 1, rooms));
		end
		local each = (in_use(host, service) - before) / 20 / rooms;
		print(("%.2f kB for one membership in a room of its own"):format(each));
		assert(each < 4, each);
	end);

	it("B1: takes little memory for each room with other accounts", function ()
		local host = spec_host.new {};
		local service = new_service(host, 1);
		local rooms, accounts = numbered("room%d@"..domain, 1, 20), 10;
		fill_caches(host);
		visit(host, "user0", rooms);
		local before = in_use(host, service);
		for account = 1, accounts do visit(host, "user"..account, rooms); end
		local each = (in_use(host, service) - before) / accounts / #rooms;
		print(("%.2f kB for one more membership in a room that others read"):format(each));
		assert(each < 2.3, each);
	end);

	it("B2: takes little memory in a large room with other accounts", function ()
		local host = spec_host.new {};
		local service = new_service(host, 1000);
		local room = "large@"..domain;
		fill_caches(host);
		-- The module keeps a few presences that several accounts see.
		for account = 1, 4 do visit(host, "user"..account, { room }); end
		local before = in_use(host, service);
		for account = 5, 8 do visit(host, "user"..account, { room }); end
		local each = (in_use(host, service) - before) / 4;
		print(("%.2f kB for one more account in a room of 1,000"):format(each));
		assert(each < 4, each);
	end);

	it("B2: takes almost no memory for a presence that other accounts have seen", function ()
		local host = spec_host.new {};
		local service = new_service(host, 0);
		local room, accounts, crowd, times = "large@"..domain, 100, 200, 10;
		for account = 1, accounts do visit(host, "user"..account, { room }); end
		local addresses = {};
		for account in pairs(service.joined[room]) do table.insert(addresses, account); end
		local handle = prosody.hosts[host.name].events.fire_event;
		local name = jid.resource(addresses[1]) and "presence/full" or "presence/bare";
		local function show(nick, caps)
			local event = { origin = { type = "s2sin" }; stanza = presence(room, nick, nil, caps) };
			for _, account in ipairs(addresses) do
				event.stanza.attr.to = account;
				assert(handle(name, event));
			end
		end
		for i = 1, crowd do show("crowd"..i); end
		collectgarbage(); collectgarbage(); collectgarbage "stop";
		local count, clock = collectgarbage "count", os.clock();
		for turn = 1, times do
			for i = 1, crowd / 10 do show("crowd"..i, "turn"..turn); end
		end
		local presences = times * crowd / 10 * accounts;
		local seconds, bytes = os.clock() - clock, (collectgarbage "count" - count) * 1024;
		collectgarbage "restart";
		print(("%.2f µs and %.0f bytes for a presence and account"):format(seconds / presences * 1e6, bytes / presences));
		assert(bytes / presences < 100);
	end);
end);
