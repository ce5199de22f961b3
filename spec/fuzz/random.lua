-- Random numbers from a seed. The module uses math.random itself, so events must not use it.

local function new(seed)
	local state = (seed * 2654435761 + 88172645) & 0xffffffff;
	if state == 0 then state = 1; end
	-- Returns a whole number from 1 to n (xorshift32).
	return function (n)
		state = state ~ (state << 13) & 0xffffffff;
		state = state ~ (state >> 17);
		state = state ~ (state << 5) & 0xffffffff;
		return state % n + 1;
	end
end

return { new = new };
