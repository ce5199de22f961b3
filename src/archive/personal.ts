// mod_mam's archive of an account. With `minimix_archive = "mam"` it also has messages of rooms, one copy per account.
// mod_mam stores live messages, and this file stores missed ones.

import * as cache from "util.cache";
import type { Cache } from "util.cache";
import * as jids from "util.jid";
import * as st from "util.stanza";
import { delayOf, isAnswering } from "./gate";
import type { Archive } from "./cursor";
import { type Reading, startReading } from "./page";
import { hasModule } from "../host";
import * as options from "../options";
import { findMembership, type Membership } from "../state/memberships";
import { appendMessage, messageOf, openMessages } from "../state/messages";
import { isDelayBy, isWorthKeeping, stanzaIdBy } from "../stanzas";

const store = openMessages(options.personalArchive);

/** Number of messages to read when looking for repeated ones. */
const READ_BACK = 50;

/** The messages stored last, by name. */
interface KnownMessages {
    readonly names: Cache<true>;
    /** Whether the earlier messages could be read. */
    isRead: boolean;
}

const knownMessages = setmetatable(new LuaMap<Membership, KnownMessages>(), { __mode: "k" });

/** Whether mod_mam is loaded. */
export function hasPersonalArchive(): boolean {
    return hasModule("mam");
}

/** Returns the archive of messages with one JID, or with all. */
export function personalArchive(username: string, other: string | undefined): Archive {
    // mod_mam labels messages with the bare JID of the other side.
    return { store, key: username, label: other, isOrdered: false, mayRead: () => true };
}

/**
 * `archive-should-store`: mod_mam leaves out messages of rooms by default. A message on its way to a room comes back
 * from it. History of a join is stored already, or is added as missed.
 */
export function onShouldStore(event: { readonly stanza: Stanza }): boolean | undefined {
    const stanza = event.stanza;
    const room = jids.bare(stanza.attr.from ?? "");
    const membership = findMembership(stanza.attr.to ?? "", room);
    if (membership === undefined || stanza.attr.type !== "groupchat") {
        return undefined;
    }
    const isPast = isAnswering(membership) && delayOf(stanza, room) !== undefined;
    if (!isWorthKeeping(stanza) || isPast) {
        return false;
    }
    knownMessagesOf(membership).names.set(nameOf(membership, stanza), true);
    return true;
}

/** Adds a missed message at the end, the only possible place. Returns whether it is new. */
export function addMissed(membership: Membership, delayed: Stanza, when: number): boolean {
    const { names, isRead } = knownMessagesOf(membership);
    const name = nameOf(membership, delayed);
    if (!isWorthKeeping(delayed) || names.get(name) !== undefined) {
        return false;
    }
    const content = st.clone(delayed);
    content.maptags((tag) => (isDelayBy(tag, membership.room) ? undefined : tag));
    const outcome = isRead ? appendMessage(store, membership.username, content, when, membership.room)[0] : "failed";
    const progress = membership.catchUp?.progress;
    if (outcome === "failed" && progress?.step === "querying") {
        progress.failed = true;
    } else if (outcome === "stored") {
        names.set(name, true);
    }
    return outcome === "stored";
}

/** Starts to read the last messages of a room. */
export function startReadingRoom(membership: Membership, most: number, since: number): Reading {
    return startReading([personalArchive(membership.username, membership.room)], {
        wants: (content) => messageOf(content).attr.type === "groupchat",
        start: since,
        reverse: true,
        max: most,
    });
}

function knownMessagesOf(membership: Membership): KnownMessages {
    let known = knownMessages.get(membership);
    if (known === undefined) {
        // Live messages must not push out the older ones during a catch-up.
        known = { names: cache.new(READ_BACK + options.maxHistory), isRead: false };
        knownMessages.set(membership, known);
    }
    if (!known.isRead) {
        const reading = startReadingRoom(membership, READ_BACK, 0);
        while (!reading.step()) {
            // They are few.
        }
        known.isRead = !reading.failed;
        for (const item of reading.page?.items ?? []) {
            known.names.set(nameOf(membership, messageOf(item.content)), true);
        }
    }
    return known;
}

/** Returns a name for a message: the room's id, or, without ids, its sender and text. */
function nameOf(membership: Membership, stanza: Stanza): string {
    const id = stanzaIdBy(stanza, membership.room);
    if (id !== undefined) {
        return id;
    }
    const from = stanza.attr.from ?? "";
    return `${from} ${stanza.attr.id ?? ""} ${stanza.get_child_text("body") ?? ""}`;
}
