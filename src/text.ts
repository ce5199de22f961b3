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
        const end = write(stanza, undefined, 1, stanza.name === "presence" ? writeShort : write);
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

/** Separates namespace and name of an attribute, as Prosody's parser does (util/xmppstream.lua). */
const SEPARATOR = string.char(1);

/** Attributes as text, by name and value, because most are repeated. Ids are not. */
let memo = new LuaMap<string, LuaMap<string, string>>();
let memoSize = 0;

/** Largest number of cached attributes, and their longest size in bytes. Long ones are rarely repeated. */
const MEMO_SIZE = 1000;
const MEMO_LENGTH = 40;

/** The pieces of the text. A reused table, to avoid garbage. */
let pieces = new LuaTable<number, string>();

/** Largest number of pieces for which the table is kept, so that a large stanza does not hold its memory. */
const MOST_PIECES = 4096;

/** The index after the name of the root. */
const ROOT = 3;

/** Writes an element into `pieces`, starting at an index. Returns the index after it. */
type Write = (this: void, element: Stanza, outer: string | undefined, start: number, inner: Write) => number;

/** Writes an element piece by piece, and its children with `inner`. */
function write(this: void, element: Stanza, outerNamespace: string | undefined, start: number, inner: Write): number {
    const out = pieces;
    const name = element.name;
    const attr = element.attr;
    const children = element as unknown as (Stanza | string)[];
    const childCount = children.length;
    out.set(start, "<");
    out.set(start + 1, name);
    let at = start + 2;
    let order: Order | undefined = shortest;
    for (const [key] of pairs(attr)) {
        order = order.longer.get(key as string) ?? lengthen(order, key as string);
        if (order === undefined) {
            break;
        }
    }
    const names = order === undefined ? sortedNames(attr) : order.sorted;
    for (const i of $range(1, names.length())) {
        const key = names.get(i);
        const value = (attr as unknown as LuaTable<string, string>).get(key);
        if (value !== outerNamespace || key !== "xmlns") {
            const text = memo.get(key)?.get(value);
            if (text === undefined) {
                at = writeAttribute(key, value, i, at);
            } else {
                out.set(at, text);
                at = at + 1;
            }
        }
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
            at = inner(child, namespace, at, inner);
        }
    }
    out.set(at, "</");
    out.set(at + 1, name);
    out.set(at + 2, ">");
    return at + 3;
}

/** Opening tags without the final bracket, by attributes and their values in the order of `pairs`. */
type Opening = LuaMap<string, LuaMap<string, Opening>>;

/** The same by names of elements. */
type Openings = LuaMap<string, Opening>;

/** Openings in elements without a namespace, those in others by its name, and the texts of openings. */
let outermost: Openings = new LuaMap();
let openings = new LuaMap<string, Openings>();
let openingTexts = new LuaMap<Opening, string>();
let openingCount = 0;

/** Largest number of cached openings, of attributes in one, and of bytes in its text. */
const MOST_OPENINGS = 1000;
const MOST_ATTRIBUTES = 8;
const LONGEST_OPENING = 160;

/** Attributes whose values are rarely repeated. An element with one of them is not cached. */
const unique = new LuaSet<string>();
unique.add("id");
unique.add("jid");
unique.add("from");
unique.add("stamp");

/** Number of pieces after which writeShort() writes nothing. */
let most = math.huge;

/** Writes an element in a presence, with a cached opening tag if possible: most occupants have the same ones. */
function writeShort(
    this: void,
    element: Stanza,
    outerNamespace: string | undefined,
    start: number,
    inner: Write,
): number {
    if (start > most) {
        return start;
    }
    const attr = element.attr;
    const names = outerNamespace === undefined ? outermost : openings.get(outerNamespace);
    let opening = names?.get(element.name);
    if (opening !== undefined) {
        for (const [key, value] of pairs(attr)) {
            opening = opening.get(key as string)?.get(value);
            if (opening === undefined) {
                break;
            }
        }
    }
    let text = opening === undefined ? undefined : openingTexts.get(opening);
    if (text === undefined) {
        text = rememberOpening(element, outerNamespace);
        if (text === undefined) {
            return write(element, outerNamespace, start, inner);
        }
    }
    const out = pieces;
    const children = element as unknown as (Stanza | string)[];
    const childCount = children.length;
    out.set(start, text);
    if (childCount === 0) {
        out.set(start + 1, "/>");
        return start + 2;
    }
    out.set(start + 1, ">");
    let at = start + 2;
    const namespace = attr.xmlns;
    for (const i of $range(1, childCount)) {
        const child = children[i - 1];
        if (typeof child === "string") {
            out.set(at, st.xml_escape(child));
            at = at + 1;
        } else if (child !== undefined) {
            at = inner(child, namespace, at, inner);
        }
    }
    out.set(at, "</");
    out.set(at + 1, element.name);
    out.set(at + 2, ">");
    return at + 3;
}

