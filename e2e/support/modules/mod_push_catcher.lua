-- For tests: a push service (XEP-0357 7) as a component, which stores notifications until a test reads them.

local st = require "util.stanza";

local caught = {};

module:hook("iq-set/host/http://jabber.org/protocol/pubsub:pubsub", function (event)
	local publish = event.stanza.tags[1]:get_child("publish");
	table.insert(caught, publish.attr.node);
	event.origin.send(st.reply(event.stanza));
	return true;
end);

-- The nodes that got a notification since the last call.
function module.environment.take()
	local taken = require "util.array"(caught);
	caught = {};
	return taken;
end
