// Presences of occupants. Each is stored once for all accounts of this host that have seen it. Only the content
// identifies it, so nothing of another room or account's view can leak. Stored as text, which is usually sufficient and
// takes a third of the memory.

import * as st from "util.stanza";
import { MUC_USER } from "../namespaces";
import * as options from "../options";
import { parse } from "../parse";
import { isHeavier, lightPieces, treeLimit, weightOf } from "../weight";
import { isSameElement } from "../stanzas";
import { piecesOf, textOf } from "../text";

export interface InternedStanza {
    /** The XML after the name, without `to`. */
    readonly text: string;
    /** A random number, equal for equal text. Sums of marks distinguish most sets of presences. */
    readonly mark: number;
    /** Whether its table takes too much memory, and time to parse, for a session's join. */
    readonly isHeavy?: boolean | undefined;
}

/** The last mark (Lehmer's generator). math.random() is left for numbers that must not be predictable. */
let lastMark = 1;

function nextMark(): number {
    lastMark = (lastMark * 48271) % 2147483647;
    return lastMark;
}

/** Presences by text. An entry ends with the last membership that refers to it. */
const internedStanzas = setmetatable(new LuaMap<string, InternedStanza>(), { __mode: "v" });

/** The last stanza and its result: a local room passes the same table for all accounts. */
let source: Stanza | undefined;
let latest: InternedStanza | undefined;

/** Largest memory of a stanza that is kept, and the pieces of XML that never take more. */
const HEAVIEST = treeLimit(options.maxCachedSize);
const LIGHT = lightPieces(HEAVIEST);

/** Whether a stanza may be kept as a table. minimix_max_cached_size limits its XML, and by this its memory. */
export function mayKeep(stanza: Stanza): boolean {
    return string.len(textOf(stanza)) <= options.maxCachedSize && weightOf(stanza) <= HEAVIEST;
}

/** Returns a presence in the form that later joins receive. */
export function intern(presence: Stanza): InternedStanza {
    if (presence === source && latest !== undefined) {
        return latest;
    }
    // An entry never has parts that toldAgain() removes.
    const found = internedStanzas.get(textOf(presence)) ?? internTold(toldAgain(presence));
    source = presence;
    latest = found;
    return found;
}

function internTold(told: Stanza): InternedStanza {
    const text = textOf(told);
    let found = internedStanzas.get(text);
    if (found === undefined) {
        const isHeavy = piecesOf(told) > LIGHT && isHeavier(told, HEAVIEST);
        found = isHeavy ? { text, mark: nextMark(), isHeavy } : { text, mark: nextMark() };
        internedStanzas.set(text, found);
    }
    return found;
}

/** Takes over a presence of the previous instance, so that equal text is shared again. */
export function restoreInterned(presence: InternedStanza): void {
    const former: { mark?: number } = presence;
    former.mark ??= nextMark();
    internedStanzas.set(presence.text, presence);
}

/**
 * Returns a presence as a stanza without `to`. Undefined for invalid XML. Parsed each time, because a table takes much
 * more memory than text.
 */
export function stanzaOf(presence: InternedStanza): Stanza | undefined {
    return parse("presence", presence.text);
}

/** Returns a message, likewise. */
export function messageOf(message: InternedStanza): Stanza | undefined {
    return parse("message", message.text);
}

/** Whether two presences are equal, apart from the `id`. */
export function isSamePresence(one: InternedStanza, other: InternedStanza): boolean {
    if (one === other) {
        return true;
    }
    const stanza = stanzaOf(one);
    const counterpart = stanzaOf(other);
    return stanza !== undefined && counterpart !== undefined && isSameElement(stanza, counterpart, "id");
}

/** Returns a presence without actor and reason, which a room does not repeat to later joins. */
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
