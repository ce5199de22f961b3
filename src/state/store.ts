// Memberships on disk: one record for each account in the store "minimix", written whenever one begins, changes or ends.

import * as jids from "util.jid";
import * as xml from "util.xml";
import * as options from "../options";
import { textOf } from "../text";
import { type Bookmark, isWanted, type Refused, refusedRooms, restoreRefused } from "./bookmarks";
import { addFormerOccupant, formerOccupantsOf } from "./former";
import { createMembership, dropMembership, findAccount, type Membership, membershipsOf } from "./memberships";
import { inLine, Phase } from "./place";

interface RoomRecord {
    readonly nick: string;
    readonly wanted: string | undefined;
    readonly password: string | undefined;
    readonly laterPassword: string | undefined;
    readonly bookmark: Bookmark | undefined;
    readonly ownBookmark: true | undefined;
    readonly ending: true | undefined;
    readonly since: number | undefined;
    /** What the account shows the room, as XML. */
    readonly shown: string | undefined;
    /** `joining`: asked to join, not let in as far as is known. `leaving`: the room has not confirmed it. */
    readonly state: "in" | "joining" | "leaving";
}

/** An address that may still be in a room, although it is no longer the account's. */
interface FormerRecord {
    readonly room: string;
    readonly resource: string | undefined;
    readonly nick: string;
}

interface AccountRecord {
    readonly seen: number;
    /** Of the occupant JID in all rooms of this record. Undefined is the bare JID, as in records of versions before. */
    readonly resource: string | undefined;
    readonly rooms: Record<string, RoomRecord | undefined>;
    readonly former: FormerRecord[] | undefined;
    /** Bookmarks by which the account is not joined, since the room has put it out. */
    readonly refused: Refused | undefined;
}

const store = module.open_store<AccountRecord>("minimix", "keyval");

let closed = false;

/** Nothing is written any more: what the account does from now on is not its user's doing. */
export function close(): void {
    saveLate();
    closed = true;
}

/**
 * Writes down what an account's memberships are now. The write is done when this returns, so what a client is told
 * afterwards survives a killed server.
 */
export function save(username: string): void {
    if (options.anonymous || closed) {
        return;
    }
    const [saved, problem] = store.set(username, recordOf(username));
    if (saved !== true) {
        module.log("error", "Could not write the rooms of %s: %s", username, problem);
    }
}

/** Accounts whose records are to be written. */
const late = new LuaSet<string>();

/** Seconds until they are. */
const LATE = 5;

/** Writes down soon what nobody has been told of: an account comes by itself into many rooms, one after the other. */
export function saveSoon(username: string): void {
    if (next(late)[0] === undefined) {
        module.add_timer(LATE, () => {
            saveLate();
            return undefined;
        });
    }
    late.add(username);
}

/** Accounts whose records have been written by saveOften() a moment ago. */
const recent = new LuaSet<string>();

/**
 * Writes down what a client may change as fast as it can. The first change is written at once, and those that follow
 * close upon it soon: all others wait while this server writes. A killed server may so forget the latest of several
 * nicks, but no membership.
 */
export function saveOften(username: string): void {
    if (recent.has(username)) {
        saveSoon(username);
        return;
    }
    if (next(recent)[0] === undefined) {
        module.add_timer(LATE, () => {
            for (const other of recent) {
                recent.delete(other);
            }
            return undefined;
        });
    }
    recent.add(username);
    save(username);
}

/** Writes what is to be written soon. */
export function saveLate(): undefined {
    for (const username of late) {
        late.delete(username);
        save(username);
    }
}

