// Memberships on disk: one record per account in the store "minimix". It is written when a membership begins, changes
// or ends. Until an account's record has been read, its rooms are unknown and nothing is written.

import * as jids from "util.jid";
import * as xml from "util.xml";
import { hold } from "./held";
import * as options from "../options";
import { type Bookmark, isWanted, type Refused, refusedRooms, restoreRefused } from "./bookmarks";
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
    readonly laterPassword: string | undefined;
    readonly bookmark: Bookmark | undefined;
    readonly ownBookmark: true | undefined;
    readonly ending: true | undefined;
    readonly since: number | undefined;
    /** The highest entry number at `since`, see numbers.ts. Earlier versions do not write it. */
    readonly sinceNumber: number | undefined;
    /** The presence that the account shows, as XML. */
    readonly shown: string | undefined;
    /** `joining`: the join was pending. `leaving`: the room has not confirmed the leave. */
    readonly state: "in" | "joining" | "leaving";
}

/** A former address of the account that may still be in a room. */
interface FormerRecord {
    readonly room: string;
    readonly resource: string | undefined;
    readonly nick: string;
}

interface AccountRecord {
    /** Seconds without a session. */
    readonly idle: number | undefined;
    /** Of earlier versions: when the last session ended, by the wall clock. */
    readonly seen?: number;
    /**
     * The resource of the occupant JID in all rooms of this record. Undefined is the bare JID, as in records of earlier
     * versions.
     */
    readonly resource: string | undefined;
    readonly rooms: Record<string, RoomRecord | undefined>;
    readonly former: FormerRecord[] | undefined;
    /** Bookmarks that the account does not join, because the room has removed it. */
    readonly refused: Refused | undefined;
}

const records = openRecords<AccountRecord>("minimix", recordOf);

let closed = false;

/** Stops all writes: the following changes are not the user's. */
export function close(): void {
    saveLate();
    closed = true;
}

/**
 * Writes an account's memberships. When this returns the data is on disk, so it survives SIGKILL before a client is
 * told. If storage fails, the write is repeated until it succeeds.
 */
export function save(username: string): void {
    if (options.anonymous || closed || !isKnown(username)) {
        return;
    }
    late.delete(username);
    writeRecord(records, username);
}

/** Accounts with a record to write. */
const late = new LuaSet<string>();

/** Seconds until it is written. */
const LATE = 5;

/**
 * Writes an account's memberships soon, for changes that no client was told of. An account that joins many rooms by
 * itself needs few writes.
 */
export function saveSoon(username: string): void {
    if (next(late)[0] === undefined) {
        module.add_timer(LATE, () => {
            saveLate();
            return undefined;
        });
    }
    late.add(username);
}

/** Accounts with a record that saveOften() has just written. */
const recent = new LuaSet<string>();

/**
 * Writes changes that a client can make at a high rate. The first change is written at once, and the following ones
 * soon, because a write blocks the server. SIGKILL may lose the latest nick changes, but no membership.
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

/** Writes the pending records. */
export function saveLate(): undefined {
    for (const username of membersOf(late)) {
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
    return { idle, resource: options.resource, rooms, former, refused };
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

/** Whether the list of accounts has been read. An anonymous host stores none. */
let isListed = options.anonymous;

/** Accounts with a record that could not be read yet. */
const unread = new LuaSet<string>();

/** Whether the rooms of an account are known: its record has been read, or it has none. */
export function isKnown(username: string): boolean {
    return isListed && !unread.has(username);
}

/** Whether an address belongs to an account with unknown rooms. Stanzas of rooms to it must be dropped. */
export function isTooEarly(jid: string): boolean {
    return (!isListed || next(unread)[0] !== undefined) && isOccupantJid(jid) && !isKnown(jids.node(jid) ?? "");
}

type Listener = (this: void, usernames: string[]) => void;

/** Receives the accounts with records that have been read, in one or more calls. */
let onLoaded: Listener | undefined;

/**
 * Reads all memberships, and continues until storage answers. Each is lost at first. `loaded` gets the accounts that
 * were read, at once and later.
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

/** Data that one instance of the module hands to the next on a reload. */
export interface Loading {
    readonly isListed: boolean;
    readonly unread: LuaSet<string>;
}

export function loading(): Loading {
    return { isListed, unread };
}

/** Continues the loading of the previous instance. */
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

/** Whether an account's rooms are known, after another attempt to read a broken record. */
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

/**
 * Whether a stored membership is restored. A join that was still pending is dropped: the client never saw it succeed.
 */
function mayComeBack(membership: Membership, saved: RoomRecord): boolean {
    const isExcluded = options.excluded.has(jids.host(membership.room));
    return saved.state !== "leaving" && saved.ending !== true && !isExcluded && isWanted(membership);
}

/** A malformed record affects its account or room only. */
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
    restoreRefused(username, record.refused);
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
 * Leaves rooms under the address of the record, if the occupant JID has changed since. Restored memberships join under
 * the present address. Ended ones only leave.
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
    const { nick, wanted, password, laterPassword, bookmark, since, shown, sinceNumber } = saved as Record<
        string,
        unknown
    >;
    return (
        jids.prep(room) === room &&
        typeof nick === "string" &&
        isOptional(wanted, "string") &&
        isOptional(password, "string") &&
        isOptional(laterPassword, "string") &&
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
    membership.laterPassword = saved.laterPassword;
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
