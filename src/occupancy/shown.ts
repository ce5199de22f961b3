// The presence that the account shows in a room.

import * as st from "util.stanza";
import { MUC, VCARD_UPDATE } from "../namespaces";
import * as options from "../options";
import { sendOwn } from "../send/own";
import { ownPresence } from "./replay";
import { bestSession, type Candidate, isBetter, presenceContent } from "../state/availability";
import { saveSoon } from "../state/store";
import { intern, stanzaOf } from "../state/interned";
import { selfOf } from "../state/view";
import { attachSession, isCurrent, isDetachedFor, knownNick, type Membership } from "../state/memberships";
import { type Attachment, type Joined, Phase, type Place, type SessionRequest } from "../state/place";
import { endRestored, isRestored, takeOverdue } from "../state/restored";
import { presenceIdFor, sendPresence } from "../send/upstream";
import { forEachInSlices } from "../slices";
import { firstUnderway, noteUnderway } from "./underway";

let isFixed = false;

/** The server stops, which ends all sessions. The accounts keep what they show, for the time after the start. */
export function keepShown(): Handled {
    isFixed = true;
    return undefined;
}

/**
 * Whether a presence may be sent now. During an operation it may not, because a presence to the old nick would revert a
 * nick change. It is sent when the operation ends.
 */
function mayShow(place: Place): place is Joined {
    return place.phase === Phase.Joined && place.operation === undefined && !isFixed;
}

/** Shows the room the best presence among the attached sessions. Returns whether it has changed. */
export function showBest(membership: Membership): boolean {
    const place = membership.place;
    const attachment = mayShow(place) ? chooseShown(membership) : undefined;
    return attachment !== undefined && mayShow(place) && show(membership, place, attachment.presence, attachment.id);
}

function show(membership: Membership, place: Joined, presence: Stanza, id?: string): boolean {
    const before = membership.shownPresence;
    if (!noteShown(membership, presence)) {
        return false;
    }
    const key = presenceIdFor(membership, id);
    noteUnderway(place, key, before);
    sendPresence(membership, presence, membership.nick, key);
    return true;
}

function chooseShown(membership: Membership, request?: SessionRequest): Attachment | undefined {
    const best = bestSession(membership, request === undefined ? undefined : candidateOf(request));
    if (best === undefined) {
        return undefined;
    }
    const before = presenceBefore(membership);
    if (before !== undefined && !isSame(membership, best.attachment) && !isBetter(best.attachment, before)) {
        return before;
    }
    endRestored(membership);
    membership.shown = best.session;
    return best.attachment;
}

function isSame(membership: Membership, attachment: Attachment): boolean {
    return membership.shownPresence === intern(attachment.presence);
}

/**
 * Returns the presence from before the start of the server, until minimix_detached_after has passed. The session that
 * had it may still come back, so a session that is less available does not replace it.
 */
function presenceBefore(membership: Membership): Attachment | undefined {
    const shown = isRestored(membership) ? membership.shownPresence : undefined;
    const presence = shown === undefined ? undefined : stanzaOf(shown);
    return presence === undefined || isDetachedPresence(presence) ? undefined : { presence, id: undefined };
}

/** Whether a presence shows that no session is attached. */
function isDetachedPresence(presence: Stanza): boolean {
    for (const tag of presence.tags) {
        if (tag.name !== "show" && tag.attr.xmlns !== VCARD_UPDATE) {
            return false;
        }
    }
    return (presence.get_child_text("show") ?? "none") === options.detachedShow;
}

/** Shows the presence of the present sessions where the wait for those of before the start is over. */
export function endOverdue(): void {
    forEachInSlices(takeOverdue(), (membership) => {
        if (isCurrent(membership)) {
            showBest(membership);
        }
    });
}

function candidateOf(request: SessionRequest): Candidate | undefined {
    const session = request.session;
    return session === undefined
        ? undefined
        : { session, attachment: { presence: presenceContent(request.stanza), id: undefined } };
}

/** Returns our own presence as the room will show it, when the session of a join is attached. */
export function selfToBe(membership: Membership, request?: SessionRequest): Stanza | undefined {
    const self = selfOf(membership);
    const attachment = chooseShown(membership, request);
    if (self === undefined || attachment === undefined) {
        return self;
    }
    const underway = firstUnderway(membership);
    const shown = underway === undefined ? membership.shownPresence : underway.before;
    if (shown === intern(attachment.presence)) {
        return self;
    }
    return withPayload(self, shown === undefined ? undefined : stanzaOf(shown), attachment.presence);
}

