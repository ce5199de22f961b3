-- Where random events start: MINIMIX_SEED, or else, in a long run, a number that nobody has tried before. It is printed, to be
-- tried again. A short run is the same every time.

local function fresh()
	local file = assert(io.open("/dev/urandom", "rb"));
	local seed = ("I4"):unpack(file:read(4));
	file:close();
	return seed % 1000000000;
end

-- name: of what starts from it; length: the variable that makes a run long
return function (name, length)
	local seed = tonumber(os.getenv "MINIMIX_SEED" or "") or os.getenv(length) and fresh() or 1;
	print(("%s: MINIMIX_SEED=%d"):format(name, seed));
	return seed;
end;
