-- For tests: drops or doubles a message to one client, which the tests must notice.

local filters = require "util.filters";
local st = require "util.stanza";

local function tamper(stanza, session)
	local body = st.is_stanza(stanza) and stanza.name == "message" and stanza:get_child_text("body");
	if body == "lose this for "..tostring(session.resource) then
		return nil;
	end
	if body == "double this for "..tostring(session.resource) and not session.tampering then
		session.tampering = true;
		session.send(st.clone(stanza));
		session.tampering = nil;
	end
	return stanza;
end

local function watch(session)
	filters.add_filter(session, "stanzas/out", tamper);
end

filters.add_filter_hook(watch);

function module.unload()
	filters.remove_filter_hook(watch);
end
