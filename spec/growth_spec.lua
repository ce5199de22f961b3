-- B1, B4: work for all accounts grows in proportion to their number. Counts instructions of the Lua virtual machine, and
-- items that table.remove moves, because it is a C function.

local st = require "util.stanza";
local jid = require "util.jid";
local clock = require "support.clock";
local faulty = require "support.faulty";
local host = require "support.host";

local xmlns_muc = "http://jabber.org/protocol/muc";
local domain = "rooms.example.org";
local rooms_each = 5;

local function own_presence(stanza, type)
	return st.presence({ from = stanza.attr.to; to = stanza.attr.from; id = stanza.attr.id; type = type })
		:tag("x", { xmlns = xmlns_muc.."#user" })
			:tag("item", { affiliation = "none"; role = type and "none" or "participant" }):up()
			:tag("status", { code = "110" }):up():up();
end

-- A service with rooms in which each account is the only occupant.
local function answer(h, stanza)
	if h.owes_answers then
		return;
	elseif stanza.name == "iq" then
		h:from_room(st.reply(stanza));
	elseif stanza.attr.type == "unavailable" then
		h:from_room(own_presence(stanza, "unavailable"));
	elseif stanza:get_child("x", xmlns_muc) then
		h:from_room(own_presence(stanza));
		h:from_room(st.message({ type = "groupchat"; from = jid.bare(stanza.attr.to); to = stanza.attr.from })
			:text_tag("subject", "tea"));
	end
end

-- Returns a server with so many memberships, and its accounts. fields: resource (minimix_resource), services (their
-- number), shown (the presence before the start), wrap_store
local function new_host(memberships, fields)
	local services = fields.services or 1;
	local records, accounts = {}, {};
	for i = 1, memberships // rooms_each do
		local rooms = {};
		for j = 1, rooms_each do
			local n = i * rooms_each + j;
			rooms[("room%d@s%d.%s"):format(n, n % services, domain)] = {
				nick = "user"..i; state = "in"; since = os.time(); shown = fields.shown;
			};
		end
		accounts[i] = "user"..i;
		records[accounts[i]] = function () return { idle = 0; resource = "minimix"; rooms = rooms }; end;
	end
	local h = host.new {
		records = false;
		accounts = accounts;
		storage = { ["example.org"] = { minimix = records } };
		wrap_store = fields.wrap_store;
		options = {
			minimix_rejoin_rate = 1e6;
			minimix_resource = fields.resource or "minimix";
		};
	};
	h.domains = {};
	for n = 0, services - 1 do
		h.domains[n + 1] = ("s%d.%s"):format(n, domain);
		h:on_stanza_to(h.domains[n + 1], function (stanza) return answer(h, stanza); end);
	end
	return h, accounts;
end

local function come_back(h)
	h:fire_global("server-started");
	h:tick(20);
end

