-- A component of this server. The spec answers its stanzas.

for _, kind in ipairs { "message", "presence", "iq" } do
	for _, address in ipairs { "bare", "full", "host" } do
		module:hook(kind.."/"..address, function (event)
			prosody.spec.on_service(event.stanza);
			return true;
		end);
	end
end
