// Fails if a comment or the name of a test uses a pronoun for people where it means code (CONTRIBUTING.md, "Language").
// `who` is allowed, because some comments are about people.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const pronouns = /\b(whom|whoever|nobody|somebody|someone|everybody|anybody)\b/i;
const isComment = /^\s*(\/\/|\/?\*|--|#)|\s(\/\/|--|#) |\/\*\*/;
const isName = /\b(it|test|describe)\s*\(/;

const folders = ["src", "spec", "e2e", "bench", "demo", "tools"];
const files = folders
    .flatMap((folder) => readdirSync(folder, { recursive: true }).map((name) => join(folder, name)))
    .filter((name) => /\.(ts|lua|mjs|cjs|js|py)$/.test(name) || /^tools.\w+$/.test(name))
    .filter((name) => name !== join("tools", "lua"));
files.push("Makefile");

let found = 0;
for (const file of files) {
    for (const [i, line] of readFileSync(file, "utf8").split("\n").entries()) {
        const [word] = pronouns.exec(line) ?? [];
        if (word !== undefined && (isComment.test(line) || isName.test(line)) && !line.includes("const pronouns")) {
            console.error(`${file}:${i + 1}: name the subject in place of "${word}"`);
            found += 1;
        }
    }
}
console.log(`${files.length} files, ${found} pronouns for code`);
process.exitCode = found > 0 ? 1 : 0;
