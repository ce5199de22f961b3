// README and docs/, with the commands and configurations that they show.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const repository = fileURLToPath(new URL("../..", import.meta.url));

/** The documents that show commands. */
export const documents = ["README.md", "CONTRIBUTING.md", "docs/archive.md", "docs/operations.md", "docs/rules.md"];

export function read(path: string): string {
    return readFileSync(join(repository, path), "utf8");
}

/** Returns the chapters of the README from one heading to another. */
export function chapters(from: string, to: string): string {
    const [, text = ""] = new RegExp(`^## ${from}\n([^]*?)^## ${to}\n`, "m").exec(read("README.md")) ?? [];
    return text;
}

/** Returns the fenced blocks of one language: "sh", "lua", "text". */
export function blocksOf(text: string, language: string): string[] {
    const pattern = new RegExp(`^\`\`\`${language}\n([^]*?)^\`\`\`$`, "gm");
    return [...text.matchAll(pattern)].map(([, block = ""]) => block.trimEnd());
}

/** Returns the lines of all blocks of commands. */
export function commandsOf(text: string): string[] {
    return blocksOf(text, "sh").flatMap((block) => block.split("\n"));
}

/** Returns the rows of all tables below a heading of any level, as cells. */
export function rowsBelow(text: string, heading: string): string[][] {
    const [, chapter = ""] = new RegExp(`^#+ ${heading}\n([^]*?)(?:^#|$(?![^]))`, "m").exec(text) ?? [];
    const rows = [...chapter.matchAll(/^\| (.*) \|$/gm)].map(([, row = ""]) => row.split(" | "));
    return rows.slice(1);
}
