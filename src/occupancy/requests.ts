// Requests of sessions while the account is in the room, and the answers that belong to them.

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

/** Whether a request is a nick change, instead of a replay under the current nick. */
export function isRename(membership: Membership, request: SessionRequest): boolean {
    return request.kind === "rename" || (!request.isResync && isAttached(membership, request.session));
}

/** Whether the cache can serve a session. */
export function isInView(membership: Membership, request: SessionRequest): boolean {
    return membership.view.stale === undefined && !hasExtensions(request.stanza);
}

/**
 * Whether a join has extensions, such as XEP-0463's `<mav/>`, that change the room's answer. Then only the room can
 * answer.
 */
function hasExtensions(stanza: Stanza): boolean {
    const x = stanza.get_child("x", MUC);
    for (const tag of x === undefined ? [] : x.tags) {
        if (tag.name !== "history" && tag.name !== "password") {
            return true;
        }
    }
    return false;
}

/** Whether the room already uses a nick we requested and the 303 was lost. */
export function isLateNick(place: Joined, nick: string): boolean {
    const operation = place.operation;
    return (
        (place.late !== undefined && isSameNick(place.late.nick, nick)) ||
        (operation?.kind === "rename" && isSameNick(operation.nick, nick))
    );
}

/** Whether our own presence ends a nick change: it has the requested nick, or the room has kept another. */
export function isAnswerTo(operation: Rename, nick: string, stanza: Stanza): boolean {
    return isSameNick(operation.nick, nick) || stanza.attr.id === operation.id;
}

/** Returns the operation that an error with this id refuses late. */
export function lateRename(place: Joined, key: string | undefined): Rename | undefined {
    return place.late !== undefined && key === place.late.id ? place.late : undefined;
}

/** The room has given the account the nick of a request, and the 303 was lost. Returns the request, if it is a join. */
export function renamedUnheard(place: Joined, nick: string): SessionRequest | undefined {
    const operation = place.operation;
    place.late = undefined;
    if (operation?.kind !== "rename" || !isSameNick(operation.nick, nick)) {
        return undefined;
    }
    endOperation(place);
    return operation.request?.kind === "join" ? operation.request : undefined;
}
