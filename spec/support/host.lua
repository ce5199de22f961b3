-- A Prosody server with one virtual host and the module under test. Core, mod_presence, mod_message and mod_iq are
-- Prosody's own. Connections, time, accounts and the disk are replaced. Stanzas to other domains end up in `outbox`.

local busted = require "busted";
local st = require "util.stanza";
local jid = require "util.jid";
local clock = require "support.clock";
local client = require "support.client";
local server = require "support.prosody";
local xml = require "support.xml";

local host = {};
host.__index = host;

local support_modules = "spec/support/modules";
local spec_modules = { "recorder", "fake_smacks" };
local without_sockets = { "unknown", "c2s", "s2s", "s2s_auth_certs", "offline", "tls", "saslauth", "dialback" };
local global_options = {
	modules_disabled = without_sockets;
	authentication = "fake";
	storage = "fake";
	statistics = "internal";
	statistics_interval = "manual";
};

local used_in_test = {};

local function copy(t)
	local new = {};
	for k, v in pairs(t) do new[k] = v; end
	return new;
end

local function extend(list, more)
	for _, item in ipairs(more or {}) do
		table.insert(list, item);
	end
	return list;
end

local function plugin_path(module_file)
	local directory = module_file:match("^(.*)/[^/]*$") or ".";
	return table.concat({ directory, support_modules, server.lib.."/modules" }, ";");
end

local function configuration(self)
	local options = copy(self.options);
	options.modules_enabled = extend(extend(copy(spec_modules), self.modules), { self.module_name });
	return { ["*"] = global_options; [self.name] = options };
end

-- Functions that the server's own code calls.
local function callbacks(self)
	return {
		storage = self.storage;
		accounts = { [self.name] = self.accounts };
		on_unhandled = function (stanza)
			if self.records then table.insert(self.unhandled, st.clone(stanza)); end
		end;
		on_service = function (stanza) return self:on_service(stanza); end;
		on_store_call = self.wrap_store;
		before_unbind = function (session)
			local owner = self.clients[session];
			if owner then return owner:before_unbind(session); end
		end;
	};
end

local function start(self)
	self.log, self.inspected = {}, 0;
	self.outbox, self.unhandled, self.wire = {}, {}, {};
	self.clients = setmetatable({}, { __mode = "k" });
	self.services, self.rooms = {}, {};
	local function on_log(source, level, message)
		table.insert(self.log, { source = source; level = level; message = message });
	end
	server.start(configuration(self), plugin_path(self.module_file), on_log, { spec = callbacks(self) }, self.data);
	prosody.hosts[self.name].events.add_handler("route/remote", function (event)
		return self:on_remote(event.stanza);
	end);
	if not self:module() then
		error("the module did not load: "..(self:last_log("error") or "no reason given"), 0);
	end
end

-- fields: options (of the virtual host), name ("example.org"), modules (to load in addition), accounts (list of
-- usernames), storage (a table; the same table continues the earlier storage), data (a folder, for drivers that write
-- to disk), module_file, wrap_store(store, name) -> store, records (false: `outbox` and `unhandled` stay empty)
function host.new(fields)
	fields = fields or {};
	local module_file = fields.module_file or "lua-out/mod_minimix.lua";
	local self = setmetatable({
		name = fields.name or "example.org";
		options = fields.options or {};
		modules = fields.modules;
		storage = fields.storage or {};
		data = fields.data;
		accounts = {};
		wrap_store = fields.wrap_store;
		records = fields.records ~= false;
		module_file = module_file;
		module_name = module_file:match("mod_([%w_]+)%.lua$");
		depth = 0;
	}, host);
	for _, username in ipairs(fields.accounts or {}) do
		self.accounts[username] = { enabled = true };
	end
	clock.reset();
	start(self);
	table.insert(used_in_test, self);
	return self;
end

-- Runs everything that comes from outside. Pending work, such as settled promises, is done before it returns.
function host:run(f)
	self.depth = self.depth + 1;
	local ok, err = xpcall(f, function (e)
		return type(e) == "string" and debug.traceback(e, 2) or e;
	end);
	self.depth = self.depth - 1;
	if not ok then error(err, 0); end
	if self.depth == 0 then
		clock.advance(0);
	end
end

function host:tick(seconds)
	clock.advance(seconds or 0);
