// The compiled module as readers see it, and the compiler plugin that writes it.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { before, describe, it, test } from "node:test";
import { fileURLToPath } from "node:url";
import * as tstl from "typescript-to-lua";

const repository = fileURLToPath(new URL("..", import.meta.url));
const lines = readFileSync(join(repository, "lua-out/mod_minimix.lua"), "utf8").split("\n");

/** Compiles a program in the same way as the module. Returns the code of each file. */
function compile(files: Record<string, string>): string {
    const { diagnostics, transpiledFiles } = tstl.transpileVirtualProject(files, {
        luaTarget: tstl.LuaTarget.Universal,
        luaLibImport: tstl.LuaLibImportKind.RequireMinimal,
        luaPlugins: [{ name: join(repository, "tools/lua/plugin.cjs") }],
        luaBundle: "bundle.lua",
        luaBundleEntry: "main.ts",
        noHeader: true,
        noImplicitSelf: true,
        strict: true,
        rootDir: ".",
        types: [],
        // The libraries of browsers take most of the time.
        lib: ["lib.es2015.d.ts"],
        skipLibCheck: true,
    });
    assert.deepEqual(
        diagnostics.map(({ messageText }) => messageText),
        [],
    );
    return transpiledFiles.map(({ lua }) => lua ?? "").join("");
}

/** Returns the block of a source file in the compiled program. */
function blockOf(name: string, program: string): string {
    const [, block = ""] = program.split(`\n-- src/${name}.ts\n`);
    return block.replace(/\n-- src\/[^]*/, "");
}

test("the compiled module begins with a header and plain Lua", () => {
    const { version } = JSON.parse(readFileSync(join(repository, "package.json"), "utf8")) as { version: string };
    assert.ok(lines[0]?.startsWith(`-- mod_minimix ${version}: `));
    const start = lines.slice(0, 40).join("\n");
    assert.match(start, /^local jids = require\("util\.jid"\)$/m);
    assert.match(start, /^local namespaces = \{\}$/m);
    assert.doesNotMatch(start, /____|function\(\.\.\.\)/);
});

test("the compiled module has no names of the compiler", () => {
    assert.deepEqual(
        lines.filter((line) => line.includes("____")),
        [],
    );
});

