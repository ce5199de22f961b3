-- Refuses messages to rooms that the session has not joined by its `rooms_joined`, from the 11th on, as
-- mod_throttle_unsolicited does.

local jid_bare = require "util.jid".bare;
local st = require "util.stanza";

module:depends "track_muc_joins";

local function check(event)
	local origin, stanza = event.origin, event.stanza;
	local joined = origin.rooms_joined;
	if stanza.attr.type == "error" or (joined and joined[jid_bare(stanza.attr.to)]) then return; end
	origin.unsolicited = (origin.unsolicited or 0) + 1;
	if origin.unsolicited > 10 then
		origin.send(st.error_reply(stanza, "cancel", "service-unavailable"));
		return true;
	end
end

module:hook("pre-message/bare", check, 200);
module:hook("pre-message/full", check, 200);
