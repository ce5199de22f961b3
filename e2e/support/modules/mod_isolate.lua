-- Blocks all stanzas of local users to other domains, as mod_isolate_host does.

local jid_host = require "util.jid".host;
local st = require "util.stanza";

local function check(event)
	local origin, stanza = event.origin, event.stanza;
	local to = jid_host(stanza.attr.to);
	if to and to ~= module.host then
		origin.send(st.error_reply(stanza, "auth", "forbidden", "Communication with "..to.." is not available"));
		return true;
	end
end

for _, name in ipairs { "message", "presence", "iq" } do
	for _, kind in ipairs { "bare", "full", "host" } do
		module:hook("pre-"..name.."/"..kind, check, 1);
	end
end
