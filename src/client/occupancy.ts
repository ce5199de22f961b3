// The account's coming and going: joins, leaves, and who of its sessions is let in when.

import * as st from "util.stanza";
import { MUC } from "../namespaces";
import * as options from "../options";
import { fork, sendTo } from "../room/fork";
import { ownUnavailable, replay } from "../room/replay";
import { presenceContent } from "../state/availability";
import {
    dropMembership,
    forgetRoom,
    type JoinRequest,
    type Membership,
    Phase,
    stopTimers,
    wait,
} from "../state/memberships";
import { showBest } from "./availability";
import { sendUpstream } from "./upstream";

/** Seconds between our own presence and the subject; not every service sends one to a new room. */
const SUBJECT_TIMEOUT = 10;

/** Sends a join to the room. The one who asked is attached already: the answers are for it. */
export function enter(membership: Membership, request: JoinRequest): void {
    membership.phase = Phase.Joining;
    membership.request = request;
    membership.nick = request.nick;
    const presence = presenceContent(request.stanza);
    membership.attached.set(request.session, { presence, id: request.id });
    membership.shown = request.session;
    membership.shownText = tostring(presence);
    membership.timer = module.add_timer(options.answerTimeout, () => {
        giveUpJoining(membership, request);
        return undefined;
    });
    sendUpstream(membership, request.stanza);
}

/** The room stayed silent. It may have let us in all the same, so it is told that nobody waits any more. */
function giveUpJoining(membership: Membership, request: JoinRequest): void {
    const error = st.error_reply(request.stanza, "wait", "remote-server-timeout", undefined, membership.room);
    membership.attached.delete(request.session);
    sendTo(request.session, error);
    leave(membership, st.presence({ type: "unavailable" }));
}

/** The room refused the join: the error is for the one who asked. */
export function joinRefused(membership: Membership, error: Stanza): void {
    const request = membership.request;
    if (request !== undefined) {
        sendTo(request.session, error);
    }
    membershipOver(membership);
}

/** The room let the account in: our own presence came. Those in line wait for the end of the history, the subject. */
export function joinAccepted(membership: Membership): void {
    stopTimers(membership);
    membership.phase = Phase.Entering;
    membership.request = undefined;
    membership.timer = module.add_timer(SUBJECT_TIMEOUT, () => {
        joinComplete(membership);
        return undefined;
    });
}

/** All that a room sends on a join has come. */
export function joinComplete(membership: Membership): void {
    stopTimers(membership);
    membership.phase = Phase.Joined;
    serveWaiting(membership);
}

/** Serving one may make the rest wait again: a full answer of the room is for one session at a time. */
function serveWaiting(membership: Membership): void {
    while (membership.waiting.length > 0 && membership.phase === Phase.Joined && membership.resync === undefined) {
        const request = table.remove<JoinRequest>(membership.waiting, 1);
        if (request !== undefined) {
            serve(membership, request);
        }
    }
}

/** Lets a session in under the account's nick: from what is known of the room or, where that is not enough, by a join. */
export function serve(membership: Membership, request: JoinRequest): void {
    if (!asksForMore(request.stanza)) {
        replay(membership, request);
        attach(membership, request);
    } else if (membership.resync === undefined) {
        resync(membership, request);
    } else {
        wait(membership, request);
    }
}

/** The session gets the room's traffic from now on. */
export function attach(membership: Membership, request: JoinRequest): void {
    membership.attached.set(request.session, { presence: presenceContent(request.stanza), id: undefined });
    showBest(membership);
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

/** A join of an account that is in the room already: a full answer of the room (XEP-0045 7.2.1), for one session alone. */
function resync(membership: Membership, request: JoinRequest): void {
    const timer = module.add_timer(SUBJECT_TIMEOUT, () => {
        resyncUnanswered(membership);
        return undefined;
    });
    membership.resync = { request, shown: new LuaSet(), selfShown: false, timer };
    const join = st.clone(request.stanza);
    join.attr.to = `${membership.room}/${membership.nick}`;
    sendUpstream(membership, join);
}

/** Not every service answers a repeated join (ejabberd takes it for a presence update): then what is known must do. */
export function resyncUnanswered(membership: Membership): void {
    const request = membership.resync === undefined ? undefined : membership.resync.request;
    if (request !== undefined) {
        replay(membership, request);
        attach(membership, request);
    }
    resyncComplete(membership);
}

export function resyncComplete(membership: Membership): void {
    stopTimers(membership);
    showBest(membership);
    serveWaiting(membership);
}

/** The account goes out of the room; `unavailable` may carry a client's parting words. */
export function leave(membership: Membership, unavailable: Stanza): void {
    stopTimers(membership);
    membership.phase = Phase.Leaving;
    membership.timer = module.add_timer(options.answerTimeout, () => {
        fork(membership, ownUnavailable(membership, unavailable.attr.id));
        membershipOver(membership);
        return undefined;
    });
    const presence = st.clone(unavailable);
    presence.attr.to = `${membership.room}/${membership.nick}`;
    sendUpstream(membership, presence);
}

/** The account is not in the room (any more). Whoever waits to join starts anew; without them nothing is left. */
export function membershipOver(membership: Membership): void {
    stopTimers(membership);
    forgetRoom(membership);
    for (const [session] of membership.attached) {
        membership.attached.delete(session);
    }
    const next = table.remove<JoinRequest>(membership.waiting, 1);
    if (next === undefined) {
        dropMembership(membership);
    } else {
        enter(membership, next);
    }
}
