// Copies a log from standard input to standard output, and adds the TypeScript line to each line number of the module.
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { SourceMapConsumer } from "source-map";

const file = new URL("../lua-out/mod_minimix.lua.map", import.meta.url);
const map = await new SourceMapConsumer(readFileSync(file, "utf8"));

function withSource(place, line) {
    const bias = SourceMapConsumer.LEAST_UPPER_BOUND;
    const { source, line: original } = map.originalPositionFor({ line: Number(line), column: 0, bias });
    return source === null ? place : `${place} [${source.replace(/^(\.\.\/)+/, "")}:${original}]`;
}

for await (const line of createInterface(process.stdin)) {
    console.log(line.replace(/mod_minimix\.lua:(\d+)/g, withSource));
}
