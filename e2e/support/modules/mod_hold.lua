-- For tests, on a host with rooms: holds stanzas to the rooms until it is told to release them, like a slow remote
-- service.

local st = require "util.stanza";

local held;
-- The stanza that release() delivers.
local released;

local function keep(event)
	if not held or event.stanza == released then return; end
	table.insert(held, { event.origin, st.clone(event.stanza) });
	return true;
end

for _, event in ipairs({ "presence/full", "presence/bare", "message/full", "message/bare", "iq/full", "iq/bare" }) do
	module:hook(event, keep, 1e5);
end

function module.environment.hold()
	held = {};
end

-- What is sent meanwhile, as an answer to these stanzas, follows them.
function module.environment.release()
	while held and held[1] do
		local item = table.remove(held, 1);
		released = item[2];
		prosody.core_post_stanza(item[1], released);
	end
	held, released = nil, nil;
end
