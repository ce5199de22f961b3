-- Returns the seed of random events: MINIMIX_SEED, or a new number in a long run. The seed is printed, to repeat the
-- run. A short run always uses the same seed.

local function fresh()
	local file = assert(io.open("/dev/urandom", "rb"));
	local seed = ("I4"):unpack(file:read(4));
	file:close();
	return seed % 1000000000;
end

-- name: the test that uses the seed; length: the variable that makes a run long
return function (name, length)
	local seed = tonumber(os.getenv "MINIMIX_SEED" or "") or os.getenv(length) and fresh() or 1;
	print(("%s: MINIMIX_SEED=%d"):format(name, seed));
	return seed;
end;
