-- A client of the server under test: a session bound by Prosody's sessionmanager, and the stanzas that it received.

local st = require "util.stanza";
local filters = require "util.filters";
local server = require "support.prosody";
local xml = require "support.xml";

local client = {};
client.__index = client;

local function sessionmanager()
	return require "core.sessionmanager";
end

local function fire(self, name, event)
	return prosody.hosts[self.domain].events.fire_event(name, event);
end

-- A stream gets text, of one stanza or of several.
local function read(self, text)
	if text:find "^</?stream:" then return; end
	for _, stanza in ipairs(xml.parse_all(text)) do
		table.insert(self.inbox, stanza);
	end
end

local function new_connection(self)
	return {
		ip = function () return "127.0.0.1" end;
		write = function (_, text)
			read(self, text);
			return true;
		end;
	};
end

-- A session without a stream takes stanza tables. The sender may change them later, so the inbox gets copies.
local function take_stanzas(self, session)
	session.rawsend = nil;
	function session.send(stanza)
		local filtered = session.filter("stanzas/out", stanza);
		if filtered then table.insert(self.inbox, st.clone(filtered)); end
		return true;
	end
end

local function new_session(self)
	local session = sessionmanager().new_session(new_connection(self));
	session.host = self.domain;
	session.secure = true;
	function session.close(_, reason)
		return self:end_stream(reason);
	end
	if self.bosh then
		take_stanzas(self, session);
	end
	return session;
end

-- What mod_smacks does with each stanza while the client is disconnected.
local function queue_stanzas(self, session)
	filters.add_filter(session, "stanzas/out", function (stanza)
		if not session.hibernating then return stanza; end
		local copy = st.clone(stanza);
		table.insert(self.queue, copy);
		fire(self, "smacks-hibernation-stanza-queued", { origin = session; queue = self.queue; stanza = copy });
	end, -999);
end

-- Prosody's functions have their upvalues as fields (util.startup, set_function_metatable).
local function set_upvalue(f, name, value)
	local i = 1;
	while debug.getupvalue(f, i) do
		if debug.getupvalue(f, i) == name then debug.setupvalue(f, i, value); end
		i = i + 1;
	end
end

-- What mod_smacks and, since 13.0, sessionmanager do with the session of a new connection.
local function move_connection(to_session, from_session)
	for _, name in ipairs { "conn", "rawsend", "send", "close", "filter", "filters", "ip" } do
		to_session[name] = from_session[name];
	end
	for _, name in ipairs { "rawsend", "send", "filter" } do
		if to_session[name] then set_upvalue(to_session[name], "session", to_session); end
	end
end

function client.new(host, username, resource, options)
	local self = setmetatable({
		host = host;
		domain = host.name;
		username = username;
		bare_jid = username.."@"..host.name;
		bosh = options.bosh;
		inbox = {};
		queue = {};
	}, client);
	local session = new_session(self);
	assert(sessionmanager().make_authenticated(session, username));
	host.clients[session] = self;
	host:run(function ()
		assert(sessionmanager().bind_resource(session, resource));
	end);
	self.session = session;
	self.resource, self.jid = session.resource, session.full_jid;
	return self;
end

-- Sends a stanza, text or a table, as if the client had written it to its stream.
function client:send(stanza)
	assert(self:is_connected(), "this client has no stream");
	local received = xml.parse(stanza);
	self.host:run(function ()
		prosody.core_process_stanza(self.session, received);
	end);
end

function client:is_connected()
	return self.session.type == "c2s" and not self.session.hibernating;
end

-- Returns the stanzas that arrived since the last call.
function client:take()
	local inbox = self.inbox;
	self.inbox = {};
	return inbox;
end

-- Sends broadcast presence, or directed presence with `to`.
function client:available(priority, to)
	local presence = st.presence({ to = to });
	if priority then
		presence:text_tag("priority", tostring(priority));
	end
	return self:send(presence);
end

function client:unavailable(to)
	return self:send(st.presence({ type = "unavailable"; to = to }));
end

local function destroy(self, reason)
	self.host:run(function ()
		sessionmanager().destroy_session(self.session, reason);
	end);
end

function client:end_stream(reason)
	self.host:run(function ()
		self.session.resumable = nil;
		fire(self, "pre-session-close", { session = self.session; reason = reason });
		destroy(self, type(reason) == "table" and reason.text or reason or false);
	end);
end

-- Ends the stream.
function client:close()
	return self:end_stream(false);
end

-- Breaks the connection, which ends the session.
function client:lose()
	return destroy(self, server.is_13 and "closed" or nil);
end

-- Breaks the connection. The session hibernates until the client resumes it.
function client:hibernate()
	self.session.resumable = true;
	return self:lose();
end

local function bounce(self, session, stanza)
	if fire(self, "delivery/failure", { session = session; stanza = stanza }) then return; end
	if stanza.attr.type == "error" or stanza.attr.from == session.full_jid then return; end
	local reply = st.error_reply(stanza, "cancel", "recipient-unavailable");
	prosody.core_post_stanza(prosody.hosts[self.domain], reply);
end

local function start_hibernation(self, session)
	session.resumable = nil;
	session.hibernating = os.time();
	session.conn = nil;
	queue_stanzas(self, session);
	fire(self, "smacks-hibernation-start", { origin = session; queue = self.queue });
	return true;
end

-- What mod_smacks does when a session is about to end. Returns true to keep the session.
function client:before_unbind(session)
	if session.resumable then return start_hibernation(self, session); end
	local queue = self.queue;
	self.queue = {};
	for _, stanza in ipairs(queue) do
		bounce(self, session, stanza);
	end
end

function client:resume()
	local session = self.session;
	assert(session.hibernating, "this client does not hibernate");
	self.host:run(function ()
		local resuming = new_session(self);
		move_connection(session, resuming);
		session.hibernating = nil;
		if server.is_13 then
			prosody.events.fire_event("c2s-session-updated", { session = session; from_session = resuming });
			sessionmanager().retire_session(resuming);
		end
		local queue = self.queue;
		self.queue = {};
		for _, stanza in ipairs(queue) do
			table.insert(self.inbox, stanza);
		end
		fire(self, "smacks-hibernation-end", { origin = resuming; resumed = session; queue = queue });
	end);
end

-- Lets the hibernation expire.
function client:expire()
	assert(self.session.hibernating, "this client does not hibernate");
	return destroy(self, "Hibernating too long");
end

return client;
