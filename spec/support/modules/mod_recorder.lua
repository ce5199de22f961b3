-- Records the stanzas from other servers that reach mod_presence, mod_message and mod_iq. mod_iq first asks the
-- account's own handlers about a query to the bare JID. Only queries that they leave are recorded.

local jid_host = require "util.jid".host;

local function record(event)
	local from = event.stanza.attr.from;
	if from and jid_host(from) ~= module.host then
		prosody.spec.on_unhandled(event.stanza);
	end
end

-- A handler is identified by its function: each event needs another function.
local function hook(name, priority)
	module:hook(name, function (event) return record(event) end, priority);
end

hook("presence/bare", 0.01);
hook("presence/full", 0.01);
hook("message/bare", -0.9);
hook("message/full", -0.9);
hook("iq/bare", -1);
hook("iq/full", 0.01);
