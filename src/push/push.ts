// Push for messages of rooms. mod_cloud_notify (XEP-0357) wakes devices by events that an archive and mod_message fire;
// they are fired here, and what nobody asked to be woken for is stopped (XEP-0492).

import * as jids from "util.jid";
import * as st from "util.stanza";
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

/** Whether it is said in a room now, and something that a device may be woken for. */
export function isWorthWaking(stanza: Stanza, room: string): boolean {
    return hasModule("cloud_notify") && delayBy(stanza, room) === undefined && isNotable(stanza);
}

/** Wakes the account's devices that are not there for what is worth it, if that is asked for. */
export function notify(membership: Membership, stanza: Stanza): void {
    if (isOwn(membership, stanza)) {
        return;
    }
    const asked = isAskedFor(membership, stanza);
    if (asked === true) {
        wake(membership.username, stanza);
    } else if (asked === undefined) {
        wakeIfPrivate(membership, stanza);
    }
}

/** `cloud_notify/push`: mod_cloud_notify is about to wake a device, be it for what waits for a session in hibernation. */
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
    if (isNotable(stanza) && !isOwn(membership, stanza) && isAskedFor(membership, stanza) !== false) {
        return undefined;
    }
    event.reason = "not asked for in this room";
    return true;
}

function isOfRoom(stanza: Stanza): boolean {
    return stanza.name === "presence" || (stanza.name === "message" && stanza.attr.type === "groupchat");
}

function isOwn(membership: Membership, stanza: Stanza): boolean {
    return jids.resource(stanza.attr.from ?? "") === membership.nick;
}

/** XEP-0492 3; undefined where it depends on the room, of which nothing is known yet. */
function isAskedFor(membership: Membership, stanza: Stanza): boolean | undefined {
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
 * mod_cloud_notify takes a message that an archive has taken down for those devices that have no session while others
 * have one, and what mod_message finds no session for at all for every device. mod_mam fires the former itself.
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

/** A handler of another module that fails must not end the delivery of the message that the event is about (O8). */
function fire(name: string, event: object): void {
    const [ok, problem] = xpcall(() => module.fire_event(name, event), debug.traceback, undefined);
    if (!ok) {
        module.log("error", "A module failed on %s: %s", name, problem);
    }
}

function hasModule(name: string): boolean {
    const host = prosody.hosts.get(module.host);
    return host?.modules.get(name) !== undefined;
}
