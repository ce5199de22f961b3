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

local function provide(_, _, driver)
	module:provides("storage", {
		name = "fake";
		purge = driver.purge;
		open = function (_, name, kind)
			local store, err = driver:open(name, kind);
			if not store then return nil, err; end
			if prosody.spec.on_store_call then
				return prosody.spec.on_store_call(with_positions(store), name);
			end
			return with_positions(store);
		end;
	});
end

local memory_module = setmetatable({
	shared = function (_, name) return kept(name) end;
	provides = provide;
}, { __index = module });

local path = prosody.paths.plugins.."/mod_storage_memory.lua";
assert(loadfile(path, "t", setmetatable({ module = memory_module }, { __index = _G })))();
