// What a request of a session asks for, and which answers are its own, while the account is in the room.

import { MUC } from "../namespaces";
import { isSameNick } from "../stanzas";
import { isAttached, type Membership } from "../state/memberships";
import type { Joined, Rename, SessionRequest } from "../state/place";
import { endOperation } from "./operations";

/** Whether a join needs no answer of the room. */
export function isServedAtOnce(membership: Membership, request: SessionRequest): boolean {
    return (
        request.kind === "join" &&
        isInView(membership, request) &&
        (request.nick === membership.nick || !isRename(membership, request))
    );
}

/** Whether a request for another nick is a nick change, and not served under the account's nick. */
export function isRename(membership: Membership, request: SessionRequest): boolean {
    return request.kind === "rename" || (!request.isResync && isAttached(membership, request.session));
}

/** Whether a session can be let in from what is known of the room. */
export function isInView(membership: Membership, request: SessionRequest): boolean {
    return membership.view.stale === undefined && !asksForMore(request.stanza);
}

/** Extensions of the join, such as XEP-0463's `<mav/>`, change what the room answers; only the room can answer them. */
function asksForMore(stanza: Stanza): boolean {
    const x = stanza.get_child("x", MUC);
    for (const tag of x === undefined ? [] : x.tags) {
        if (tag.name !== "history" && tag.name !== "password") {
            return true;
        }
    }
    return false;
}

/** Whether the room uses a nick that was asked for, and the 303 was lost. */
export function isLateNick(place: Joined, nick: string): boolean {
    const operation = place.operation;
    return (
        (place.late !== undefined && isSameNick(place.late.nick, nick)) ||
        (operation?.kind === "rename" && isSameNick(operation.nick, nick))
    );
}

/** The 303 was lost, but the room shows the account under the nick that it asked for. */
export function renamedUnheard(place: Joined): void {
    place.late = undefined;
    if (place.operation?.kind === "rename") {
        endOperation(place);
    }
}

/** Whether our own presence ends a nick change: the nick is the one asked for, or the room has kept another. */
export function isAnswerTo(operation: Rename, nick: string, stanza: Stanza): boolean {
    return isSameNick(operation.nick, nick) || stanza.attr.id === operation.id;
}

/** The operation that an error with this id refuses late. */
export function lateRename(place: Joined, key: string | undefined): Rename | undefined {
    return place.late !== undefined && key === place.late.id ? place.late : undefined;
}
