// The presences of the account that a room has to answer: their records, and what is common to them.

import * as id from "util.id";
import * as st from "util.stanza";
import { flush, historySince } from "../archive/catchup";
import { closePart } from "../archive/delivered";
import { MUC } from "../namespaces";
import * as options from "../options";
import { presenceIdFor, sendPresence } from "../send/upstream";
import { isBlocked } from "../settings/blocklist";
import { detachAll, type Membership, now, triesOf, forgetRoom } from "../state/memberships";
import type { Join, Joined, Leave, Rename, Resync, SessionRequest } from "../state/place";
import { after } from "../turn";
import { presenceToShow } from "./shown";

/** The time limit of a join to which a user has to contribute, as a multiple of the ordinary one. */
const EXTENSIONS = 5;

/** The longest pause between two tries, in seconds. */
const LONGEST_PAUSE = 900;

/** Seconds that the account waits at first to be let in again, see patience(). Big rooms take their time. */
const JOIN_PATIENCE = 15;

/** Seconds that a room has to answer a nick change; the answer may be lost. */
const RENAME_TIMEOUT = 10;

/** Seconds that a room has to answer a resync. A self-ping tells earlier that it does not. */
const RESYNC_TIMEOUT = 60;

type JoinParts = Pick<Join, "id" | "nick" | "request" | "isReturn" | "isDoubtful" | "isFirst">;

/** A join. `ended` is called at its time limit. */
export function newJoin(
    membership: Membership,
    parts: JoinParts,
    seconds: number,
    ended: (this: void, membership: Membership, join: Join) => void,
): Join {
    const join: Join = {
        kind: "join",
        id: parts.id,
        nick: parts.nick,
        request: parts.request,
        isReturn: parts.isReturn,
        isDoubtful: parts.isDoubtful,
        isFirst: parts.isFirst,
        timer: after(seconds, () => {
            ended(membership, join);
        }),
        shown: new LuaSet(),
        claimed: undefined,
        since: now(),
        isOverdue: false,
        isShowing: false,
        isHeard: false,
        isRemoved: false,
    };
    return join;
}

/** What a join of the account itself is made of. */
export function ownJoin(membership: Membership, isDoubtful: boolean): JoinParts {
    const isFirst = isDoubtful && !membership.established;
    return { id: id.medium(), nick: membership.nick, request: undefined, isReturn: true, isDoubtful, isFirst };
}

/** The time limit of the account's own join, in seconds. */
export function ownTimeLimit(membership: Membership): number {
    return Math.min(options.answerTimeout, JOIN_PATIENCE * 2 ** Math.min(triesOf(membership), 10));
}

/** Sends a join of the account itself. */
export function sendOwnJoin(membership: Membership, join: Join): void {
    const presence = presenceToShow(membership);
    const x = st.stanza("x", { xmlns: MUC });
    const since = historySince(membership);
    // mod_muc, which gets it as it is where it is of this server, asks for children with their namespace.
    x.tag("history", since === undefined ? { xmlns: MUC, maxstanzas: "0" } : { xmlns: MUC, since }).up();
    if (membership.password !== undefined) {
        x.tag("password", { xmlns: MUC }).text(membership.password).up();
    }
    presence.add_direct_child(x);
    sendPresence(membership, presence, join.nick, join.id);
}

/** Seconds that a room still has which has sent a challenge, say, that a user has to answer. */
export function timeLeft(join: Join): number {
    const left = join.since + EXTENSIONS * options.answerTimeout - now();
    return join.isHeard && left >= 1 ? left : 0;
}

/** Takes a join out of a list. */
export function removeJoin(joins: Join[], join: Join): void {
    for (const i of $range(joins.length, 1, -1)) {
        if (joins[i - 1] === join) {
            table.remove(joins, i);
        }
    }
}

/** A leave. `ended` is called at its time limit. */
export function newLeave(
    membership: Membership,
    seconds: number,
    ended: (this: void, membership: Membership) => void,
    answerId?: string,
): Leave {
    const timer = after(seconds, () => {
        ended(membership);
    });
    return { kind: "leave", id: presenceIdFor(membership, answerId), nick: membership.nick, timer, answerId };
}

/** Makes a resync the operation of an account in the room. */
export function startResync(
    membership: Membership,
    place: Joined,
    key: string,
    request: SessionRequest,
    ended: (this: void, membership: Membership, place: Joined, resync: Resync) => void,
): Resync {
    const operation: Resync = {
        kind: "resync",
        id: key,
        nick: membership.nick,
        timer: after(RESYNC_TIMEOUT, () => {
            ended(membership, place, operation);
        }),
        request,
        shown: new LuaSet(),
        stage: "occupants",
    };
    place.operation = operation;
    return operation;
}

/** Makes a nick change the operation of an account in the room. */
export function startRename(
    membership: Membership,
    place: Joined,
    parts: Pick<Rename, "id" | "nick" | "request">,
    ended: (this: void, membership: Membership, place: Joined, rename: Rename) => void,
): void {
    const session = parts.request?.session;
    const operation: Rename = {
        kind: "rename",
        id: parts.id,
        nick: parts.nick,
        timer: after(RENAME_TIMEOUT, () => {
            ended(membership, place, operation);
        }),
        request: parts.request,
        before: { session: membership.shown, presence: membership.shownPresence },
        attachmentBefore: session === undefined ? undefined : membership.attached.get(session),
    };
    place.operation = operation;
}

/** The account is not in the room (any more): what belongs to its stay ends. */
export function endStay(membership: Membership): void {
    membership.ending = undefined;
    membership.established = undefined;
    membership.since = undefined;
    membership.sinceNumber = undefined;
    detachAll(membership);
    flush(membership);
    closePart(membership);
    forgetRoom(membership);
}

/** The operation has ended: the next one may begin. */
export function endOperation(place: Joined): void {
    if (place.operation !== undefined) {
        place.operation.timer.stop();
        place.operation = undefined;
    }
}

/** Seconds to wait after so many tries: 1 s, doubled up to 15 min, give or take a quarter, so that not all come at once. */
export function pause(tries: number): number {
    return Math.min(2 ** Math.min(tries - 1, 10), LONGEST_PAUSE) * (0.75 + math.random() / 2);
}

/** Whether the account has blocked what the room tells it of itself. */
export function isUnheard(membership: Membership): boolean {
    return isBlocked(membership.username, membership.room, membership.nick);
}
