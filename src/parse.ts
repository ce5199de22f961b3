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

/** Starts to parse. */
function open(): void {
    source.notopen = true;
    parser.feed("<stream>");
}

open();

/** Returns an element of this name. `rest` is its XML after the name. Undefined for invalid XML. */
export function parse(name: string, rest: string): Stanza | undefined {
    wrapper = undefined;
    const [fed] = parser.feed(`<x><${name}${rest}</x>`);
    const found = wrapper as Stanza | undefined;
    wrapper = undefined;
    if (fed !== undefined && found !== undefined) {
        return found.tags[0];
    }
    parser.reset();
    open();
    return undefined;
}
