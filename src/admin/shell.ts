// Commands of the admin shell (`prosodyctl shell`): minimix:rooms(), minimix:leave() and so on.
//
// They go straight into the shell's environment, which 0.12 and 13.0 share with modules alike. 13.0's "shell-command"
// items, added by a module of a host, are found by a JID of that host only: minimix:accounts() takes a room's, and
// minimix:stats() none. So there is one table of commands for the server, and each host answers for its own accounts.

import * as jids from "util.jid";
import { accountsIn, leaveRoom, type Outcome, rejoinRoom, roomsOf, totals } from "./directory";

/** What a command is called on. */
interface ShellSection {
    readonly session: { print(this: void, line: string): void };
}

/** What one host has to say. */
interface HostAnswers {
    readonly roomsOf: typeof roomsOf;
    readonly accountsIn: typeof accountsIn;
    readonly leaveRoom: typeof leaveRoom;
    readonly rejoinRoom: typeof rejoinRoom;
    readonly totals: typeof totals;
}

type Result = LuaMultiReturn<[true, string] | [undefined, string]>;
type Command = (this: ShellSection, ...parameters: unknown[]) => Result;

/** By host; one table for all instances of the module. */
const hosts = module.shared<LuaMap<string, HostAnswers>>("/*/minimix/hosts");

const environment = module.shared<{ minimix?: Record<string, Command> | undefined }>("/*/admin_shell/env");

const SECTION = "Commands to see which accounts are in which rooms, and to act on it (mod_minimix)";

interface Help {
    readonly desc: string;
    readonly args: { readonly name: string }[];
}

/** What 13.0's `help minimix` shows. */
const help: Record<string, Help> = {
    rooms: { desc: "List the rooms of an account", args: [{ name: "jid" }] },
    accounts: { desc: "List the accounts in a room", args: [{ name: "room" }] },
    leave: { desc: "Take an account out of a room", args: [{ name: "jid" }, { name: "room" }] },
    rejoin: { desc: "Have an account join a room anew", args: [{ name: "jid" }, { name: "room" }] },
    stats: { desc: "Show totals of each host", args: [] },
};

function rooms(this: ShellSection, jid: unknown): Result {
    const [username, host, problem] = parseAccount(jid);
    if (host === undefined) {
        return $multi(undefined, problem);
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
    action: (this: void, host: HostAnswers, username: string, room: string) => Outcome,
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

/** The room, whichever of its occupants is named. */
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

/** Adds the commands, and this host to those that answer. */
export function addShellCommands(): void {
    hosts.set(module.host, { roomsOf, accountsIn, leaveRoom, rejoinRoom, totals });
    const commands = { rooms, accounts, leave, rejoin, stats } as unknown as Record<string, Command>;
    environment.minimix = setmetatable(commands, { help: { desc: SECTION, commands: help } } as object);
}

/** Takes this host away, and with the last one the commands. */
export function removeShellCommands(): void {
    hosts.delete(module.host);
    if (next(hosts)[0] === undefined) {
        environment.minimix = undefined;
    }
}
