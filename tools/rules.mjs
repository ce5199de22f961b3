// Compares the rules of docs/rules.md with the numbers in the names of specs and end-to-end tests. Fails if a number
// has no rule, or a rule has no test.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const rules = new Set(numbers(readFileSync("docs/rules.md", "utf8"), /^- \*\*([A-Z]\d+)\*\* /gm));
const named = new Map();

for (const path of [...files("spec", /_spec\.lua$/), ...files("e2e", /\.test\.ts$/)]) {
    for (const number of numbersOf(readFileSync(path, "utf8"))) {
        named.set(number, path);
    }
}

function files(folder, pattern) {
    return readdirSync(folder, { recursive: true })
        .filter((name) => pattern.test(name))
        .map((name) => join(folder, name));
}

function numbers(text, pattern) {
    return [...text.matchAll(pattern)].map(([, number]) => number);
}

/**
 * Returns the rules at the beginning of the names of a file's tests ("J2, C4: …"), and those in its first comment,
 * which apply to all of them.
 */
function numbersOf(text) {
    const names = numbers(text, /\b(?:it|test|describe)\s*\(*\s*["'`]([^"'`\n]*)/g);
    const [comment] = /^(?:(?:--|\/\/).*\n)*/.exec(text);
    const pattern = /(?:^|: |\()((?:[A-Z]\d{1,2}(?:, | and ))*[A-Z]\d{1,2})(?=:|\))/gm;
    const about = comment.replaceAll(/^(--|\/\/) /gm, "");
    return [about, ...names].flatMap((name) => numbers(name, pattern)).flatMap((list) => list.match(/[A-Z]\d+/g));
}

const unknown = [...named].filter(([number]) => !rules.has(number));
const untested = [...rules].filter((number) => !named.has(number));
for (const [number, path] of unknown) {
    console.error(`${path}: there is no rule ${number}`);
}
if (untested.length > 0) {
    console.error(`no test names the rules ${untested.join(", ")}`);
}
console.log(`${rules.size} rules, ${rules.size - untested.length} tested`);
process.exitCode = unknown.length + untested.length > 0 ? 1 : 0;
