// Plugin of TypeScriptToLua. Writes the program as one plain Lua file: a block for each source file, callee first, with one
// local table for what the file exports. The compiler's own bundle has a loader and a function for each file instead.
const lua = require("typescript-to-lua/dist/LuaAST");
const { SourceNode } = require("source-map");
const path = require("node:path");
const { Printer } = require("./printer.cjs");
const { declaredBy, simplify } = require("./simplify.cjs");
const { copy, nodes, rewrite } = require("./tree.cjs");

const { version } = require("../../package.json");

const HEADER = [
    `-- mod_minimix ${version}: the account, not each client, is the occupant of a MUC room.`,
    "-- Compiled from TypeScript by TypeScriptToLua: change src/ instead, then run `make build`.",
    "-- Each block below is one source file. Its local table holds what other files use.",
];

let bundle;

/** Returns the path that `local name = require(path)` loads, and the name. */
function loadOf(statement) {
    const [value, ...others] = lua.isVariableDeclarationStatement(statement) ? (statement.right ?? []) : [];
    const call = lua.isExpressionStatement(statement) ? statement.expression : value;
    if (others.length > 0 || call === undefined || !lua.isCallExpression(call)) {
        return undefined;
    }
    const isLoad = lua.isIdentifier(call.expression) && call.expression.text === "require";
    const alias = lua.isVariableDeclarationStatement(statement) ? statement.left[0].text : undefined;
    return isLoad ? { alias, path: call.params[0].value } : undefined;
}

