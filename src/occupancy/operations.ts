// Presences of the account that a room must answer: their records, and common functions.

import * as id from "util.id";
import * as st from "util.stanza";
import { flush } from "../archive/buffer";
import { beginHistory } from "../archive/catchup";
import { closePart } from "../archive/delivered";
import { MUC } from "../namespaces";
import * as options from "../options";
import { presenceIdFor, sendPresence } from "../send/upstream";
import { isBlocked } from "../settings/blocklist";
import { detachAll, type Membership, now, forgetRoom } from "../state/memberships";
import {
    type Join,
    type Joined,
    type Joining,
    type Leave,
    Phase,
    type Place,
    type Rename,
    requestsOf,
    type Resync,
    type SessionRequest,
} from "../state/place";
import { requeue } from "../state/queue";
import { isSameNick } from "../stanzas";
import { after } from "../turn";
import { presenceToShow } from "./shown";

/** Factor for the timeout of a join that the room has begun to answer, or that needs an action of the user. */
const EXTENSIONS = 5;

/** Longest pause between two attempts, in seconds. */
const LONGEST_PAUSE = 900;

/** Seconds after which a room is asked about an automatic join that it has not answered. Large rooms need some time. */
export const JOIN_PATIENCE = 15;

/** Timeout of a nick change in seconds. The answer may be lost. */
export const RENAME_TIMEOUT = 10;

/** Timeout of a resync in seconds. A self-ping ends it earlier if the room does not answer. */
export const RESYNC_TIMEOUT = 60;

export type JoinParts = Pick<Join, "id" | "nick" | "request" | "isReturn" | "isDoubtful" | "isFirst" | "left">;

/** Creates a join. `ended` is called at its timeout. */
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
        left: parts.left,
        timer: after(seconds, () => {
            ended(membership, join);
        }),
        since: now(),
    };
    return join;
}

/** Returns the parts of an automatic join. With `isAfterLeave` it is sent right after a leave. */
export function ownJoin(membership: Membership, isAfterLeave: boolean): JoinParts {
    return {
        id: id.medium(),
        nick: membership.nick,
        request: undefined,
        isReturn: true,
        isDoubtful: !isAfterLeave,
        isFirst: !isAfterLeave && !membership.established,
        left: isAfterLeave ? membership.nick : undefined,
    };
}

/** Sends an automatic join. */
export function sendOwnJoin(membership: Membership, join: Join): void {
    const presence = presenceToShow(membership);
    const x = st.stanza("x", { xmlns: MUC });
    const since = beginHistory(membership);
    // A local mod_muc gets this table, and finds children by their namespace.
    x.tag("history", since === undefined ? { xmlns: MUC, maxstanzas: "0" } : { xmlns: MUC, since }).up();
    if (membership.password !== undefined) {
        x.tag("password", { xmlns: MUC }).text(membership.password).up();
    }
    presence.add_direct_child(x);
    sendPresence(membership, presence, join.nick, join.id);
}

/**
 * Returns the remaining seconds of a join. They start again with each occupant that the room shows. The user may have to
 * answer a challenge of the room.
 */
export function timeLeft(place: Joining): number {
    const since = place.operation.since;
    const longest = since + EXTENSIONS * options.answerTimeout;
    const end = place.isHeard ? longest : Math.min(longest, (place.shownAt ?? since) + options.answerTimeout);
    const left = end - now();
    return left >= 1 ? left : 0;
}

/** Removes a join from a list. */
export function removeJoin(joins: Join[], join: Join): void {
    for (const i of $range(joins.length, 1, -1)) {
        if (joins[i - 1] === join) {
            table.remove(joins, i);
        }
    }
}

/** Removes the automatic joins from a list. */
export function dropOwnJoins(joins: Join[]): void {
    for (const i of $range(joins.length, 1, -1)) {
        const join = joins[i - 1];
        if (join !== undefined && join.request === undefined) {
            join.timer.stop();
            table.remove(joins, i);
        }
    }
}

/** Creates a leave. `ended` is called at its timeout. */
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
    parts: Pick<Rename, "id" | "nick" | "request" | "isJoin">,
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
        isJoin: parts.isJoin,
        before: { session: membership.shown, presence: membership.shownPresence },
        attachmentBefore: session === undefined ? undefined : membership.attached.get(session),
    };
    place.operation = operation;
}

/** Ends the data of a stay in the room, because the account is out. */
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

/** Returns the requests of operations without an answer to the front of the queue. */
export function recall(membership: Membership): void {
    if (admittedBy(membership.place) === undefined && !isHalfRenamed(membership)) {
        requeue(membership, requestsOf(membership.place));
    }
}

/** Whether the room has answered the nick change of a session by the first presence (XEP-0045 7.6), and not the second. */
function isHalfRenamed({ nick, place }: Membership): boolean {
    const operation = place.phase === Phase.Joined ? place.operation : undefined;
    const isRename = operation?.kind === "rename" && operation.request?.kind === "rename";
    return isRename && isSameNick(operation.nick, nick);
}

/** Returns the request of a resync that has let its session in. Only history and subject are missing. */
export function admittedBy(place: Place): SessionRequest | undefined {
    const operation = place.phase === Phase.Joined ? place.operation : undefined;
    return operation?.kind === "resync" && operation.stage === "history" ? operation.request : undefined;
}

/** Returns the join of an account in the room that the room has not answered. */
export function joinInFlight(place: Place): Join | Resync | Rename | undefined {
    if (place.phase === Phase.Entering) {
        return place.later;
    }
    const operation = place.phase === Phase.Joined ? place.operation : undefined;
    const isJoin = operation?.kind === "rename" ? operation.isJoin : operation?.stage !== "history";
    return isJoin ? operation : undefined;
}

/** Ends the operation, so that the next one can begin. */
export function endOperation(place: Joined): void {
    if (place.operation !== undefined) {
        place.operation.timer.stop();
        place.operation = undefined;
    }
}

/** Returns the pause in seconds after a number of attempts: 1 s, doubled up to 15 min, with 25 % jitter. */
export function pause(tries: number): number {
    return Math.min(2 ** Math.min(tries - 1, 10), LONGEST_PAUSE) * (0.75 + math.random() / 2);
}

/** Whether the account has blocked the room's stanzas about it. */
export function isUnheard(membership: Membership): boolean {
    return isBlocked(membership.username, membership.room, membership.nick);
}
