// Work and memory that a stanza costs. A kilobyte of XML may be one text or 250 elements, which take 80 kB.

/** Bytes of an element and of an attribute in a parsed stanza on Lua 5.4, without their texts. */
const ELEMENT = 320;
const ATTRIBUTE = 64;

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
    let weight = ELEMENT;
    for (const [, value] of pairs(element.attr)) {
        weight = weight + ATTRIBUTE + string.len(value);
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
    return spendTags(stanza.tags, spendAttributes(stanza.attr, most - ELEMENT), MAX_DEPTH) < 0;
}

function spendAttributes(attr: Stanza["attr"], budget: number): number {
    let left = budget;
    for (const [] of pairs(attr)) {
        left = left - ATTRIBUTE;
    }
    return left;
}

/** Returns the bytes that `depth` levels of elements leave of a budget. Negative if they are over it. */
function spendTags(tags: Stanza[], budget: number, depth: number): number {
    let left = budget;
    for (const tag of tags) {
        if (left < 0 || depth === 1) {
            return -1;
        }
        left = left - ELEMENT;
        for (const [] of pairs(tag.attr)) {
            left = left - ATTRIBUTE;
        }
        if (tag.tags.length > 0) {
            left = spendTags(tag.tags, left, depth - 1);
        }
    }
    return left;
}
