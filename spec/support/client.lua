-- A client of the server under test: a session bound by Prosody's sessionmanager, and what it was sent.

local st = require "util.stanza";
local logger = require "util.logger";
local new_id = require "util.id".short;
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

-- The sender may go on to change the table it sent, so the inbox gets a copy.
local function write(self, session, data)
	if not st.is_stanza(data) then return true; end -- stream errors and the end of the stream
	local stanza = session.filter and session.filter("stanzas/out", data) or data;
	local copy = st.clone(stanza);
	if session.hibernating then
		table.insert(self.queue, copy);
		fire(self, "smacks-hibernation-stanza-queued", { origin = session; queue = self.queue; stanza = copy });
	else
		table.insert(self.inbox, copy);
	end
	return true;
end

local function connect(self, session)
	session.conn = { ip = function () return "127.0.0.1" end };
	function session.send(data)
		return write(self, session, data);
	end
	session.rawsend = session.send;
	function session.close(_, reason)
		return self:end_stream(reason);
	end
end

local function new_session(self)
	local id = "c2s"..new_id();
	local session = {
		type = "c2s_unbound";
		id = id;
		host = self.domain;
		log = logger.init(id);
		ip = "127.0.0.1";
		secure = true;
	};
	connect(self, session);
	return session;
end

function client.new(host, username, resource, options)
	local self = setmetatable({
		host = host;
		domain = host.name;
		username = username;
		bare_jid = username.."@"..host.name;
		inbox = {};
		queue = {};
	}, client);
	local session = new_session(self);
	if options.filters then
		filters.initialize(session);
	end
	assert(sessionmanager().make_authenticated(session, username));
	host.clients[session] = self;
	host:run(function ()
		assert(sessionmanager().bind_resource(session, resource));
	end);
	self.session = session;
	self.resource, self.jid = session.resource, session.full_jid;
	return self;
end

-- As if the client had written it to its stream: text or a stanza.
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

-- What arrived since the last time this was asked.
function client:take()
	local inbox = self.inbox;
	self.inbox = {};
	return inbox;
end

-- Broadcast presence, or with `to` a directed one.
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

-- The client ends its stream.
function client:close()
	return self:end_stream(false);
end

-- The connection breaks, and the session with it.
function client:lose()
	return destroy(self, server.is_13 and "closed" or nil);
end

-- The connection breaks, but the session waits for the client to resume it.
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
	fire(self, "smacks-hibernation-start", { origin = session; queue = self.queue });
	return true;
end

-- What mod_smacks does when a session is about to end; true keeps it.
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
		connect(self, session);
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

-- The client did not come back in time.
function client:expire()
	assert(self.session.hibernating, "this client does not hibernate");
	return destroy(self, "Hibernating too long");
end

return client;
