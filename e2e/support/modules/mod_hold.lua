-- For tests, on a host with rooms: holds stanzas to the rooms until it is told to release them, like a slow remote
-- service.

local st = require "util.stanza";

local held;

local function keep(event)
	if not held then return; end
	table.insert(held, { event.origin, st.clone(event.stanza) });
	return true;
end

for _, event in ipairs({ "presence/full", "presence/bare", "message/full", "message/bare", "iq/full", "iq/bare" }) do
	module:hook(event, keep, 1e5);
end

function module.environment.hold()
	held = {};
end

function module.environment.release()
	local stanzas = held or {};
	held = nil;
	for _, item in ipairs(stanzas) do
		prosody.core_post_stanza(item[1], item[2]);
	end
end
