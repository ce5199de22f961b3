-- Loaded by the benchmark only: the longest block of the server's loop, and the presences from accounts to rooms.

local jid = require "util.jid";

-- CPU time between two calls that wait for sockets, and of it in handlers of presence to full JIDs. Other load of the
-- machine does not count.
local longest, last;
local longest_own, own;

local function count_from_here(...)
	last, own = os.clock(), 0;
	return ...;
end

local function count_own(began, ...)
	own = own + os.clock() - began;
	return ...;
end

-- Watches the loop of net.server_epoll, which waits before each event and each run of timers.
function module.environment.watch_loop()
	local poller = getmetatable(require "util.poll".new()).__index;
	local wait = poller.wait;
	local events = prosody.hosts[module.host].events;
	local fire = events.fire_event;
	longest, longest_own = 0, 0;
	count_from_here();
	function poller.wait(...)
		longest, longest_own = math.max(longest, os.clock() - last), math.max(longest_own, own);
		return count_from_here(wait(...));
	end
	function events.fire_event(name, data)
		if name ~= "presence/full" then return fire(name, data); end
		return count_own(os.clock(), fire(name, data));
	end
end

function module.environment.longest_block()
	return { longest, longest_own };
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
