-- Random events, and what has to hold whatever happens: see spec/fuzz. MINIMIX_EVENTS and MINIMIX_SEED say how many and from where.

local found = require "fuzz.found";
local generate = require "fuzz.generate";
local run = require "fuzz.run";
local world = require "fuzz.world";

local count = tonumber(os.getenv "MINIMIX_EVENTS" or "") or 2400;
local seed = tonumber(os.getenv "MINIMIX_SEED" or "") or 1;

-- A world is small and soon gone: most of the time that goes into clearing up after it can be saved.
collectgarbage("setpause", 400);

describe("any order of events", function ()
	it("leaves the rules intact, from seed "..seed, function ()
		local problem, list = run.search { seed = seed; count = count };
		if problem then
			local short = run.shorten(list, problem, nil, 60);
			error(("seed %d: %s\nto be kept in spec/fuzz/found.lua:\n%s"):format(list.seed, problem, generate.written(short)), 0);
		end
		print(list.." events");
	end);

	for i, list in ipairs(found) do
		it(("leaves the rules intact: %d, %s"):format(i, list.about), function ()
			assert.is_nil((world.play(list)));
		end);
	end
end);

-- The bundle with a fault in it.
local function planted(name, pattern, replacement)
	local file = assert(io.open("lua-out/mod_minimix.lua"));
	local text = file:read("*a");
	file:close();
	local faulty, places = text:gsub(pattern, replacement);
	assert(places > 0, "there is no place to plant "..name);
	local path = ("%s/mod_minimix.lua"):format(os.tmpname().."-planted");
	os.execute(("mkdir -p '%s'"):format(path:match "^(.*)/"));
	file = assert(io.open(path, "w"));
	file:write(faulty);
	file:close();
	return path;
end

local faults = {
	{ "a session that is passed over by a fork",
		"(function [%w_]+%.fork%(membership, stanza, except%)\n)", "%1    if math.random(5) == 1 then return; end\n" };
	{ "a fork that comes twice",
		"(function ([%w_]+%.sendTo)%(fullJid, stanza%)\n)",
		"%1    if stanza.name == 'message' and not stanza.again then stanza.again = true; %2(fullJid, stanza); stanza.again = nil; end\n" };
	{ "a session that stays attached when it ends",
		"(function [%w_]+%.detachSession%(membership, session%)\n)", "%1    if true then return; end\n" };
	{ "an answer that goes to another session",
		"(forgetIq%(key, pending%)\n)(    return pending\n)", "%1    pending.session = next(prosody.full_sessions);\n%2" };
	{ "110 believed on a foreign nick",
		"if membership.phase == \"joining\" and hasStatus", "if hasStatus" };
};

describe("the search finds within a minute", function ()
	for _, fault in ipairs(faults) do
		it(fault[1], function ()
			local path = planted(fault[1], fault[2], fault[3]);
			local problem = run.search { seed = 1; seconds = 60; module_file = path };
			os.execute(("rm -r '%s'"):format(path:match "^(.*)/"));
			assert.is_string(problem);
		end);
	end
end);