test("tools/traceback.mjs names the TypeScript line of each function", () => {
    const definitions = lines.flatMap((line, index) => {
        const [, name] = /^(?:local )?function (?:\w+\.)?(\w+)\(/.exec(line) ?? [];
        return name === undefined ? [] : [{ name, line: index + 1 }];
    });
    assert.ok(definitions.length > 500, `only ${definitions.length} functions`);
    const log = definitions.map(({ line }) => `error: mod_minimix.lua:${line}: attempt to index a nil value\n`);
    const { stdout } = spawnSync(process.execPath, ["tools/traceback.mjs"], {
        cwd: repository,
        input: log.join(""),
        encoding: "utf8",
    });
    const found = stdout.trim().split("\n");
    assert.equal(found.length, definitions.length);
    for (const [index, { name }] of definitions.entries()) {
        const [, path = "", line] =
            /mod_minimix\.lua:\d+ \[(src\/[\w/.-]+\.ts):(\d+)\]: /.exec(found[index] ?? "") ?? [];
        const source = readFileSync(join(repository, path), "utf8").split("\n")[Number(line) - 1] ?? "";
        assert.match(source, new RegExp(`\\b${name.replace(/_$/, "")}\\b`), `${found[index] ?? ""}: ${name}`);
    }
});

test("a file becomes a block with a table of its exports, after the files that it imports", () => {
    const program = compile({
        "main.ts": `import { say } from "./keep/voice"; import "./greet"; say("bye");`,
        "greet.ts": `import { say } from "./keep/voice"; import * as keep from "./keep/voice"; say(keep.WORD);`,
        "keep/voice.ts": `export const WORD = "hello"; export function say(this: void, text: string): void { say(text); }`,
    });
    assert.equal(
        blockOf("keep/voice", program),
        `local keep_voice = {}
do
keep_voice.WORD = "hello"

function keep_voice.say(text)
    keep_voice.say(text)
end
end
`,
    );
    assert.equal(
        blockOf("greet", program),
        `do
local say = keep_voice.say
local keep = keep_voice
say(keep.WORD)
end
`,
    );
    // The last block comes after the tables of all files. Lua allows 200 local variables.
    assert.equal(blockOf("main", program), 'do\nkeep_voice.say("bye")\nend\n');
});

test("files that import values from each other are refused", () => {
    const files = {
        "main.ts": `import { one } from "./one"; one();`,
        "one.ts": `import { two } from "./two"; export function one(this: void): void { two(); }`,
        "two.ts": `import { one } from "./one"; export function two(this: void): void { one(); }`,
    };
    assert.throws(() => compile(files), /two\.ts and src\/one\.ts import values from each other/);
});

/** The expected Lua for a function with the parameters a, b and node. */
const bodies = {
    "a conditional expression that is returned becomes an if": [
        "return b === a ? f(1) : f(2);",
        "if b == a then\n    return f(1)\nelse\n    return f(2)\nend",
    ],
    "a conditional expression that is kept becomes an if on the variable": [
        "const x = b === a ? f(1) : f(2); return x;",
        "local x\nif b == a then\n    x = f(1)\nelse\n    x = f(2)\nend\nreturn x",
    ],
    "a variable that stays undefined is not assigned to": [
        "const x = a === undefined ? undefined : f(a); return x;",
        "local x\nif a ~= nil then\n    x = f(a)\nend\nreturn x",
    ],
    "a default for what may be false becomes an if on the variable": [
        "const x = g() ?? true; return x;",
        "local x = g()\nif x == nil then\n    x = true\nend\nreturn x",
    ],
    "a variable with the name of the one in the condition does not take its place": [
        "const x = f(); if (b !== a) { const y = x; { const x = y === undefined ? f(y) : y; f(x); } } return x;",
        "local x = f()\nif b ~= a then\n    local y = x\n    do\n        local x\n        if y == nil then\n            x = f(y)\n        else\n            x = y\n        end\n        f(x)\n    end\nend\nreturn x",
    ],
    "what a call may change is read before it": [
        "let x = 1; const change = () => { x = 2; return a; }; f(x, a === undefined ? change() : b); return x;",
        "local x = 1\nlocal function change()\n    x = 2\n    return a\nend\nlocal x_N = x\nlocal temp_N\nif a == nil then\n    temp_N = change()\nelse\n    temp_N = b\nend\nf(x_N, temp_N)\nreturn x",
    ],
    "a constant keeps its value when it begins a longer condition": [
        "const x = g(); if (x && (node?.link?.name ?? b) === b) { f(1); } return x;",
        "local x = g()\nlocal x_N = x\nif x_N then\n    local link = node and node.link\n    x_N = (link and link.name or b) == b\nend\nif x_N then\n    f(1)\nend\nreturn x",
    ],
    "a temporary has the name of the field that it comes from": [
        "return node?.link?.name;",
        "local link = node and node.link\nreturn link and link.name",
    ],
    "parts of a text are put together at once": ["return `${b}/${b}!`;", 'return b .. "/" .. b .. "!"'],
    "a negated comparison is the opposite one": ["return !(a === b);", "return a ~= b"],
} satisfies Record<string, [string, string]>;

describe("a function body", () => {
    let program = "";

    before(() => {
        const functions = Object.values(bodies).map(
            ([body], index) =>
                `export function body${index}(this: void, a: string | undefined, b: string, node: Node | undefined): unknown {${body}}`,
        );
        const declarations = `declare function f(this: void, ...values: unknown[]): string | undefined;
declare function g(this: void): boolean | undefined;
declare interface Node { link?: Node; name: string }`;
        program = compile({ "main.ts": [declarations, ...functions].join("\n") });
    });

    for (const [index, [about, [, expected]]] of Object.entries(bodies).entries()) {
        it(about, () => {
            const pattern = new RegExp(`function main\\.body${index}\\(a, b, node\\)\n([^]*?)\nend\n`);
            const [, result = ""] = pattern.exec(program) ?? [];
            assert.equal(result.replace(/^ {4}/gm, "").replace(/_\d+\b/g, "_N"), expected);
        });
    }
});
