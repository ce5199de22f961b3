-- The part of mod_smacks that keeps a session when its connection is lost.

module:hook("pre-resource-unbind", function (event)
	return prosody.spec.before_unbind(event.session);
end);