/** Caches the text of an opening tag, if other occupants may have the same. Returns it. */
function rememberOpening(element: Stanza, outerNamespace: string | undefined): string | undefined {
    let size = element.name.length + (outerNamespace?.length ?? 0);
    let count = 0;
    for (const [key, value] of pairs(element.attr)) {
        size = size + (key as string).length + value.length;
        count = count + 1;
        if (unique.has(key as string) || count > MOST_ATTRIBUTES || size > LONGEST_OPENING) {
            return undefined;
        }
    }
    if (openingCount >= MOST_OPENINGS) {
        outermost = new LuaMap();
        openings = new LuaMap();
        openingTexts = new LuaMap();
        openingCount = 0;
    }
    const names = outerNamespace === undefined ? outermost : inside(openings, outerNamespace);
    let opening: Opening = inside(names, element.name);
    for (const [key, value] of pairs(element.attr)) {
        opening = inside(inside(opening, key as string), value);
    }
    const text = openingText(element, outerNamespace);
    openingTexts.set(opening, text);
    openingCount = openingCount + 1;
    return text;
}

function inside<T extends object>(outer: LuaMap<string, T>, key: string): T {
    const inner = outer.get(key) ?? (new LuaMap() as unknown as T);
    outer.set(key, inner);
    return inner;
}

function openingText({ name, attr }: Stanza, outerNamespace: string | undefined): string {
    const outer = pieces;
    pieces = new LuaTable();
    const end = write(st.stanza(name, attr), outerNamespace, 1, write);
    const text = table.concat(pieces as unknown as string[], "", 1, end - 2);
    pieces = outer;
    return text;
}

/** Writes an attribute without a cached text. */
function writeAttribute(name: string, value: string, index: number, at: number): number {
    const out = pieces;
    if (name !== "id") {
        const separator = string.find(name, SEPARATOR, 1, true)[0] as number | undefined;
        if (separator !== undefined) {
            out.set(at, prefixedAttribute(name, value, index));
            return at + 1;
        }
        if (name.length + value.length <= MEMO_LENGTH) {
            out.set(at, remember(name, value));
            return at + 1;
        }
    }
    out.set(at, " ");
    out.set(at + 1, name);
    out.set(at + 2, "='");
    out.set(at + 3, st.xml_escape(value));
    out.set(at + 4, "'");
    return at + 5;
}

/** Caches the text of an attribute. */
function remember(name: string, value: string): string {
    const text = ` ${name}='${st.xml_escape(value)}'`;
    if (memoSize >= MEMO_SIZE) {
        memo = new LuaMap();
        memoSize = 0;
    }
    let texts = memo.get(name);
    if (texts === undefined) {
        texts = new LuaMap();
        memo.set(name, texts);
    }
    texts.set(value, text);
    memoSize = memoSize + 1;
    return text;
}

/** Names of attributes in the order of `pairs`, and the same names sorted. Most stanzas repeat a few orders. */
interface Order {
    readonly sorted: LuaTable<number, string>;
    /** Orders with one more name, by that name. */
    readonly longer: LuaMap<string, Order>;
}

/** Largest number of cached orders, of names in one, and of bytes in a name. */
const MOST_ORDERS = 1000;
const LONGEST_ORDER = 8;
const LONGEST_NAME = 40;

let shortest = orderOf([]);
let orderCount = 0;

function orderOf(names: string[]): Order {
    return { sorted: sortedTable(names), longer: new LuaMap() };
}

function sortedTable(names: string[]): LuaTable<number, string> {
    table.sort(names);
    return names as unknown as LuaTable<number, string>;
}

/** Caches an order with one more name. Undefined if the order or the name is too long. */
function lengthen(order: Order, name: string): Order | undefined {
    const length = order.sorted.length();
    if (length >= LONGEST_ORDER || name.length > LONGEST_NAME) {
        return undefined;
    }
    if (orderCount >= MOST_ORDERS) {
        shortest = orderOf([]);
        orderCount = 0;
    }
    const names = [name];
    for (const i of $range(1, length)) {
        names.push(order.sorted.get(i));
    }
    const longer = orderOf(names);
    order.longer.set(name, longer);
    orderCount = orderCount + 1;
    return longer;
}

function sortedNames(attr: Stanza["attr"]): LuaTable<number, string> {
    const names: string[] = [];
    for (const [name] of pairs(attr)) {
        names.push(name as string);
    }
    return sortedTable(names);
}

function prefixedAttribute(name: string, value: string, number: number): string {
    const [namespace, local] = string.match(name, `^(.-)${SEPARATOR}(.*)$`);
    const prefix = `ns${string.format("%d", number)}`;
    return ` xmlns:${prefix}='${st.xml_escape(namespace ?? "")}' ${prefix}:${local ?? ""}='${st.xml_escape(value)}'`;
}