local function count(f)
	local step, steps, moved = 100, 0, 0;
	local remove = table.remove;
	function table.remove(list, i) -- luacheck: ignore 122
		moved = moved + (i and math.max(#list - i, 0) or 0);
		return remove(list, i);
	end
	debug.sethook(function () steps = steps + 1; end, "", step);
	local ok, problem = pcall(f);
	debug.sethook();
	table.remove = remove; -- luacheck: ignore 122
	assert(ok, problem);
	return steps * step, moved;
end

-- Compares the work for a number of memberships with that for twice as many. `prepare` is not counted. fields: of
-- new_host(); services = "many": one for each 10 rooms; memberships (200)
local function assert_linear(fields, prepare, act)
	local function work_for(memberships)
		local all = setmetatable({ services = fields.services == "many" and memberships // 10 or nil }, { __index = fields });
		local h, accounts = new_host(memberships, all);
		prepare(h, accounts);
		local instructions, moved = count(function () act(h, accounts); end);
		h:assert_clean();
		h:forget();
		return instructions, moved;
	end
	local few = fields.memberships or 200;
	local one, moved = work_for(few);
	local two, moved_twice = work_for(2 * few);
	assert(two < 2.1 * one, ("%d instructions, and %d for twice as many memberships"):format(one, two));
	return moved, moved_twice;
end

local function link(h, event, service)
	h:fire("s2sin-"..event, { session = {
		type = "s2sin"; direction = "incoming"; from_host = service; to_host = h.name;
	} });
end

local function delete_all(h, accounts)
	for _, username in ipairs(accounts) do
		h:fire_global("user-deleted", { username = username; host = h.name });
	end
	h:tick(10);
end

local nothing = function () end;

-- The memberships are in one process, so the work of an event must not grow with those that it does not concern.
describe("with twice as many memberships", function ()
	local cases = {
		["a return to all rooms"] = { {}, nothing, come_back };
		["a stop of the server"] = { {}, come_back, function (h) h:fire_global("server-stopping", { reason = "stop" }); end };
		["a stop during the return"] = { {}, function (h)
			h:fire_global("server-started");
			h:tick(1);
		end, function (h) h:fire_global("server-stopping", { reason = "stop" }); end };
		["a reload"] = { {}, come_back, function (h) h:reload(); end };
		["an unload"] = { {}, come_back, function (h) h:unload(); end };
		["the deletion of all users"] = { {}, come_back, delete_all };
		["the leaves after a change of minimix_resource"] = { { resource = "other"; memberships = 700 }, nothing, function (h)
			come_back(h);
			h:tick(30);
		end };
		["the links of all servers"] = { { services = "many" }, come_back, function (h)
			for _, service in ipairs(h.domains) do link(h, "established", service); end
			h:tick(10);
		end };
	};
	for name, case in pairs(cases) do
		it(("B4: %s takes twice as long"):format(name), function ()
			assert_linear(table.unpack(case));
		end);
	end

	it("B4: the end of all sessions takes twice as long while rooms owe answers to their IQs", function ()
		local clients;
		local function ask_all(h, accounts)
			come_back(h);
			clients = {};
			for i, username in ipairs(accounts) do
				local client = h:client(username, "phone", { available = true });
				local room = ("room%d@%s"):format(i * rooms_each + 1, h.domains[1]);
				client:send(("<presence to='%s/%s'><x xmlns='%s'/></presence>"):format(room, username, xmlns_muc));
				h.owes_answers = true;
				for n = 1, 20 do
					client:send(("<iq type='get' id='q%d' to='%s'><query xmlns='jabber:iq:version'/></iq>"):format(n, room));
				end
				h.owes_answers = nil;
				clients[i] = client;
			end
		end
		assert_linear({}, ask_all, function ()
			for _, client in ipairs(clients) do client:close(); end
		end);
	end);

	it("B4: the presences of all accounts leave without moving a list", function ()
		local moved, twice = assert_linear({ shown = "<presence><show>chat</show></presence>" }, come_back, function (h)
			h:tick(400);
		end);
		assert(twice < 2.2 * moved + 100, ("%d items move, and %d for twice as many memberships"):format(moved, twice));
	end);

	it("B4: tasks in slices take turns without moving a list", function ()
		local moved, twice = assert_linear({}, come_back, function (h, accounts)
			clock.pace = 0.006;
			delete_all(h, accounts);
			clock.pace = 0;
		end);
		assert(twice < 2.2 * moved + 100, ("%d items move, and %d for twice as many memberships"):format(moved, twice));
	end);

	it("S3: messages of twice as many rooms take twice as many reads when storage works again", function ()
		local faults, reads;
		local fields = { wrap_store = function (store, name)
			local wrapped = faults.wrap(store, name);
			if name ~= "minimix_archive" then return wrapped; end
			return setmetatable({ find = function (_, ...)
				reads = reads + 1;
				return wrapped:find(...);
			end }, { __index = wrapped });
		end };
		local function reads_for(memberships)
			faults, reads = faulty.new(), 0;
			local h = new_host(memberships, fields);
			come_back(h);
			faults:fail "nil";
			for i = 1, memberships // rooms_each do
				for j = 1, rooms_each do
					h:from_room(st.message({
						type = "groupchat"; to = ("user%d@%s/minimix"):format(i, h.name); id = "m";
						from = ("room%d@%s/Bob"):format(i * rooms_each + j, h.domains[1]);
					}):body("tea"));
				end
			end
			h:tick(1);
			h:expect_error "storage is away";
			faults:work();
			reads = 0;
			clock.pace = 0.001;
			h:tick(60);
			clock.pace = 0;
			assert(h:last_log("info", "Storage works again"));
			h:forget();
			return reads;
		end
		local one, two = reads_for(200), reads_for(400);
		assert(one > 0 and two < 2.2 * one, ("%d reads, and %d for twice as many rooms"):format(one, two));
	end);
end);
