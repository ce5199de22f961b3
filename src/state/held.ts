// Presences of occupants, each held once for all accounts of this host that were shown it. They are told apart by their
// content alone, so that nothing of one room, or of one account's view of it, can get into another's. They are held as
// text, which is most often all that is needed, and takes a third of the memory.

import * as st from "util.stanza";
import * as xml from "util.xml";
import { MUC_USER } from "../namespaces";
import { isSameElement } from "../stanzas";
import { textOf } from "../text";

export interface Held {
    /** What follows its name in XML, without `to`. */
    readonly text: string;
    /** A number drawn, the same for the same text: sums of them tell most sets of presences apart. */
    readonly mark: number;
    /** Read from the text when first needed. */
    stanza?: Stanza | undefined;
}

/** The mark given last. Lehmer's generator: math.random() is for what others are not to foresee. */
let lastMark = 1;

function nextMark(): number {
    lastMark = (lastMark * 48271) % 2147483647;
    return lastMark;
}

/** By text. Entries go with the last membership that refers to them. */
const held = setmetatable(new LuaMap<string, Held>(), { __mode: "v" });

/** The stanza held last and what became of it: a room of this server hands one table to every account. */
let source: Stanza | undefined;
let latest: Held | undefined;

/** What is to be shown of a presence to those who come later. */
export function hold(presence: Stanza): Held {
    if (presence === source && latest !== undefined) {
        return latest;
    }
    const text = textOf(toldAgain(presence));
    let found = held.get(text);
    if (found === undefined) {
        found = { text, mark: nextMark() };
        held.set(text, found);
    }
    source = presence;
    latest = found;
    return found;
}

/** Takes over a presence from the instance of the module before a reload, so that the same text is the same again. */
export function restoreHeld(presence: Held): void {
    const former: { mark?: number } = presence;
    former.mark ??= nextMark();
    held.set(presence.text, presence);
}

/** A presence as a stanza without `to`: lent to whoever sends it, never changed. Undefined for what is no XML. */
export function stanzaOf(presence: Held): Stanza | undefined {
    presence.stanza ??= xml.parse(`<presence${presence.text}`);
    return presence.stanza;
}

/** The same for a message. */
export function messageOf(message: Held): Stanza | undefined {
    message.stanza ??= xml.parse(`<message${message.text}`);
    return message.stanza;
}

/** Whether two presences say the same. Which presence an `id` answered does not matter. */
export function isSamePresence(one: Held, other: Held): boolean {
    if (one === other) {
        return true;
    }
    const stanza = stanzaOf(one);
    const counterpart = stanzaOf(other);
    return stanza !== undefined && counterpart !== undefined && isSameElement(stanza, counterpart, "id");
}

/** Who changed an occupant, and why, is told once; a room does not repeat it to those who come later. */
export function toldAgain(presence: Stanza): Stanza {
    const x = presence.get_child("x", MUC_USER);
    const item = x?.get_child("item");
    if (item === undefined || item.tags.length === 0) {
        return presence;
    }
    const copy = st.clone(presence);
    const copied = copy.get_child("x", MUC_USER);
    if (copied !== undefined) {
        for (const tag of copied.tags) {
            tag.maptags((child) => (child.name === "actor" || child.name === "reason" ? undefined : child));
        }
    }
    return copy;
}
