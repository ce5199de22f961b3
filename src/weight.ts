// Work and memory that a stanza costs. A kilobyte of XML may be one text or 250 elements, which take 80 kB.

/** Bytes in a parsed stanza on Lua 5.4, without texts. Constants of the compiler, because every stanza is weighed. */
const enum Bytes {
    Element = 320,
    Attribute = 64,
    /** At most, for each piece of XML (text.ts). An element has two, which may contain eight attributes. */
    Piece = 416,
}

/**
 * Largest memory of a stanza that is kept, as a multiple of the limit of its XML. An ordinary presence takes four or
 * five times its XML.
 */
const TREE = 8;

/** Deepest nesting of elements in an accepted stanza. Prosody's own functions recurse to this depth. */
const MAX_DEPTH = 100;

/** Returns the approximate bytes of a parsed stanza. Infinite if it is nested too deep. */
export function weightOf(stanza: Stanza): number {
    return weigh(stanza, 1);
}

function weigh(element: Stanza, depth: number): number {
    if (depth > MAX_DEPTH) {
        return math.huge;
    }
    let weight: number = Bytes.Element;
    for (const [, value] of pairs(element.attr)) {
        weight = weight + Bytes.Attribute + string.len(value);
    }
    const children = element as unknown as (Stanza | string)[];
    for (const child of children) {
        weight = weight + (typeof child === "string" ? string.len(child) : weigh(child, depth + 1));
    }
    return weight;
}

/** Returns the most bytes of memory that a stanza may take that is kept, for a limit of its XML in bytes. */
export function treeLimit(size: number): number {
    return TREE * Math.max(size, 1024);
}

/**
 * Whether elements and attributes of a stanza take more than a number of bytes, or it is nested too deep. Ignores texts,
 * which the stream limits. Stops as soon as the result is known.
 */
export function isHeavier(stanza: Stanza, most: number): boolean {
    let left = most - Bytes.Element;
    for (const [] of pairs(stanza.attr)) {
        left = left - Bytes.Attribute;
    }
    return spendTags(stanza.tags, left, MAX_DEPTH) < 0;
}

/** Returns the bytes that `depth` levels of elements leave of a budget. Negative if they are over it. */
function spendTags(tags: Stanza[], budget: number, depth: number): number {
    let left = budget;
    for (const tag of tags) {
        left = left - Bytes.Element;
        for (const [] of pairs(tag.attr)) {
            left = left - Bytes.Attribute;
        }
        if (left < 0) {
            return left;
        }
        if (tag.tags.length > 0) {
            left = depth === 2 ? -1 : spendTags(tag.tags, left, depth - 1);
        }
    }
    return left;
}

/** Returns the pieces of XML up to which no stanza is heavier. Nesting takes at least five pieces for each level. */
export function lightPieces(most: number): number {
    return Math.min(most / Bytes.Piece, 5 * MAX_DEPTH);
}
