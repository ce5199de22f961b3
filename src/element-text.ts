// Writes elements as text, piece by piece.

import * as st from "util.stanza";

/** Pieces of a text, by index. */
export type Pieces = LuaTable<number, string>;

/** Separates namespace and name of an attribute, as Prosody's parser does (util/xmppstream.lua). */
const SEPARATOR = string.char(1);

/** Attributes as text, by name and value, because most are repeated. Ids are not. */
let memo = new LuaMap<string, LuaMap<string, string>>();
let memoSize = 0;

/** Largest number of cached attributes, and their longest size in bytes. Long ones are rarely repeated. */
const MEMO_SIZE = 1000;
const MEMO_LENGTH = 40;

/** Writes an element into pieces, starting at an index. Returns the index after it. */
export type Write = (
    this: void,
    out: Pieces,
    element: Stanza,
    outer: string | undefined,
    start: number,
    inner: Write,
) => number;

/** Writes an element piece by piece, and its children with `inner`. */
export function write(
    this: void,
    out: Pieces,
    element: Stanza,
    outerNamespace: string | undefined,
    start: number,
    inner: Write,
): number {
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
                at = writeAttribute(out, key, value, i, at);
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
            at = inner(out, child, namespace, at, inner);
        }
    }
    out.set(at, "</");
    out.set(at + 1, name);
    out.set(at + 2, ">");
    return at + 3;
}

/** Writes an attribute without a cached text. */
export function writeAttribute(out: Pieces, name: string, value: string, index: number, at: number): number {
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

/** Returns the names of attributes, sorted. */
export function sortedNames(attr: Stanza["attr"]): LuaTable<number, string> {
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
