-- Sends each message of a room to the members' bare JIDs as well. mod_muc_offline_delivery does so for members with a
-- reserved nick outside of the room.

local st = require "util.stanza";

module:hook("muc-add-history", function (event)
	for jid, affiliation in event.room:each_affiliation() do
		if affiliation == "member" then
			local copy = st.clone(event.stanza);
			copy.attr.to = jid;
			module:send(copy);
		end
	end
end);
