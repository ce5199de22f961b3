-- Accounts without passwords, kept in prosody.spec.accounts[host].

local accounts = prosody.spec.accounts[module.host];
local provider = { name = "fake" };

function provider.user_exists(username)
	return accounts[username] ~= nil;
end

function provider.create_user(username)
	accounts[username] = { enabled = true };
	return true;
end

function provider.delete_user(username)
	accounts[username] = nil;
	return true;
end

function provider.users()
	return pairs(accounts);
end

function provider.get_account_info(username)
	return accounts[username] or nil, "no such account";
end

function provider.enable(username)
	accounts[username].enabled = true;
	return true;
end

function provider.disable(username)
	accounts[username].enabled = false;
	return true;
end

module:provides("auth", provider);