function recordOf(username: string): AccountRecord | undefined {
    const account = findAccount(username);
    const former = formerRecords(username);
    const refused = refusedRooms(username);
    if (account === undefined && former === undefined && refused === undefined) {
        return undefined;
    }
    const rooms: Record<string, RoomRecord | undefined> = {};
    for (const [room, membership] of account?.memberships ?? new LuaMap<string, Membership>()) {
        rooms[room] = {
            nick: membership.nick,
            wanted: membership.wantedNick === membership.nick ? undefined : membership.wantedNick,
            password: membership.password,
            laterPassword: membership.laterPassword,
            bookmark: membership.bookmark,
            ownBookmark: membership.ownBookmark || undefined,
            ending: membership.ending || undefined,
            since: membership.since,
            shown: shownText(membership),
            state: stateOf(membership),
        };
    }
    return { seen: account?.seen ?? os.time(), resource: options.resource, rooms, former, refused };
}

function formerRecords(username: string): FormerRecord[] | undefined {
    const records: FormerRecord[] = [];
    for (const { room, occupant, nick } of formerOccupantsOf(username)) {
        records.push({ room, resource: jids.resource(occupant), nick });
    }
    return records.length > 0 ? records : undefined;
}

function shownText(membership: Membership): string | undefined {
    const presence = membership.shownPresence;
    const text = presence === undefined ? undefined : textOf(presence);
    return text === undefined || string.len(text) > options.maxCachedSize ? undefined : `<presence${text}`;
}

function stateOf(membership: Membership): RoomRecord["state"] {
    if (!membership.established) {
        return "joining";
    }
    return membership.place.phase === Phase.Leaving ? "leaving" : "in";
}

/** Reads all accounts' memberships, each of them lost for now. A record that cannot be read is left alone. */
export function load(): void {
    if (options.anonymous) {
        return;
    }
    for (const username of usernames()) {
        const [record, problem] = store.get(username);
        if (record !== undefined) {
            loadAccount(username, record);
        } else if (problem !== undefined) {
            module.log("error", "Could not read the rooms of %s: %s", username, problem);
        }
    }
}

/**
 * As a list, since the iterator of mod_storage_internal reads the folder as it goes. Some storage drivers list the
 * host's own record too: mod_storage_sql as "", mod_storage_memory as a function.
 */
function usernames(): string[] {
    const list: string[] = [];
    for (const username of store.users()) {
        if (typeof username === "string" && username !== "") {
            list.push(username);
        }
    }
    return list;
}

/** Nobody was told that a client's join went through which had not been answered: better out than in. */
function mayComeBack(membership: Membership, saved: RoomRecord): boolean {
    const isExcluded = options.excluded.has(jids.host(membership.room));
    return saved.state !== "leaving" && saved.ending !== true && !isExcluded && isWanted(membership);
}

function loadAccount(username: string, record: AccountRecord): void {
    for (const { room, resource, nick } of record.former ?? []) {
        addFormerOccupant(username, room, jids.join(username, module.host, resource), nick);
    }
    restoreRefused(username, record.refused ?? {});
    for (const [room, saved] of pairs(record.rooms)) {
        const membership = createMembership(username, room, saved.nick);
        membership.wantedNick = saved.wanted ?? saved.nick;
        membership.password = saved.password;
        membership.laterPassword = saved.laterPassword;
        membership.bookmark = saved.bookmark;
        membership.ownBookmark = saved.ownBookmark === true;
        membership.since = saved.since;
        membership.established = saved.state !== "joining";
        membership.place = inLine(mayComeBack(membership, saved) ? Phase.Lost : Phase.Leaving);
        membership.shownPresence = saved.shown === undefined ? undefined : xml.parse(saved.shown);
        membership.detachedAt = os.time();
    }
    const account = findAccount(username);
    if (account !== undefined) {
        account.seen = record.seen;
    }
    if (record.resource !== options.resource) {
        leaveFormerAddress(username, record);
    }
}

/**
 * The occupant JID has changed since the record was written. Memberships that come back join under the present one;
 * for those that end, the leave under the former one is all that is left to do.
 */
function leaveFormerAddress(username: string, record: AccountRecord): void {
    const occupant = jids.join(username, module.host, record.resource);
    for (const membership of membershipsOf(username)) {
        addFormerOccupant(username, membership.room, occupant, membership.nick);
        if (membership.place.phase === Phase.Leaving) {
            dropMembership(membership);
        }
    }
    save(username);
}
