// Serialises stanzas, once for all recipients.

import * as st from "util.stanza";

/**
 * Returns the XML of a stanza after the name, without `to`. Equal content gives equal text, because attributes are
 * sorted. `tostring` writes them in the order of a hash, which differs between copies (util/stanza.lua, _dostring).
 */
export function textOf(stanza: Stanza): string {
    if (stanza !== source || stanza.tags.length !== sourceTags) {
        const to = stanza.attr.to;
        stanza.attr.to = undefined;
        const end = writeRest(stanza, undefined, 1);
        stanza.attr.to = to;
        source = stanza;
        sourceTags = stanza.tags.length;
        sourceText = table.concat(pieces as unknown as string[], "", 1, end - 1);
        if (end > MOST_PIECES) {
            pieces = new LuaTable();
        }
    }
    return sourceText;
}

/**
 * The last stanza and its text: a local room passes the same table for all accounts. The reference prevents another
 * table from getting the same address meanwhile.
 */
let source: Stanza | undefined;
let sourceTags = 0;
let sourceText = "";

/** Separates namespace and name of an attribute, as Prosody's parser does (util/xmppstream.lua). */
const SEPARATOR = string.char(1);

/** Attributes as text, by name and value, because most are repeated. Ids are not. */
let memo = new LuaMap<string, LuaMap<string, string>>();
let memoSize = 0;

/** Largest number of cached attributes, and their longest size in bytes. Long ones are rarely repeated. */
const MEMO_SIZE = 1000;
const MEMO_LENGTH = 40;

/** The pieces of the text, and the names of one element's attributes. Reused tables, to avoid garbage. */
let pieces = new LuaTable<number, string>();
const names = new LuaTable<number, string>();

/** Largest number of pieces for which the table is kept, so that a large stanza does not hold its memory. */
const MOST_PIECES = 4096;

/** Writes an element into `pieces`, starting at `at`. Returns the index after it. */
function write(element: Stanza, outerNamespace: string | undefined, at: number): number {
    pieces.set(at, "<");
    pieces.set(at + 1, element.name);
    return writeRest(element, outerNamespace, at + 2);
}

function writeRest(element: Stanza, outerNamespace: string | undefined, start: number): number {
    const attr = element.attr;
    const children = element as unknown as (Stanza | string)[];
    let at = writeAttributes(attr, outerNamespace, start);
    if (children.length === 0) {
        pieces.set(at, "/>");
        return at + 1;
    }
    pieces.set(at, ">");
    at = at + 1;
    for (const child of children) {
        if (typeof child === "string") {
            pieces.set(at, st.xml_escape(child));
            at = at + 1;
        } else {
            at = write(child, attr.xmlns, at);
        }
    }
    pieces.set(at, "</");
    pieces.set(at + 1, element.name);
    pieces.set(at + 2, ">");
    return at + 3;
}

function writeAttributes(attr: Stanza["attr"], outerNamespace: string | undefined, start: number): number {
    let at = start;
    let prefixes = 0;
    for (const i of $range(1, sortNames(attr))) {
        const name = names.get(i);
        const value = attr[name] ?? "";
        const separator = string.find(name, SEPARATOR, 1, true)[0] as number | undefined;
        if (separator !== undefined) {
            prefixes = prefixes + 1;
            pieces.set(at, prefixedAttribute(name, value, prefixes));
            at = at + 1;
        } else if (name !== "xmlns" || value !== outerNamespace) {
            at = writeAttribute(name, value, at);
        }
    }
    return at;
}

function writeAttribute(name: string, value: string, at: number): number {
    if (name !== "id" && string.len(name) + string.len(value) <= MEMO_LENGTH) {
        pieces.set(at, remembered(name, value));
        return at + 1;
    }
    pieces.set(at, " ");
    pieces.set(at + 1, name);
    pieces.set(at + 2, "='");
    pieces.set(at + 3, st.xml_escape(value));
    pieces.set(at + 4, "'");
    return at + 5;
}

function remembered(name: string, value: string): string {
    let texts = memo.get(name);
    let text = texts?.get(value);
    if (text === undefined) {
        if (memoSize >= MEMO_SIZE) {
            memo = new LuaMap();
            memoSize = 0;
            texts = undefined;
        }
        if (texts === undefined) {
            texts = new LuaMap();
            memo.set(name, texts);
        }
        text = ` ${name}='${st.xml_escape(value)}'`;
        texts.set(value, text);
        memoSize = memoSize + 1;
    }
    return text;
}

/** Writes the sorted names into `names`. Returns their number, which is small. */
function sortNames(attr: Stanza["attr"]): number {
    let count = 0;
    for (const [key] of pairs(attr)) {
        const name = key as string;
        let at = count;
        while (at > 0 && names.get(at) > name) {
            names.set(at + 1, names.get(at));
            at = at - 1;
        }
        names.set(at + 1, name);
        count = count + 1;
    }
    return count;
}

function prefixedAttribute(name: string, value: string, number: number): string {
    const [namespace, local] = string.match(name, `^(.-)${SEPARATOR}(.*)$`);
    const prefix = `ns${string.format("%d", number)}`;
    return ` xmlns:${prefix}='${st.xml_escape(namespace ?? "")}' ${prefix}:${local ?? ""}='${st.xml_escape(value)}'`;
}
