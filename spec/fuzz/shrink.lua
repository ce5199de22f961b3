-- Delta debugging: leaves out events as long as the rest still fails, to find the shortest list.

local function without(list, first, last)
	local rest = table.move(list, 1, first - 1, 1, { seed = list.seed; setting = list.setting });
	return table.move(list, last + 1, #list, #rest + 1, rest);
end

-- fails(list): whether a list still shows the same fault; seconds: the time limit
local function shrink(list, fails, seconds)
	local deadline = os.clock() + seconds;
	local size = math.max(#list // 2, 1);
	while size >= 1 do
		local first, found = 1, false;
		while first <= #list do
			if os.clock() > deadline then return list; end
			local shorter = without(list, first, math.min(first + size - 1, #list));
			if fails(shorter) then
				list, found = shorter, true;
			else
				first = first + size;
			end
		end
		if not (found and size == 1) then
			size = size // 2;
		end
	end
	return list;
end

return shrink;
