// Push notifications for messages of rooms. mod_cloud_notify (XEP-0357) reacts to events of an archive and of
// mod_message. This file fires them, and stops notifications that the user does not want (XEP-0492).

import * as jids from "util.jid";
import * as st from "util.stanza";
import { hasModule } from "../host";
import * as options from "../options";
import { findMembership, type Membership, occupantJid } from "../state/memberships";
import { delayBy } from "../stanzas";
import { isMention, isNotable } from "./mention";
import { knownPrivate, whetherPrivate } from "./privacy";

interface PushEvent {
    readonly username: string;
    readonly original_stanza?: Stanza;
    reason?: string;
}

/** Whether a message may trigger a push: it is live, and has content for a person. */
export function isWorthWaking(stanza: Stanza, room: string): boolean {
    return hasModule("cloud_notify") && delayBy(stanza, room) === undefined && isNotable(stanza);
}

/** Sends a push for a message to the account's offline devices, if the notification setting asks for it. */
export function notify(membership: Membership, stanza: Stanza): void {
    if (isOwn(membership, stanza)) {
        return;
    }
    const wanted = wantsPush(membership, stanza);
    if (wanted === true) {
        wake(membership.username, stanza);
    } else if (wanted === undefined) {
        wakeIfPrivate(membership, stanza);
    }
}

/**
 * `cloud_notify/push`: stops pushes against the notification setting, also those of mod_cloud_notify for a hibernating
 * session.
 */
export function onPush(event: PushEvent): Handled {
    const stanza = event.original_stanza;
    const from = stanza?.attr.from;
    if (stanza === undefined || from === undefined || !isOfRoom(stanza)) {
        return undefined;
    }
    const membership = findMembership(occupantJid(event.username), jids.bare(from));
    if (membership === undefined) {
        return undefined;
    }
    if (isNotable(stanza) && !isOwn(membership, stanza) && wantsPush(membership, stanza) !== false) {
        return undefined;
    }
    event.reason = "notification setting of this room";
    return true;
}

function isOfRoom(stanza: Stanza): boolean {
    return stanza.name === "presence" || (stanza.name === "message" && stanza.attr.type === "groupchat");
}

function isOwn(membership: Membership, stanza: Stanza): boolean {
    return jids.resource(stanza.attr.from ?? "") === membership.nick;
}

/** Whether the user wants a push (XEP-0492 3). Undefined if this depends on the room, which has not been asked yet. */
function wantsPush(membership: Membership, stanza: Stanza): boolean | undefined {
    const setting = membership.bookmark?.notify;
    if (setting === "always" || setting === "never") {
        return setting === "always";
    }
    if (isMention(membership, stanza)) {
        return true;
    }
    return setting === "on-mention" ? false : knownPrivate(membership.room);
}

function wakeIfPrivate(membership: Membership, stanza: Stanza): void {
    const username = membership.username;
    const copy = st.clone(stanza);
    whetherPrivate(membership, (isPrivate) => {
        if (isPrivate) {
            wake(username, copy);
        }
    });
}

/**
 * Fires the event that mod_cloud_notify reacts to. Without any session online it is the event of mod_message, which
 * notifies all devices. Otherwise it is the event of an archive, which notifies devices without a session. mod_mam fires
 * the latter itself.
 */
function wake(username: string, stanza: Stanza): void {
    const origin = prosody.hosts.get(module.host);
    const isOnline = origin?.sessions?.has(username);
    if (!isOnline) {
        fire("message/bare/groupchat", { origin, stanza });
    } else if (options.archive !== "mam" || !hasModule("mam")) {
        fire("archive-message-added", { origin, stanza, for_user: username });
    }
}

/** Fires an event. If a handler of another module fails, the message is still delivered (O8). */
function fire(name: string, event: object): void {
    const [ok, problem] = xpcall(() => module.fire_event(name, event), debug.traceback, undefined);
    if (!ok) {
        module.log("error", "A module failed on %s: %s", name, problem);
    }
}