end

function host.time()
	return clock.now;
end

-- Fires an event of the virtual host.
function host:fire(name, event)
	local result;
	self:run(function () result = prosody.hosts[self.name].events.fire_event(name, event); end);
	return result;
end

-- Fires an event of the server: user-deleted, server-stopping ...
function host:fire_global(name, event)
	local result;
	self:run(function () result = prosody.events.fire_event(name, event); end);
	return result;
end

-- Clients and accounts

-- options: bosh (a session without a stream, which takes stanzas instead of text), available (true or a priority: send
-- initial presence)
function host:client(username, resource, options)
	options = options or {};
	self.accounts[username] = self.accounts[username] or { enabled = true };
	local new = client.new(self, username, resource, options);
	if options.available then
		new:available(tonumber(options.available));
		new:take();
	end
	return new;
end

function host:delete_user(username)
	self:run(function ()
		assert(require "core.usermanager".delete_user(username, self.name));
	end);
end

-- 0.12 has no disabled accounts.
function host:disable_user(username)
	self:run(function ()
		assert(require "core.usermanager".disable_user(username, self.name));
	end);
end

-- Rooms

local function is_of_service(self, stanza)
	local recipient = jid.bare(stanza.attr.to);
	return self.rooms[recipient] or self.rooms[jid.host(recipient)];
end

local correlated = { available = true; unavailable = true; probe = true };

-- R7: every presence and IQ of an account to a room has an id.
local function check_id(self, stanza)
	local resource = jid.resource(stanza.attr.from);
	local is_of_account = resource == nil or resource == "minimix";
	local is_to_nick = stanza.name == "presence" and jid.resource(stanza.attr.to) ~= nil;
	local needs_id = stanza.name == "iq" or is_to_nick and correlated[stanza.attr.type or "available"];
	if is_of_account and needs_id and not stanza.attr.id and is_of_service(self, stanza) then
		table.insert(self.log, { level = "error"; source = "spec"; message = "no id: "..tostring(stanza) });
	end
end

-- A room of this server gets the sender's own table, and answers before module:send returns.
function host:on_service(stanza)
	check_id(self, stanza);
	if self.records then table.insert(self.outbox, st.clone(stanza)); end
	local receive = is_of_service(self, stanza);
	if receive then receive(stanza); end
end

-- A remote room gets the stanza as it arrives over the stream, when deliver() is called.
function host:on_remote(stanza)
	check_id(self, stanza);
	local sent = xml.over_the_wire(stanza);
	if self.records then table.insert(self.outbox, st.clone(sent)); end
	if is_of_service(self, sent) then
		table.insert(self.wire, sent);
	end
	return true;
end

-- Adds a component of this server, run by a module of Prosody such as "muc". Stanzas to it do not appear in `outbox`.
function host:add_component(domain, module_name, options)
	local all_options = copy(options or {});
	all_options.component_module = module_name;
	for name, value in pairs(all_options) do
		require "core.configmanager".set(domain, name, value);
	end
	self:run(function ()
		assert(require "core.hostmanager".activate(domain, all_options));
	end);
	self.services[domain] = true;
end

-- Adds a room: a table with `jid`, receive(self, stanza) and a field `send`; see support.room. It is local unless
-- options.remote is set.
function host:attach(room, options)
	self:on_stanza_to(room.jid, function (stanza) return room:receive(stanza); end, options);
	function room.send(stanza)
		return self:from_room(stanza);
	end
	return room;
end

-- Adds a room with only a function. `address` is a room's JID or a domain.
function host:on_stanza_to(address, receive, options)
	if not (options and options.remote) then
		local domain = jid.host(address);
		if not self.services[domain] then
			self:add_component(domain, "fake_service");
		end
	end
	self.rooms[address] = receive;
end

-- Delivers the stanzas in flight to remote rooms, and the stanzas that result from them.
function host:deliver()
	while self.wire[1] do
		local stanza = table.remove(self.wire, 1);
		self:run(function () is_of_service(self, stanza)(stanza); end);
	end
end

-- Drops the stanzas in flight to remote rooms.
function host:drop()
	self.wire = {};
end

