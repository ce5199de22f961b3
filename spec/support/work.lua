-- Measures how long single events, timers and queries would block a server. Counts the instructions of the Lua virtual
-- machine, so that the result does not depend on the machine. The monotonic clock advances with them. A spec may advance it
-- as well, for work that is not done by Lua.

local clock = require "support.clock";
local host = require "support.host";

local work = {};

-- Instructions per second of a slow machine, with the C functions between them.
local rate = 1e8;
local step = 1000;

local function call(f, ...)
	return { n = select("#", ...) + 1; f(...) };
end

-- Calls f. Returns the seconds that the longest event, timer or query in it takes. Work of the spec between events is
-- not counted.
function work.longest(f)
	local longest, inside = 0, false;
	local function turn(g, ...)
		if inside then return g(...); end
		inside = true;
		local before = clock.monotonic();
		local results = call(g, ...);
		inside = false;
		longest = math.max(longest, clock.monotonic() - before);
		return table.unpack(results);
	end
	local run, around = host.run, clock.around;
	function host:run(g)
		return run(self, function () return turn(g); end);
	end
	clock.around = turn;
	debug.sethook(function ()
		clock.elapse(step / rate);
	end, "", step);
	local ok, problem = pcall(f);
	debug.sethook();
	host.run, clock.around = run, around;
	assert(ok, problem);
	return longest;
end

return work;
