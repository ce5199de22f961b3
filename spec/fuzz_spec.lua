-- Random events, and conditions that hold after any of them: see spec/fuzz. MINIMIX_EVENTS and MINIMIX_SEED set the
-- number and the seed. With MINIMIX_LIES=1 most events are those of lying rooms.

local found = require "fuzz.found";
local generate = require "fuzz.generate";
local inspect = require "fuzz.inspect";
local new_seed = require "support.seed";
local run = require "fuzz.run";
local world = require "fuzz.world";

local count = tonumber(os.getenv "MINIMIX_EVENTS" or "") or 1200;
local seed = new_seed("random events", "MINIMIX_EVENTS");
-- A long run has random events only.
local is_long = os.getenv "MINIMIX_EVENTS" ~= nil;

local function search(fields)
	local problem, list = run.search(fields);
	if problem then
		local short = run.shorten(list, problem, nil, 60);
		error(("seed %d: %s\nto be kept in spec/fuzz/found.lua:\n%s"):format(list.seed, problem, generate.written(short)), 0);
	end
	print(list.." events");
end

describe("random events", function ()
	it("break no rule", function ()
		search { seed = seed; count = count; lies = os.getenv "MINIMIX_LIES" == "1" };
	end);

	it("break no rule while storage fails and the clock jumps", function ()
		search { seed = seed; count = count // 2; faults = true };
	end);

	it("break no rule in variations of the kept lists", function ()
		search { seed = seed; count = count // 10; lists = found };
	end);
end);

-- The search has found them in the module itself, on any version.
describe("kept lists of events #once", function ()
	for i, list in ipairs(is_long and {} or found) do
		it(("break no rule: %d, %s"):format(i, list.about), function ()
			assert.is_nil((world.play(list)));
		end);
	end
end);

-- Replaces a function of the module by another that misbehaves now and then.
local function instead(name, wrap)
	return function (host)
		assert(inspect.replace(host, name, function (f) return wrap(f, host); end), "there is no function "..name);
	end;
end

local function sometimes(n)
	return math.random(n) == 1;
end

local function receiver_of(host, broadcast, stanza)
	local to = stanza.attr.to;
	return to and inspect.membership(host, to, broadcast.room);
end

local faults = {
	["a session that is passed over by a fork"] = instead("sendTo", function (send)
		return function (session, stanza)
			if stanza.name ~= "message" or not sometimes(5) then return send(session, stanza); end
		end;
	end);
	["a fork that comes twice"] = instead("fork", function (fork)
		return function (membership, stanza, except)
			if stanza.name == "message" then fork(membership, stanza, except); end
			return fork(membership, stanza, except);
		end;
	end);
	["a session that stays attached when it ends"] = instead("detachSession", function ()
		return function () end;
	end);
	["an answer that goes to another session"] = instead("takeIq", function (take)
		return function (...)
			local pending = take(...);
			if pending then pending.session = next(prosody.full_sessions); end
			return pending;
		end;
	end);
	["another occupant that is taken for the account"] = instead("isOwnNick", function (is_own)
		return function (...) return is_own(...) or sometimes(20); end;
	end);
	["a refusal for now that is taken for the last word"] = instead("isTemporary", function ()
		return function () return false; end;
	end);
	["lists of occupants that are merged although they differ"] = instead("isSame", function ()
		return function () return true; end;
	end);
	["a position off by one"] = instead("moveOn", function (move)
		return function (reader, list)
			move(reader, list);
			if reader.list == list then reader.position = reader.position + 1; end
		end;
	end);
	["a broadcast that leaves an account at its position"] = instead("passOn", function (pass, host)
		return function (broadcast, stanza)
			local passed = pass(broadcast, stanza);
			if passed then
				local view = receiver_of(host, broadcast, stanza).view;
				view.position = view.position - 1;
			end
			return passed;
		end;
	end);
	["a broadcast that gives an account another list"] = instead("passOn", function (pass, host)
		return function (broadcast, stanza)
			local membership = receiver_of(host, broadcast, stanza);
			local list = membership and membership.view.list;
			if list and list ~= broadcast.list and list.readerCount > 1 then
				membership.view.list, membership.view.position = broadcast.list, broadcast.position;
			end
			return pass(broadcast, stanza);
		end;
	end);
	["a broadcast that skips an account's sessions"] = instead("passOn", function (pass, host)
		return function (broadcast, stanza)
			local membership = receiver_of(host, broadcast, stanza) or {};
			local since = membership.detachedAt;
			membership.detachedAt = 0;
			local passed = pass(broadcast, stanza);
			membership.detachedAt = since;
			return passed;
		end;
	end);
	["a timer that never ends"] = function (host)
		local api = host:module();
		local add_timer = api.add_timer;
		function api:add_timer(delay, callback, ...)
			if sometimes(10) then callback = function () end; end
			return add_timer(self, delay, callback, ...);
		end
	end;
	["a message that gets lost"] = function (host)
		local api = host:module();
		local send = api.send;
		function api:send(stanza, ...)
			if stanza.name == "message" and sometimes(20) then return true; end
			return send(self, stanza, ...);
		end
	end;
};

-- These show while storage fails and the clock jumps.
local server_faults = {
	["a failed write that is not repeated"] = instead("writeRecord", function (write)
		return function (records, key)
			local done = write(records, key);
			records.dirty[key] = nil;
			return done;
		end;
	end);
	["durations by the wall clock"] = instead("monotonic", function () return os.time; end);
};

-- Seeds for a run from seed 1, which is to be short. The search from seed 1 takes up to a minute of CPU for these.
local first_seeds = {
	["a message that gets lost"] = 27;
	["a broadcast that leaves an account at its position"] = 22;
	["a broadcast that skips an account's sessions"] = 122;
	["a refusal for now that is taken for the last word"] = 55;
	["a broadcast that gives an account another list"] = 34;
	["a failed write that is not repeated"] = 31;
	["durations by the wall clock"] = 25;
};

describe("the search #once finds a planted fault within a minute:", function ()
	local function finds(plants, with_faults)
		for name, plant in pairs(is_long and {} or plants) do
			it(name, function ()
				local first = seed == 1 and first_seeds[name] or seed;
				local problem, list = run.search { seed = first; seconds = 60; plant = plant; faults = with_faults };
				assert.is_string(problem, ("in %s events"):format(tostring(list)));
			end);
		end
	end

	finds(faults);
	finds(server_faults, true);
end);
