// Memberships on disk: one record for each account in the store "minimix", written whenever one begins, changes or ends.
// Until an account's record has been read nothing is known of its rooms, and nothing is written.

import * as jids from "util.jid";
import * as xml from "util.xml";
import { hold } from "./held";
import * as options from "../options";
import { type Bookmark, isWanted } from "./bookmarks";
import { monotonic, wallClock } from "./clock";
import { addFormerOccupant, formerOccupantsOf } from "./former";
import { membersOf } from "./keys";
import {
    createMembership,
    dropMembership,
    findAccount,
    idleOf,
    isOccupantJid,
    type Membership,
    membershipsOf,
} from "./memberships";
import { hasNumbers, startNumbers } from "./numbers";
import { beginOutage, onRetry, type Progress } from "./outage";
import { inLine, Phase } from "./place";
import { listRecords, openRecords, readRecord, writeRecord } from "./records";

interface RoomRecord {
    readonly nick: string;
    readonly wanted: string | undefined;
    readonly password: string | undefined;
    readonly bookmark: Bookmark | undefined;
    readonly ownBookmark: true | undefined;
    readonly ending: true | undefined;
    readonly since: number | undefined;
    /** Of the archive, see numbers.ts. Earlier versions do not write it. */
    readonly sinceNumber: number | undefined;
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
    /** Seconds for which no session was there. */
    readonly idle: number | undefined;
    /** Earlier versions: when the last session ended, by the wall clock. */
    readonly seen?: number;
    /** Of the occupant JID in all rooms of this record. Undefined is the bare JID, as in records of versions before. */
    readonly resource: string | undefined;
    readonly rooms: Record<string, RoomRecord | undefined>;
    readonly former: FormerRecord[] | undefined;
}

const records = openRecords<AccountRecord>("minimix", recordOf);

let closed = false;

/** Nothing is written any more: what the account does from now on is not its user's doing. */
export function close(): void {
    saveLate();
    closed = true;
}

/**
 * Writes down what an account's memberships are now. The write is done when this returns, so what a client is told
 * afterwards survives a killed server, unless storage fails: then it is repeated until it succeeds.
 */
export function save(username: string): void {
    if (options.anonymous || closed || !isKnown(username)) {
        return;
    }
    late.delete(username);
    writeRecord(records, username);
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
    for (const username of membersOf(late)) {
        save(username);
    }
}

function recordOf(username: string): AccountRecord | undefined {
    const account = findAccount(username);
    const former = formerRecords(username);
    if (account === undefined && former === undefined) {
        return undefined;
    }
    const rooms: Record<string, RoomRecord | undefined> = {};
    for (const [room, membership] of account?.memberships ?? new LuaMap<string, Membership>()) {
        rooms[room] = {
            nick: membership.nick,
            wanted: membership.wantedNick === membership.nick ? undefined : membership.wantedNick,
            password: membership.password,
            bookmark: membership.bookmark,
            ownBookmark: membership.ownBookmark,
            ending: membership.ending,
            since: membership.since,
            sinceNumber: membership.sinceNumber,
            shown: shownText(membership),
            state: stateOf(membership),
        };
    }
    const idle = account === undefined ? 0 : idleOf(account);
    if (account !== undefined) {
        account.idleOnDisk = idle;
    }
    return { idle, resource: options.resource, rooms, former };
}

function formerRecords(username: string): FormerRecord[] | undefined {
    const former: FormerRecord[] = [];
    for (const { room, occupant, nick } of formerOccupantsOf(username)) {
        former.push({ room, resource: jids.resource(occupant), nick });
    }
    return former.length > 0 ? former : undefined;
}

function shownText(membership: Membership): string | undefined {
    const presence = membership.shownPresence;
    const text = presence?.text;
    return text === undefined || string.len(text) > options.maxCachedSize ? undefined : `<presence${text}`;
}

function stateOf(membership: Membership): RoomRecord["state"] {
    if (!membership.established) {
        return "joining";
    }
    return membership.place.phase === Phase.Leaving ? "leaving" : "in";
}

/** Whether it has been read which accounts there are; on an anonymous host there is nothing to be read. */
let isListed = options.anonymous;

/** Accounts whose record could not be read yet. */
const unread = new LuaSet<string>();

/** Whether the rooms of an account are known: its record has been read, or there is none. */
export function isKnown(username: string): boolean {
    return isListed && !unread.has(username);
}

/** Whether an address is that of an account in its rooms which are not known yet: what rooms send it has to be dropped. */
export function isTooEarly(jid: string): boolean {
    return (!isListed || next(unread)[0] !== undefined) && isOccupantJid(jid) && !isKnown(jids.node(jid) ?? "");
}

type Listener = (this: void, usernames: string[]) => void;

/** Called with the accounts whose records have been read, in one or more parts. */
let onLoaded: Listener | undefined;

/**
 * Reads all accounts' memberships, each of them lost for now, and goes on with that until storage answers. `loaded` is
 * called with the accounts that have been read: at once, or later with the others.
 */
export function load(loaded: Listener): void {
    onLoaded = loaded;
    if (options.anonymous) {
        startNumbers();
        loaded([]);
    } else if (loadUntil(math.huge) !== "done") {
        beginOutage();
    }
}

