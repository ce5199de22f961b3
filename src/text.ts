// Serialises stanzas, once for all recipients.

import * as st from "util.stanza";
import { type Pieces, sortedNames, write, writeAttribute } from "./element-text";

/**
 * Returns the XML of a stanza after the name, without `to`. Equal content gives equal text, because attributes are
 * sorted. `tostring` writes them in the order of a hash, which differs between copies (util/stanza.lua, _dostring).
 */
export function textOf(stanza: Stanza): string {
    if (stanza !== source || stanza.tags.length !== sourceTags) {
        const to = stanza.attr.to;
        stanza.attr.to = undefined;
        const isPresence = stanza.name === "presence";
        const end = isPresence ? writePresence(pieces, stanza) : write(pieces, stanza, undefined, 1, write);
        stanza.attr.to = to;
        source = stanza;
        sourceTags = stanza.tags.length;
        sourceText = table.concat(pieces as unknown as string[], "", ROOT, end - 1);
        sourcePieces = end;
        if (end > MOST_PIECES) {
            pieces = new LuaTable();
        }
    }
    return sourceText;
}

/** Whether a presence's text has at most this number of pieces. Stops writing when the result is known. */
export function isBrief(presence: Stanza, limit: number): boolean {
    most = limit;
    textOf(presence);
    most = math.huge;
    if (sourcePieces <= limit) {
        return true;
    }
    // The text may be incomplete.
    source = undefined;
    return false;
}

/**
 * The last stanza and its text: a local room passes the same table for all accounts. The reference prevents another
 * table from getting the same address meanwhile.
 */
let source: Stanza | undefined;
let sourceTags = 0;
let sourceText = "";
let sourcePieces = 0;

/** Returns about the number of pieces of a stanza's text, at least two for each element. */
export function piecesOf(stanza: Stanza): number {
    textOf(stanza);
    return sourcePieces;
}

/** The pieces of the text. A reused table, to avoid garbage. */
let pieces: Pieces = new LuaTable();

/** Largest number of pieces for which the table is kept, so that a large stanza does not hold its memory. */
const MOST_PIECES = 4096;

/** The index after the name of the root. */
const ROOT = 3;

/** Writes a presence with the attributes that most have, sorted. Any other is written as an element. */
function writePresence(out: Pieces, presence: Stanza): number {
    const attr = presence.attr;
    const tags = presence.tags;
    let others = 0;
    for (const [] of pairs(attr)) {
        others = others + 1;
    }
    const from = attr.from;
    const id = attr.id;
    const lang = attr["xml:lang"];
    let at = ROOT;
    if (from !== undefined) {
        out.set(at, " from='");
        out.set(at + 1, st.xml_escape(from));
        out.set(at + 2, "'");
        at = at + 3;
        others = others - 1;
    }
    if (id !== undefined) {
        out.set(at, " id='");
        out.set(at + 1, st.xml_escape(id));
        out.set(at + 2, "'");
        at = at + 3;
        others = others - 1;
    }
    if (lang !== undefined) {
        out.set(at, " xml:lang='");
        out.set(at + 1, st.xml_escape(lang));
        out.set(at + 2, "'");
        at = at + 3;
        others = others - 1;
    }
    const count = tags.length;
    if (others !== 0 || count === 0 || count !== (presence as unknown as unknown[]).length) {
        return write(out, presence, undefined, 1, writeShort);
    }
    out.set(at, ">");
    at = at + 1;
    for (const tag of tags) {
        at = writeShort(out, tag, undefined, at);
    }
    out.set(at, "</presence>");
    return at + 1;
}

/**
 * Openings by namespace of the element around, name, and the attributes and their values in the order of `pairs`: one
 * level for each. An opening is an opening tag without the final bracket. A missing key leads to UNKNOWN.
 */
type Openings = LuaTable<string, Openings>;

/** The text of an opening, up to the value of a unique attribute. */
interface OpeningText {
    readonly text: string;
    /** That attribute, and the text after its value. */
    readonly unique?: { readonly name: string; readonly rest: string } | undefined;
}

/** The end of a search without a result. Each key leads back to it, so that a search needs no tests on its way. */
const UNKNOWN: Openings = new LuaTable();
const toUnknown: object = { __index: () => UNKNOWN };
setmetatable(UNKNOWN, toUnknown);

/** Openings in elements without a namespace and in others, and the texts of openings. */
let outermost = newOpenings();
let openings = newOpenings();
let openingTexts = new LuaMap<Openings, OpeningText>();
let openingCount = 0;

function newOpenings(): Openings {
    return setmetatable<Openings>(new LuaTable(), toUnknown);
}

/** Largest number of cached openings, of attributes in one, and of bytes in its text. */
const MOST_OPENINGS = 1000;
const MOST_ATTRIBUTES = 8;
const LONGEST_OPENING = 160;

