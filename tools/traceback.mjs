// Reads a log from standard input and writes it out with the TypeScript line beside each line of the compiled module.
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
