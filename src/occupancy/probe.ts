// Presence probes (XEP-0045 17.3). The room answers the account, and the answer goes to the session that asked.

import * as jids from "util.jid";
import * as st from "util.stanza";
import { Status } from "../namespaces";
import { sendTo } from "../send/fork";
import { sendOwn } from "../send/own";
import { presenceIdFor, sendPresence } from "../send/upstream";
import { hasStatus } from "../stanzas";
import { intern, isSamePresence } from "../state/interned";
import { isAttached, isComingBack, type Membership } from "../state/memberships";
import { findOccupant } from "../state/occupants";
import { Phase } from "../state/place";
import { endProbe, findProbe, noteProbe } from "../state/probes";
import { after } from "../turn";
import { isEcho } from "./underway";

/** Timeout of a probe, in seconds. */
const TIME_LIMIT = 30;

/** Asks the room for the presence of an occupant. */
export function sendProbe(membership: Membership, session: string, stanza: Stanza): void {
    if (isComingBack(membership)) {
        sendTo(session, st.error_reply(stanza, "wait", "remote-server-timeout", undefined, membership.room));
        return;
    }
    const nick = jids.resource(stanza.attr.to ?? "") ?? membership.nick;
    const probe = { session, id: stanza.attr.id };
    noteProbe(membership, nick, probe);
    after(TIME_LIMIT, () => {
        endProbe(membership, nick, probe);
    });
    sendPresence(membership, st.presence({ type: "probe" }), nick, presenceIdFor(membership, stanza.attr.id));
}

/**
 * Sends a presence that answers a probe to the session that asked, unless that has left. Returns whether it answers one.
 * New presence goes to all sessions.
 */
export function answerProbe(membership: Membership, nick: string, stanza: Stanza): boolean {
    const probe = findProbe(membership, nick);
    if (probe === undefined || !isAnswer(membership, nick, stanza)) {
        return false;
    }
    endProbe(membership, nick, probe);
    if (stanza.attr.type === "error") {
        const error = st.clone(stanza);
        error.attr.id = probe.id;
        sendTo(probe.session, error);
    } else if (isAttached(membership, probe.session)) {
        sendOwn(membership, probe.session, stanza);
    }
    return true;
}

/**
 * Whether a presence answers a probe: it repeats the cached one, for the own nick without 110, or shows a non-occupant.
 */
function isAnswer(membership: Membership, nick: string, stanza: Stanza): boolean {
    const type = stanza.attr.type;
    const place = membership.place;
    if (type === "error") {
        return true;
    }
    if (place.phase !== Phase.Joined || place.operation?.kind === "resync") {
        return false;
    }
    if (nick === membership.nick) {
        return type === undefined && !hasStatus(stanza, Status.Self) && !isEcho(membership, place, stanza);
    }
    const known = findOccupant(membership.view, nick);
    if (type === "unavailable") {
        return known === undefined;
    }
    return known !== undefined && isSamePresence(known, intern(stanza));
}