/** The parts of which the blocks of all files are made. */
function readUnit({ fileName, luaAst, sourceFiles }, root) {
    const name = path.relative(root, fileName).replace(/\.ts$/, "").replaceAll(path.sep, "/");
    const declared = new Set(nodes(luaAst, () => true).flatMap((node) => declaredBy(node).map(({ text }) => text)));
    const [, comment = ""] = /^((?:\/\/.*\n)*)/.exec(sourceFiles[0].text);
    return { name, fileName, file: luaAst, declared, about: comment.replaceAll(/^\/\//gm, "--").trimEnd() };
}

/** Returns the units in order of execution: each follows the units whose values it imports. */
function inOrder(units) {
    const order = [];
    const pending = new Set();
    const place = (unit, importer) => {
        if (pending.has(unit)) {
            throw new Error(`src/${importer.name}.ts and src/${unit.name}.ts import values from each other`);
        }
        if (!order.includes(unit)) {
            pending.add(unit);
            for (const target of importsOf(unit, units)) {
                place(target, unit);
            }
            pending.delete(unit);
            order.push(unit);
        }
    };
    place(units.find(({ name }) => name === "main"));
    return order;
}

function importsOf(unit, units) {
    return unit.file.statements.map((statement) => importOf(statement, unit, units)?.unit).filter(Boolean);
}

/** Returns the import of another source file, if the statement is one. */
function importOf(statement, unit, units) {
    const load = loadOf(statement);
    if (!load?.path.startsWith(".")) {
        return undefined;
    }
    const name = path.posix.join(path.posix.dirname(unit.name), load.path);
    return { alias: load.alias, unit: units.find((other) => other.name === name) };
}

function nameTables(units) {
    for (const unit of units) {
        const name = unit.name.replaceAll(/\W/g, "_");
        const isTaken = units.some((other) => other.declared.has(name) && !importsAs(other, unit, name, units));
        unit.table = isTaken ? `minimix_${name}` : name;
    }
}

function importsAs(importer, unit, alias, units) {
    return importer.file.statements.some((statement) => {
        const found = importOf(statement, importer, units);
        return found?.unit === unit && found.alias === alias;
    });
}

/**
 * Moves the imports of Prosody's modules to the top, unless one file only has them, or another uses the name for another
 * purpose.
 */
function takeLibraries(units) {
    const libraries = new Map();
    for (const { file } of units) {
        for (const load of file.statements.map(loadOf).filter((load) => load && !load.path.startsWith("."))) {
            libraries.set(load.alias, load.path);
        }
    }
    for (const [alias, path] of libraries) {
        const isOther = ({ file, declared }) =>
            declared.has(alias) && !file.statements.some((statement) => isLoadOf(statement, alias, path));
        const users = units.filter(({ file }) => file.statements.some((statement) => isLoadOf(statement, alias, path)));
        if (users.length === 1 || units.some(isOther)) {
            libraries.delete(alias);
        }
    }
    for (const { file } of units) {
        file.statements = file.statements.filter((statement) => {
            const load = loadOf(statement);
            return load === undefined || libraries.get(load.alias) !== load.path;
        });
    }
    return [...libraries].sort(([one], [other]) => (one < other ? -1 : 1));
}

function isLoadOf(statement, alias, path) {
    const load = loadOf(statement);
    return load?.alias === alias && load.path === path;
}

/** Replaces references to other files' exports, and to its own, by the names of their tables. */
function link(unit, units) {
    const aliases = new Map();
    const statements = [];
    for (const statement of unit.file.statements) {
        const found = importOf(statement, unit, units);
        if (found !== undefined) {
            const { alias, unit: target } = found;
            if (alias?.startsWith("____")) {
                aliases.set(alias, target.table);
            } else if (alias !== undefined && alias !== target.table) {
                statements.push({ ...statement, right: [lua.createIdentifier(target.table)] });
            }
        } else if (!isExportsFrame(statement)) {
            rewrite(statement, (node) => {
                if (lua.isIdentifier(node)) {
                    node.text = node.text === "____exports" ? unit.table : (aliases.get(node.text) ?? node.text);
                }
            });
            statements.push(statement);
        }
    }
    unit.file.statements = unit.name === "main" ? withoutImports(statements, units) : statements;
}

/**
 * Names what the last block imports where it is used. Lua allows 200 local variables in a function, and the tables of all
 * files are local there.
 */
function withoutImports(statements, units) {
    const imports = new Map();
    for (const statement of statements) {
        const [value] = lua.isVariableDeclarationStatement(statement) ? (statement.right ?? []) : [];
        const isField = value !== undefined && lua.isTableIndexExpression(value) && lua.isIdentifier(value.table);
        if (isField && units.some(({ table }) => table === value.table.text)) {
            imports.set(statement.left[0].text, { statement, value });
        }
    }
    const rest = statements.filter((statement) => imports.get(statement.left?.[0]?.text)?.statement !== statement);
    for (const statement of rest) {
        rewrite(statement, (node) => (lua.isIdentifier(node) ? copyOf(imports.get(node.text)) : undefined));
    }
    return rest;
}

function copyOf(found) {
    return found === undefined ? undefined : copy(found.value);
}

/** `local ____exports = {}` and `return ____exports`. */
function isExportsFrame(statement) {
    const [value] = lua.isReturnStatement(statement) ? statement.expressions : (statement.left ?? []);
    const isFrame = lua.isReturnStatement(statement) || lua.isVariableDeclarationStatement(statement);
    return isFrame && value !== undefined && lua.isIdentifier(value) && value.text === "____exports";
}

/** Returns the names in all files. */
function namesIn(units) {
    const files = units.map(({ file }) => file);
    return new Set(nodes(files, lua.isIdentifier).map(({ text }) => text));
}

/** `used`: the names in all files. A file whose table is not among them needs none. */
function blockOf(unit, used, print) {
    const title = [`-- src/${unit.name}.ts`, ...(unit.about === "" ? [] : ["--", unit.about])].join("\n");
    const table = used.has(unit.table) ? `local ${unit.table} = {}\n` : "";
    return ["\n", title, "\n", table, "do\n", print(unit), "end\n"];
}

const plugin = {
    afterPrint(program, options, emitHost, files) {
        if (files.length === 0) {
            return;
        }
        const units = inOrder(files.map((file) => readUnit(file, options.rootDir)));
        nameTables(units);
        const libraries = takeLibraries(units);
        const shared = [...libraries.map(([alias]) => alias), ...units.map(({ table }) => table)];
        for (const unit of units) {
            link(unit, units);
            simplify(unit.file, shared);
        }
        const used = namesIn(units);
        const print = ({ fileName, file }) => new Printer(emitHost, program, fileName).print(file).sourceMapNode;
        bundle = new SourceNode(null, null, null, [
            ...HEADER.map((line) => `${line}\n`),
            "\n",
            ...libraries.map(([alias, path]) => `local ${alias} = require("${path}")\n`),
            ...units.flatMap((unit) => blockOf(unit, used, print)),
        ]);
    },

    beforeEmit(_program, options, _emitHost, [file]) {
        // Nothing was printed, because the sources have errors. The compiler reports them.
        if (bundle === undefined) {
            return;
        }
        const { code, map } = bundle.toStringWithSourceMap({ file: path.basename(file.outputPath) });
        file.code = code.replace(/[ \t]+$/gm, "");
        // The compiler's paths are relative to the folder of each file, not to that of the bundle.
        const sources = map.toJSON().sources.map((source) => source.replace(/^(\.\.\/)+/, "../"));
        file.sourceMap = JSON.stringify({ ...map.toJSON(), sources });
    },
};

module.exports = plugin;