/** Attributes whose values are rarely repeated. An element with two of them is not cached. */
const uniques = new LuaSet<string>();
uniques.add("id");
uniques.add("jid");
uniques.add("from");
uniques.add("stamp");

/** Number of pieces after which writeShort() writes nothing. */
let most = math.huge;

/** Writes an element in a presence, with a cached opening tag if possible: most occupants have the same ones. */
function writeShort(
    this: void,
    out: Pieces,
    element: Stanza,
    outerNamespace: string | undefined,
    start: number,
): number {
    if (start > most) {
        return start;
    }
    const attr = element.attr;
    let opening = (outerNamespace === undefined ? outermost : openings.get(outerNamespace)).get(element.name);
    for (const [key, value] of pairs(attr)) {
        opening = opening.get(key as string).get(value);
    }
    let text = openingTexts.get(opening);
    if (text === undefined) {
        text = rememberOpening(element, outerNamespace);
        if (text === undefined) {
            return write(out, element, outerNamespace, start, writeShort);
        }
    }
    const children = element as unknown as (Stanza | string)[];
    const childCount = children.length;
    const unique = text.unique;
    let at = start + 1;
    out.set(start, text.text);
    if (unique !== undefined) {
        out.set(at, st.xml_escape(attr[unique.name] ?? ""));
        out.set(start + 2, unique.rest);
        at = start + 3;
    }
    if (childCount === 0) {
        out.set(at, "/>");
        return at + 1;
    }
    out.set(at, ">");
    at = at + 1;
    const namespace = attr.xmlns;
    for (const i of $range(1, childCount)) {
        const child = children[i - 1];
        if (typeof child === "string") {
            out.set(at, st.xml_escape(child));
            at = at + 1;
        } else if (child !== undefined) {
            at = writeShort(out, child, namespace, at);
        }
    }
    out.set(at, "</");
    out.set(at + 1, element.name);
    out.set(at + 2, ">");
    return at + 3;
}

/** Caches the text of an opening tag, if other occupants may have the same. Returns it. */
function rememberOpening(element: Stanza, outerNamespace: string | undefined): OpeningText | undefined {
    let size = element.name.length + (outerNamespace ?? "").length;
    let count = 0;
    let unique: string | undefined;
    for (const [key, value] of pairs(element.attr)) {
        count = count + 1;
        if (!uniques.has(key as string)) {
            size = size + (key as string).length + value.length;
        } else if (unique === undefined) {
            unique = key as string;
        } else {
            return undefined;
        }
        if (count > MOST_ATTRIBUTES || size > LONGEST_OPENING) {
            return undefined;
        }
    }
    if (openingCount >= MOST_OPENINGS) {
        outermost = newOpenings();
        openings = newOpenings();
        openingTexts = new LuaMap();
        openingCount = 0;
    }
    let opening = inside(outerNamespace === undefined ? outermost : inside(openings, outerNamespace), element.name);
    for (const [key, value] of pairs(element.attr)) {
        opening = key === unique ? behindAny(opening, key) : inside(inside(opening, key as string), value);
    }
    const text = openingText(element, outerNamespace, unique);
    openingTexts.set(opening, text);
    openingCount = openingCount + 1;
    return text;
}

/** Returns the next level for a key. */
function inside(outer: Openings, key: string): Openings {
    let inner = outer.get(key);
    if (inner === UNKNOWN) {
        inner = newOpenings();
        outer.set(key, inner);
    }
    return inner;
}

/** Returns the level behind any value of a unique attribute. */
function behindAny(outer: Openings, name: string): Openings {
    if (outer.get(name) === UNKNOWN) {
        const behind = newOpenings();
        const toBehind: object = { __index: () => behind };
        outer.set(name, setmetatable<Openings>(new LuaTable(), toBehind));
    }
    return outer.get(name).get("");
}

function openingText(
    { name, attr }: Stanza,
    outerNamespace: string | undefined,
    unique: string | undefined,
): OpeningText {
    const out: Pieces = new LuaTable();
    const names = sortedNames(attr);
    let text = `<${name}`;
    let at = 1;
    for (const i of $range(1, names.length())) {
        const key = names.get(i);
        const value = attr[key] ?? "";
        if (key === unique) {
            text = `${text}${joined(out, at)} ${key}='`;
            at = 1;
        } else if (value !== outerNamespace || key !== "xmlns") {
            at = writeAttribute(out, key, value, i, at);
        }
    }
    const rest = joined(out, at);
    return unique === undefined ? { text: `${text}${rest}` } : { text, unique: { name: unique, rest: `'${rest}` } };
}

/** Returns the text of the pieces ahead of an index. */
function joined(parts: Pieces, end: number): string {
    return table.concat(parts as unknown as string[], "", 1, end - 1);
}
