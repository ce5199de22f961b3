-- Where random events start: MINIMIX_SEED, or else a number that nobody has tried before. It is printed, to be tried again.

local function fresh()
	local file = assert(io.open("/dev/urandom", "rb"));
	local seed = ("I4"):unpack(file:read(4));
	file:close();
	return seed % 1000000000;
end

-- name: of what starts from it
return function (name)
	local seed = tonumber(os.getenv "MINIMIX_SEED" or "") or fresh();
	print(("%s: MINIMIX_SEED=%d"):format(name, seed));
	return seed;
end;