/** What one instance of the module hands to the next on a reload. */
export interface Loading {
    readonly isListed: boolean;
    readonly unread: LuaSet<string>;
}

export function loading(): Loading {
    return { isListed, unread };
}

/** Goes on where the instance before was. */
export function restoreLoading(saved: Loading | undefined, loaded: Listener): void {
    onLoaded = loaded;
    isListed = saved?.isListed ?? true;
    for (const username of saved?.unread ?? new LuaSet<string>()) {
        unread.add(username);
    }
    if (loadUntil(0) !== "done") {
        beginOutage();
    }
}

function loadUntil(deadline: number): Progress {
    if (onLoaded === undefined || (isListed && next(unread)[0] === undefined)) {
        return "done";
    }
    if (!isListed) {
        const usernames = hasNumbers() || startNumbers() ? listRecords(records) : undefined;
        if (usernames === undefined) {
            return "failing";
        }
        for (const username of usernames) {
            unread.add(username);
        }
        isListed = true;
    }
    return readUnread(deadline, onLoaded);
}

function readUnread(deadline: number, loaded: Listener): Progress {
    const done: string[] = [];
    let result: Progress = "done";
    for (const username of membersOf(unread)) {
        if (monotonic() > deadline) {
            result = "more";
            break;
        }
        const [isRead, record] = readRecord(records, username);
        if (isRead) {
            unread.delete(username);
            loadAccount(username, record);
            done.push(username);
        } else if (records.store.readsFail) {
            result = "failing";
            break;
        }
    }
    loaded(done);
    return result;
}

onRetry(loadUntil);

/** Whether an account's rooms are known by now, after another try to read its record if that is broken. */
export function isKnownNow(username: string): boolean {
    if (!isKnown(username) && isListed && onLoaded !== undefined) {
        const [isRead, record] = readRecord(records, username);
        if (isRead) {
            unread.delete(username);
            loadAccount(username, record);
            onLoaded([username]);
        }
    }
    return isKnown(username);
}

/** Nobody was told that a client's join went through which had not been answered: better out than in. */
function mayComeBack(membership: Membership, saved: RoomRecord): boolean {
    const isExcluded = options.excluded.has(jids.host(membership.room));
    return saved.state !== "leaving" && saved.ending !== true && !isExcluded && isWanted(membership);
}

/** Malformed records concern their account or room alone. */
function loadAccount(username: string, record: AccountRecord | undefined): void {
    if (record === undefined) {
        return;
    }
    const [done, problem] = pcall(loadRooms, username, record);
    if (!done) {
        module.log("warn", "Ignoring the rooms of %s: malformed record in minimix: %s", username, problem);
    }
}

function loadRooms(this: void, username: string, record: AccountRecord): void {
    const seen = monotonic() - idleSince(record);
    for (const { room, resource, nick } of record.former ?? []) {
        addFormerOccupant(username, room, jids.join(username, module.host, resource), nick);
    }
    for (const [room, saved] of pairs((record.rooms as AccountRecord["rooms"] | undefined) ?? {})) {
        if (isWellFormed(room, saved)) {
            loadRoom(username, room, saved);
        } else {
            module.log("warn", "Ignoring %s of %s: malformed record in minimix", tostring(room), username);
        }
    }
    const account = findAccount(username);
    if (account !== undefined) {
        account.seen = seen;
        account.idleOnDisk = monotonic() - seen;
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

function idleSince(record: AccountRecord): number {
    const seen = tonumber(record.seen);
    return tonumber(record.idle) ?? (seen === undefined ? 0 : Math.max(0, wallClock() - seen));
}

function isWellFormed(room: unknown, saved: unknown): boolean {
    if (typeof room !== "string" || typeof saved !== "object") {
        return false;
    }
    const { nick, wanted, password, bookmark, since, shown, sinceNumber } = saved as Record<string, unknown>;
    return (
        jids.prep(room) === room &&
        typeof nick === "string" &&
        isOptional(wanted, "string") &&
        isOptional(password, "string") &&
        isOptional(shown, "string") &&
        isOptional(bookmark, "table") &&
        isOptional(since, "number") &&
        isOptional(sinceNumber, "number") &&
        isOptional(shown, "string")
    );
}

function isOptional(value: unknown, kind: string): boolean {
    return value === undefined || type(value) === kind;
}

function loadRoom(username: string, room: string, saved: RoomRecord): void {
    const membership = createMembership(username, room, saved.nick);
    membership.wantedNick = saved.wanted ?? saved.nick;
    membership.password = saved.password;
    membership.bookmark = saved.bookmark;
    membership.ownBookmark = saved.ownBookmark;
    membership.since = saved.since;
    membership.sinceNumber = saved.sinceNumber;
    membership.established = saved.state === "joining" ? undefined : true;
    membership.place = inLine(mayComeBack(membership, saved) ? Phase.Lost : Phase.Leaving);
    const shown = saved.shown === undefined ? undefined : xml.parse(saved.shown);
    membership.shownPresence = shown === undefined ? undefined : hold(shown);
    membership.detachedAt = monotonic();
}
