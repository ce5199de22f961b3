// Parses elements that the module has stored as text.

import * as xmppstream from "util.xmppstream";

/** The last element, in its wrapper. The attributes of the wrapper are the parser's. */
let wrapper: Stanza | undefined;

/** State that the parser expects of a connection. */
const source: xmppstream.Source = {};

/** One parser for all texts. util.xml would create a parser for each, which takes three times as long. */
const parser = xmppstream.new(source, {
    stream_ns: "",
    default_ns: "",
    streamopened: () => {
        source.notopen = undefined;
    },
    handlestanza: (_, stanza) => {
        wrapper = stanza;
    },
    error: () => {
        wrapper = undefined;
    },
});

/** Largest number of bytes for which a parser is used. It keeps the name of each element that it has met. */
const MOST_BYTES = 16384;

/** Bytes that the parser has met. */
let fed = 0;

/** Starts a stream. */
function open(): void {
    source.notopen = true;
    parser.feed("<stream>");
    fed = 0;
}

function reopen(): void {
    parser.reset();
    open();
}

open();

/** Returns an element of this name. `rest` is its XML after the name. Undefined for invalid XML. */
export function parse(name: string, rest: string): Stanza | undefined {
    if (fed > MOST_BYTES) {
        reopen();
    }
    fed = fed + string.len(rest);
    const [isValid] = parser.feed(`<x><${name}${rest}</x>`);
    const element = wrapper?.tags[0];
    wrapper = undefined;
    if (isValid === undefined || element === undefined) {
        reopen();
    }
    return isValid === undefined ? undefined : element;
}