/** Returns our own presence as cached, or as the room will echo it. */
function selfNow(membership: Membership): Stanza | undefined {
    return firstUnderway(membership) === undefined ? selfOf(membership) : selfToBe(membership);
}

/** Returns a presence of the room with the occupant's payload replaced. Elements that the room has added are kept. */
function withPayload(self: Stanza, before: Stanza | undefined, after: Stanza): Stanza {
    const copy = st.clone(after);
    copy.attr.from = self.attr.from;
    for (const tag of self.tags) {
        const isOfClient = tag.attr.xmlns === undefined || (before !== undefined && hasChildLike(before, tag));
        if (!isOfClient && !hasChildLike(after, tag)) {
            copy.add_direct_child(st.clone(tag));
        }
    }
    return copy;
}

function hasChildLike(presence: Stanza, tag: Stanza): boolean {
    return presence.get_child(tag.name, tag.attr.xmlns) !== undefined;
}

/** Records a presence as shown to the room. Returns whether it has changed. */
function noteShown(membership: Membership, presence: Stanza): boolean {
    const shown = intern(presence);
    const isNews = membership.shownPresence !== shown;
    if (isNews) {
        membership.shownPresence = shown;
        saveSoon(membership.username);
    }
    return isNews;
}

/** Returns the presence to send with a join, and records it as shown. `request` is that of the session that joins. */
export function presenceToShow(membership: Membership, request?: SessionRequest): Stanza {
    const attachment = chooseShown(membership, request);
    let presence: Stanza;
    if (attachment !== undefined) {
        presence = attachment.presence;
    } else if (request !== undefined) {
        presence = presenceContent(request.stanza);
    } else {
        presence = shownStill(membership) ?? detachedPresence(membership);
    }
    noteShown(membership, presence);
    return st.clone(presence);
}

/**
 * Returns a session's join for a room that the account is in. Other occupants may see it as a presence update, so it
 * has the presence that the account shows.
 */
export function joinToShow(membership: Membership, request: SessionRequest): Stanza {
    const presence = presenceToShow(membership, request);
    const x = request.stanza.get_child("x", MUC);
    if (x !== undefined) {
        presence.add_direct_child(st.clone(x));
    }
    return presence;
}

/** Shows the room that no session is attached, unless it knows. */
export function showDetached(membership: Membership): void {
    const place = membership.place;
    if (!mayShow(place)) {
        return;
    }
    membership.shown = undefined;
    membership.shownDetached = true;
    show(membership, place, detachedPresence(membership));
}

/**
 * Returns the presence from before the account was lost, or the server started. It applies until minimix_detached_after
 * has passed.
 */
function shownStill(membership: Membership): Stanza | undefined {
    const isOver = membership.shownDetached === true || isDetachedFor(membership, options.detachedAfter);
    const shown = isOver ? undefined : membership.shownPresence;
    return shown === undefined ? undefined : stanzaOf(shown);
}

/** Keeps the avatar. Otherwise it would vanish whenever a phone sleeps. */
function detachedPresence(membership: Membership): Stanza {
    const presence = st.presence();
    if (options.detachedShow !== "none") {
        presence.tag("show").text(options.detachedShow).up();
    }
    const self = selfOf(membership);
    const update = self === undefined ? undefined : self.get_child("x", VCARD_UPDATE);
    if (update !== undefined) {
        presence.add_direct_child(st.clone(update));
    }
    return presence;
}

/**
 * Handles a session's directed presence without `<x/>` (XEP-0045 7.7). Each one is answered, by the room or from the
 * cache.
 */
export function updatePresence(membership: Membership, session: string, stanza: Stanza): void {
    attachSession(membership, session, presenceContent(stanza), stanza.attr.id);
    const known = showBest(membership) ? undefined : selfNow(membership);
    if (known !== undefined) {
        const self = ownPresence(membership, known, knownNick(membership));
        self.attr.id = stanza.attr.id;
        sendOwn(membership, session, self);
    }
}