local function remote_stream(self, domain)
	return {
		type = "s2sin";
		from_host = domain;
		to_host = self.name;
		hosts = { [domain] = { authed = true } };
		send = function (stanza)
			return prosody.core_route_stanza(prosody.hosts[self.name], stanza);
		end;
		log = function () end;
	};
end

-- Passes a stanza from a room, as text or a table, to the server. A local room passes the same table, a remote one a
-- copy. Returns whether the module handled it. If not, it is in `unhandled`.
function host:from_room(stanza)
	if type(stanza) == "string" then
		stanza = xml.parse(stanza);
	end
	local domain = assert(jid.host(stanza.attr.from), "a room's stanza needs a sender");
	local before = #self.unhandled;
	self:run(function ()
		if self.services[domain] then
			prosody.core_post_stanza(prosody.hosts[domain], stanza);
		else
			prosody.core_process_stanza(remote_stream(self, domain), xml.over_the_wire(stanza));
		end
	end);
	return #self.unhandled == before;
end

-- Returns the stanzas that have left the virtual host since the last call.
function host:take()
	local outbox = self.outbox;
	self.outbox = {};
	return outbox;
end

-- The module's life

function host:module()
	local loaded = require "core.modulemanager".get_module(self.name, self.module_name);
	return loaded and loaded.module;
end

function host:reload()
	self:run(function ()
		assert(require "core.modulemanager".reload(self.name, self.module_name));
	end);
end

function host:unload()
	self:run(function ()
		assert(require "core.modulemanager".unload(self.name, self.module_name));
	end);
end

function host:load()
	self:run(function ()
		assert(require "core.modulemanager".load(self.name, self.module_name));
	end);
end

-- Restarts the server with the same storage and accounts. Clients are disconnected, and rooms must be attached again.
-- By default sessions are closed at server-stopping, and modules are not unloaded. options.killed: no event is fired.
function host:restart(options)
	if not (options and options.killed) then
		self:stop();
	end
	self:assert_clean();
	clock.clear();
	start(self);
end

function host:stop()
	local function close_clients()
		for session, owner in pairs(copy(self.clients)) do
			if not session.destroyed then
				owner:end_stream({ condition = "system-shutdown"; text = "Server is shutting down" });
			end
		end
	end
	prosody.events.add_handler("server-stopping", close_clients, -100);
	self:fire_global("server-stopping", { reason = "restart" });
	self:fire_global("server-stopped");
end

-- Logs

function host:last_log(level, pattern)
	for i = #self.log, 1, -1 do
		local entry = self.log[i];
		if entry.level == level and entry.message:find(pattern or "") then
			return entry.message;
		end
	end
end

-- modulemanager only warns if a module fails to unload or restore.
local function is_failure(entry)
	return entry.level == "error" or (entry.level == "warn" and entry.source == "modulemanager");
end

-- Accepts the failures logged so far, if one of them matches.
function host:expect_error(pattern)
	local found;
	for i = self.inspected + 1, #self.log do
		local entry = self.log[i];
		found = found or (is_failure(entry) and entry.message:find(pattern));
	end
	self.inspected = #self.log;
	if not found then
		error("nothing was logged as a failure that matches "..pattern, 2);
	end
end

-- Fails if a failure was logged. Runs after each test.
function host:assert_clean()
	local first = self.inspected + 1;
	self.inspected = #self.log;
	for i = first, #self.log do
		local entry = self.log[i];
		if is_failure(entry) then
			error(("%s logged: %s"):format(entry.source, entry.message), 2);
		end
	end
end

-- Excludes a host from the check after the test, and frees it: for tests that use many hosts.
function host:forget()
	for i = #used_in_test, 1, -1 do
		if used_in_test[i] == self then table.remove(used_in_test, i); end
	end
end

-- Metrics

-- Returns the value of a counter or gauge of the module. A unit is part of the name. labels: values of the labels after
-- the host's, in order.
function host:metric(name, labels)
	prosody.events.fire_event("stats-update");
	local families = require "core.statsmanager".get_metric_registry():get_metric_families();
	local family = families[("prosody_mod_%s/%s"):format(self.module_name, name)];
	return family and family:with_labels(self.name, table.unpack(labels or {})).value;
end

host.xml = xml.canonical;

busted.after_each(function ()
	local hosts = used_in_test;
	used_in_test = {};
	for _, used in ipairs(hosts) do
		used:assert_clean();
	end
end);

return host;
