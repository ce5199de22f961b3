// Commands of the admin shell (`prosodyctl shell`): minimix:rooms(), minimix:leave() and so on.
//
// They are added to the shell's environment, which 0.12 and 13.0 both share with modules. The "shell-command" items of
// 13.0 do not fit: for a module of a host, they are found by a JID of that host only. minimix:accounts() takes the JID
// of a room, and minimix:stats() takes none. So the server has one table of commands, and each host answers for its own
// accounts.

import * as jids from "util.jid";
import {
    accountsIn,
    leaveRoom,
    type CommandResult,
    rejoinRoom,
    roomsOf,
    totals,
    unknownAccounts,
    unknownRooms,
} from "./directory";

/** The shell's section, on which commands are called. */
interface ShellSection {
    readonly session: { print(this: void, line: string): void };
}

/** The functions by which one host answers. */
interface HostAnswers {
    readonly roomsOf: typeof roomsOf;
    readonly accountsIn: typeof accountsIn;
    readonly leaveRoom: typeof leaveRoom;
    readonly rejoinRoom: typeof rejoinRoom;
    readonly totals: typeof totals;
    readonly unknownRooms: typeof unknownRooms;
    readonly unknownAccounts: typeof unknownAccounts;
}

type Result = LuaMultiReturn<[true, string] | [undefined, string]>;
type Command = (this: ShellSection, ...parameters: unknown[]) => Result;

/** Answers by host. All instances of the module share this table. */
const hosts = module.shared<LuaMap<string, HostAnswers>>("/*/minimix/hosts");

const environment = module.shared<{ minimix?: Record<string, Command> | undefined }>("/*/admin_shell/env");

const SECTION = "List accounts in rooms, make them leave or rejoin (mod_minimix)";

interface Help {
    readonly desc: string;
    readonly args: { readonly name: string }[];
}

/** Texts for `help minimix` of 13.0. */
const help: Record<string, Help> = {
    rooms: { desc: "List the rooms of an account", args: [{ name: "jid" }] },
    accounts: { desc: "List the accounts in a room", args: [{ name: "room" }] },
    leave: { desc: "Make an account leave a room", args: [{ name: "jid" }, { name: "room" }] },
    rejoin: { desc: "Make an account rejoin a room", args: [{ name: "jid" }, { name: "room" }] },
    stats: { desc: "Show totals of each host", args: [] },
};

function rooms(this: ShellSection, jid: unknown): Result {
    const [username, host, problem] = parseAccount(jid);
    if (host === undefined) {
        return $multi(undefined, problem);
    }
    const unknown = host.unknownRooms(username);
    if (unknown !== undefined) {
        return $multi(undefined, unknown);
    }
    return list(this, host.roomsOf(username), "rooms");
}

function accounts(this: ShellSection, room: unknown): Result {
    const address = parseRoom(room);
    if (address === undefined) {
        return $multi(undefined, notRoom(room));
    }
    const lines: string[] = [];
    for (const [, host] of hosts) {
        for (const line of host.accountsIn(address)) {
            lines.push(line);
        }
        const unknown = host.unknownAccounts();
        if (unknown !== undefined) {
            this.session.print(unknown);
        }
    }
    return list(this, lines, "accounts");
}

function list(section: ShellSection, lines: string[], what: string): Result {
    for (const line of lines) {
        section.session.print(line);
    }
    return $multi(true, string.format("%d %s", lines.length, what));
}

function leave(this: ShellSection, jid: unknown, room: unknown): Result {
    return act(jid, room, (host, username, address) => host.leaveRoom(username, address));
}

function rejoin(this: ShellSection, jid: unknown, room: unknown): Result {
    return act(jid, room, (host, username, address) => host.rejoinRoom(username, address));
}

function act(
    jid: unknown,
    room: unknown,
    action: (this: void, host: HostAnswers, username: string, room: string) => CommandResult,
): Result {
    const [username, host, problem] = parseAccount(jid);
    if (host === undefined) {
        return $multi(undefined, problem);
    }
    const address = parseRoom(room);
    if (address === undefined) {
        return $multi(undefined, notRoom(room));
    }
    const { done, text } = action(host, username, address);
    if (!done) {
        return $multi(undefined, text);
    }
    return $multi(true, text);
}

function stats(this: ShellSection): Result {
    let count = 0;
    for (const [name, host] of hosts) {
        count = count + 1;
        this.session.print(name);
        for (const line of host.totals()) {
            this.session.print(`  ${line}`);
        }
    }
    return $multi(true, string.format("%d hosts", count));
}

type Parsed = LuaMultiReturn<
    [username: string, host: HostAnswers, problem: undefined] | [username: undefined, host: undefined, problem: string]
>;

function parseAccount(jid: unknown): Parsed {
    const address = typeof jid === "string" ? jids.prep(jid) : undefined;
    const username = address === undefined ? undefined : jids.node(address);
    if (address === undefined || username === undefined) {
        return $multi(undefined, undefined, `${quote(jid)} is not the JID of an account, such as "user@example.org"`);
    }
    const name = jids.host(address);
    const host = hosts.get(name);
    if (host === undefined) {
        return $multi(undefined, undefined, `mod_minimix is not loaded on ${name}`);
    }
    return $multi(username, host, undefined);
}

/** Returns the bare JID of a room from the JID of the room or of an occupant. */
function parseRoom(room: unknown): string | undefined {
    const address = typeof room === "string" ? jids.prep(room) : undefined;
    return address === undefined || jids.node(address) === undefined ? undefined : jids.bare(address);
}

function notRoom(room: unknown): string {
    return `${quote(room)} is not the JID of a room, such as "room@rooms.example.org"`;
}

function quote(value: unknown): string {
    return typeof value === "string" ? `"${value}"` : tostring(value);
}

/** Adds the commands to the shell, and this host to the hosts that answer. */
export function addShellCommands(): void {
    hosts.set(module.host, { roomsOf, accountsIn, leaveRoom, rejoinRoom, totals, unknownRooms, unknownAccounts });
    const commands = { rooms, accounts, leave, rejoin, stats } as unknown as Record<string, Command>;
    environment.minimix = setmetatable(commands, { help: { desc: SECTION, commands: help } } as object);
}

/** Removes this host, and the commands with the last host. */
export function removeShellCommands(): void {
    hosts.delete(module.host);
    if (next(hosts)[0] === undefined) {
        environment.minimix = undefined;
    }
}
