-- mod_storage_memory over prosody.spec.storage, which outlives the server.

local function kept(name)
	local storage = prosody.spec.storage;
	storage[module.host] = storage[module.host] or {};
	storage[module.host][name] = storage[module.host][name] or {};
	return storage[module.host][name];
end

-- mod_storage_memory leaves stale positions behind when an item replaces another.
local function reindex(items)
	for i, item in ipairs(items) do
		items[item.key] = i;
	end
end

local function with_positions(store)
	local append = store.append;
	if not append then return store; end
	function store:append(username, ...)
		local key, err = append(self, username, ...);
		local items = username and self.store[username];
		if items then reindex(items); end
		return key, err;
	end
	return store;
end

-- mod_storage_memory knows the host's own record by a key that does not outlive it. It is "" here, as in mod_storage_sql.
local function with_own_record(store)
	local get, set = store.get, store.set;
	if not set then return store; end
	function store:get(username) return get(self, username or ""); end
	function store:set(username, data) return set(self, username or "", data); end
	return store;
end

local function provide(_, _, driver)
	module:provides("storage", {
		name = "fake";
		purge = driver.purge;
		open = function (_, name, kind)
			local store, err = driver:open(name, kind);
			if not store then return nil, err; end
			return with_positions(kind == "archive" and store or with_own_record(store));
		end;
	});
end

local memory_module = setmetatable({
	shared = function (_, name) return kept(name) end;
	provides = provide;
}, { __index = module });

local path = prosody.paths.plugins.."/mod_storage_memory.lua";
assert(loadfile(path, "t", setmetatable({ module = memory_module }, { __index = _G })))();
