// An account's record in the store "minimix": written from its memberships, and read back into them.

import * as jids from "util.jid";
import * as xml from "util.xml";
import { intern } from "./interned";
import * as options from "../options";
import { type Bookmark, shouldRejoin, type Refused, refusedRooms, restoreRefused } from "./bookmarks";
import { monotonic, wallClock } from "./clock";
import { addFormerOccupant, formerOccupantsOf } from "./former";
import { createMembership, dropMembership, findAccount, idleOf, type Membership, membershipsOf } from "./memberships";
import { inSharedQueue, Phase } from "./place";
import { noteRestored } from "./restored";
import { marksSelf, noteSelfStatus } from "./self-status";

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
    /** A room that still lists the account does not repeat code 100 to its rejoin. */
    readonly nonAnonymous: true | undefined;
    /** The room marks the own presence with status 110. Earlier versions do not write it. */
    readonly marksSelf: true | undefined;
    /** `joining`: the join was pending. `leaving`: the room has not confirmed the leave. */
    readonly state: "in" | "joining" | "leaving";
}

/** A former address of the account that may still be in a room. */
interface FormerRecord {
    readonly room: string;
    readonly resource: string | undefined;
    readonly nick: string;
}

export interface AccountRecord {
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

/** Returns the record of an account. Undefined: there is nothing to store. */
export function recordOf(username: string): AccountRecord | undefined {
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
            nonAnonymous: membership.view.nonAnonymous,
            marksSelf: marksSelf(room) ? true : undefined,
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

/** Restores the memberships of a record. An error means that the record is malformed. */
export function loadRooms(this: void, username: string, record: AccountRecord): void {
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
    if (hasFormerAddress(record)) {
        leaveFormerAddress(username, record);
    }
}

/** Whether the occupant JID has changed since a record was written. */
export function hasFormerAddress(record: AccountRecord): boolean {
    return record.resource !== options.resource;
}

/** Leaves rooms under the address of the record. Restored memberships join under the present address. */
function leaveFormerAddress(username: string, record: AccountRecord): void {
    const occupant = jids.join(username, module.host, record.resource);
    for (const membership of membershipsOf(username)) {
        addFormerOccupant(username, membership.room, occupant, membership.nick);
        if (membership.place.phase === Phase.Leaving) {
            dropMembership(membership);
        }
    }
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
        isOptionalInteger(since) &&
        isOptionalInteger(sinceNumber) &&
        isOptional(shown, "string")
    );
}

function isOptional(value: unknown, kind: string): boolean {
    return value === undefined || type(value) === kind;
}

function isOptionalInteger(value: unknown): boolean {
    return value === undefined || (typeof value === "number" && value % 1 === 0);
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
    membership.place = inSharedQueue(mayComeBack(membership, saved) ? Phase.Lost : Phase.Leaving);
    const shown = saved.shown === undefined ? undefined : xml.parse(saved.shown);
    membership.shownPresence = shown === undefined ? undefined : intern(shown);
    membership.view.nonAnonymous = saved.nonAnonymous === true ? true : undefined;
    membership.detachedAt = monotonic();
    if (saved.marksSelf === true) {
        noteSelfStatus(room);
    }
    noteRestored(membership);
}

/**
 * Whether a stored membership is restored. A join that was still pending is dropped: the client never saw it succeed.
 */
function mayComeBack(membership: Membership, saved: RoomRecord): boolean {
    const isExcluded = options.excluded.has(jids.host(membership.room));
    return saved.state !== "leaving" && saved.ending !== true && !isExcluded && shouldRejoin(membership);
}
