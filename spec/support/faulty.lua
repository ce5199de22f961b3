-- Storage that fails on demand, in each way in which Prosody's drivers fail. They return `nil, err` or `false, err`, or
-- raise an error. For wrap_store of support.scene and support.host.

local faulty = {};
faulty.__index = faulty;

local reads = { get = true; find = true; users = true };
local writes = { set = true; append = true; delete = true };

faulty.kinds = { "nil"; "false"; "raise" };

local answers = {
	["nil"] = function () return nil, "storage is away"; end;
	["false"] = function () return false, "storage is away"; end;
	raise = function () error("storage is away", 0); end;
};

function faulty.new()
	local self = setmetatable({ calls = 0; failed = 0; writes = {} }, faulty);
	function self.wrap(store, name)
		return self:wrap_store(store, name);
	end
	return self;
end

-- kind: see faulty.kinds. what: "reads", "writes", or otherwise both. stores: a list of names, or nil for the module's
-- stores. key: only this account or room. calls: number of calls that fail.
function faulty:fail(kind, what, stores, key, calls)
	self.kind, self.what, self.key, self.left = kind, what, key, calls;
	self.stores = stores and {};
	for _, name in ipairs(stores or {}) do self.stores[name] = true; end
end

function faulty:work()
	self.kind = nil;
end

local function is_hit(self, name, method, key)
	if not self.kind then return false; end
	if self.stores and not self.stores[name] or not self.stores and not name:find "^minimix" then return false; end
	if self.key and self.key ~= key then return false; end
	return self.what ~= "writes" and reads[method] or self.what ~= "reads" and writes[method];
end

function faulty:wrap_store(store, name)
	local spec = self;
	return setmetatable({}, { __index = function (_, method)
		local f = store[method];
		if type(f) ~= "function" then return f; end
		return function (_, key, ...)
			if name:find "^minimix" then spec.calls = spec.calls + 1; end
			if is_hit(spec, name, method, key) then
				-- An iterator of users can only raise an error.
				local answer = answers[method == "users" and "raise" or spec.kind];
				spec.failed = spec.failed + 1;
				if spec.left then
					spec.left = spec.left - 1;
					if spec.left == 0 then spec:work(); end
				end
				return answer();
			end
			if writes[method] and name:find "^minimix" then
				table.insert(spec.writes, ("%s %s %s"):format(name, method, tostring(key)));
			end
			return f(store, key, ...);
		end;
	end });
end

return faulty;
