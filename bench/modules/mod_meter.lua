-- Loaded by the benchmark only: the longest block of the server's loop, and the presences from accounts to rooms.

local time = require "util.timer";
local jid = require "util.jid";

local interval = 0.001;

-- CPU time between two turns of the loop. Other load of the machine does not count.
local longest, last = 0, nil;

local function tick()
	local now = os.clock();
	longest = math.max(longest, now - last);
	last = now;
	return interval;
end

function module.environment.watch_loop()
	longest, last = 0, os.clock();
	time.add_task(interval, tick);
end

function module.environment.longest_block()
	return longest;
end

-- Available presences, by room and account.
local shown, pairs_shown, most = {}, 0, 0;

local function count(event)
	local attr = event.stanza.attr;
	if attr.type == nil then
		local key = jid.bare(attr.to).." "..jid.bare(attr.from);
		if not shown[key] then pairs_shown = pairs_shown + 1; end
		shown[key] = (shown[key] or 0) + 1;
		most = math.max(most, shown[key]);
	end
end

module:hook("presence/full", count, 1e6);

-- The number of memberships with any, and the highest number for one.
function module.environment.presences()
	return { pairs_shown, most };
end
