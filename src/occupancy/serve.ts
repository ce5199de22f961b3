// Sessions that join a room which the account is in already.

import * as st from "util.stanza";
import { selfPing } from "../send/ping";
import { MUC } from "../namespaces";
import { replay, sendSubject } from "./replay";
import { presenceContent } from "../state/availability";
import {
    attachSession,
    isAttached,
    type JoinRequest,
    type Membership,
    newResync,
    nextWaiting,
    Phase,
    type Resync,
    wait,
} from "../state/memberships";
import { presenceToShow, showBest } from "./shown";
import { sendUpstream } from "../send/upstream";

/** Lets a session in under the account's nick: from what is known of the room or, where that is not enough, by a join. */
export function serve(membership: Membership, request: JoinRequest): void {
    if (membership.resync !== undefined) {
        wait(membership, request);
    } else if (membership.outdated || membership.incomplete || asksForMore(request.stanza)) {
        resync(membership, request);
    } else {
        replay(membership, request);
        attach(membership, request);
        showBest(membership);
    }
}

/** Serves who is in line, until one needs a full answer of the room: that is for one session at a time. */
export function serveWaiting(membership: Membership): void {
    while (membership.phase === Phase.Joined && membership.resync === undefined) {
        const request = nextWaiting(membership);
        if (request === undefined) {
            return;
        }
        serve(membership, request);
    }
}

/** The session gets the room's traffic from now on. */
export function attach(membership: Membership, request: JoinRequest): void {
    if (request.session !== undefined) {
        attachSession(membership, request.session, presenceContent(request.stanza), undefined);
    }
}

/** Extensions of the join, such as XEP-0463's `<mav/>`, change what the room answers; only the room can answer them. */
function asksForMore(stanza: Stanza): boolean {
    const x = stanza.get_child("x", MUC);
    if (x !== undefined) {
        for (const tag of x.tags) {
            if (tag.name !== "history" && tag.name !== "password") {
                return true;
            }
        }
    }
    return false;
}

/** A join of an account that is in the room: a full answer of the room (XEP-0045 7.2.1), for one session alone. */
function resync(membership: Membership, request: JoinRequest): void {
    const open = newResync(request);
    membership.resync = open;
    membership.outdated = false;
    if (isAttached(membership, request.session)) {
        // The presence that it shows from now on goes with the join.
        attach(membership, request);
    }
    sendUpstream(membership, repeatedJoin(membership, request));
    // The ping is answered after all that the room sends on a join.
    selfPing(membership, () => {
        if (membership.resync === open) {
            resyncUnanswered(membership, open);
        }
    });
}

/** Others take a repeated join for a presence update; they are to see what the account shows anyway. */
function repeatedJoin(membership: Membership, request: JoinRequest): Stanza {
    const presence = presenceToShow(membership, request);
    const renaming = membership.renaming;
    presence.attr.to = `${membership.room}/${renaming === undefined ? membership.nick : renaming.nick}`;
    presence.attr.id = request.id;
    const x = request.stanza.get_child("x", MUC);
    if (x !== undefined) {
        presence.add_direct_child(st.clone(x));
    }
    return presence;
}

/** Not every service answers a repeated join (ejabberd takes it for a presence update): then what is known must do. */
function resyncUnanswered(membership: Membership, open: Resync): void {
    if (open.request !== undefined) {
        if (open.selfShown) {
            sendSubject(membership, open.request.session);
        } else {
            replay(membership, open.request);
            attach(membership, open.request);
        }
    }
    resyncComplete(membership);
}

/** The subject came, or the room will not send it. */
export function resyncComplete(membership: Membership): void {
    membership.resync = undefined;
    showBest(membership);
    serveWaiting(membership);
}
