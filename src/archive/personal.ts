// mod_mam's archive of an account. With `minimix_archive = "mam"` it has what was said in rooms too, a copy for each
// account: mod_mam writes down what comes, and what was missed is written from here.

import * as cache from "util.cache";
import type { Cache } from "util.cache";
import * as jids from "util.jid";
import * as st from "util.stanza";
import { delayOf, isAnswering } from "./gate";
import { type Archive, type Item, readPage } from "./page";
import * as options from "../options";
import { findMembership, type Membership } from "../state/memberships";
import { appendMessage, openMessages } from "../state/messages";
import { isDelayBy, isWorthKeeping, stanzaIdBy } from "../stanzas";

const store = openMessages(options.personalArchive);

/** Messages that are read to find those among them that come again. */
const RECENT = 50;

/** Messages that were kept last, by name. */
interface Recent {
    readonly names: Cache<true>;
    /** Whether those of before could be read. */
    isRead: boolean;
}

const recent = setmetatable(new LuaMap<Membership, Recent>(), { __mode: "k" });

/** Whether there is such an archive. */
export function hasPersonalArchive(): boolean {
    const host = prosody.hosts.get(module.host);
    return host?.modules.get("mam") !== undefined;
}

/** What an account and one other, or all others, said to each other. */
export function personalArchive(username: string, other: string | undefined): Archive {
    // mod_mam labels messages with the bare JID of the other side.
    return { store, key: username, label: other, holds: () => true };
}

/**
 * `archive-should-store`: mod_mam leaves out messages of rooms. Those that it sees on their way to a room come back from
 * it, and what a room tells of its past on a join is there already, or is missed.
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
    recentOf(membership).names.set(nameOf(membership, stanza), true);
    return true;
}

/** Adds a message of a room's past at the end, as there is no other place; whether it was not there before. */
export function addMissed(membership: Membership, delayed: Stanza, when: number): boolean {
    const { names, isRead } = recentOf(membership);
    const name = nameOf(membership, delayed);
    if (!isWorthKeeping(delayed) || names.get(name) !== undefined) {
        return false;
    }
    const content = st.clone(delayed);
    content.maptags((tag) => (isDelayBy(tag, membership.room) ? undefined : tag));
    const outcome = isRead ? appendMessage(store, membership.username, content, when, membership.room)[0] : "failed";
    const progress = membership.catchUp?.progress;
    if (outcome === "failed" && progress?.step === "asking") {
        progress.failed = true;
    } else if (outcome === "stored") {
        names.set(name, true);
    }
    return outcome === "stored";
}

/** What was said in a room last, oldest first; undefined if storage failed. */
export function readRoom(membership: Membership, most: number, since: number): Item[] | undefined {
    const [done, page] = readPage([personalArchive(membership.username, membership.room)], {
        wants: (stanza) => stanza.attr.type === "groupchat",
        start: since,
        reverse: true,
        max: most,
    });
    return done ? (page?.items ?? []) : undefined;
}

function recentOf(membership: Membership): Recent {
    let known = recent.get(membership);
    if (known === undefined) {
        // What comes while the past is fetched is not to be forgotten over it.
        known = { names: cache.new(RECENT + options.maxHistory), isRead: false };
        recent.set(membership, known);
    }
    if (!known.isRead) {
        const items = readRoom(membership, RECENT, 0);
        known.isRead = items !== undefined;
        for (const item of items ?? []) {
            known.names.set(nameOf(membership, item.stanza), true);
        }
    }
    return known;
}

/** What a message is known by: the room's id for it or, where rooms give none, who said what. */
function nameOf(membership: Membership, stanza: Stanza): string {
    const id = stanzaIdBy(stanza, membership.room);
    if (id !== undefined) {
        return id;
    }
    const from = stanza.attr.from ?? "";
    return `${from} ${stanza.attr.id ?? ""} ${stanza.get_child_text("body") ?? ""}`;
}
