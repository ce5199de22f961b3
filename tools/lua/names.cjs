// Names for what the compiler calls `____temp_3`.
const lua = require("typescript-to-lua/dist/LuaAST");
const { isUnsafeName } = require("typescript-to-lua/dist/transformation/utils/safe-names");
const { nodes, walk } = require("./tree.cjs");

/** Renames the compiler's own names in a file. Names in `reserved` are used by the code around it. */
function nameTemporaries(file, reserved) {
    const outside = new Set(reserved);
    for (const { left } of file.statements.filter(lua.isVariableDeclarationStatement)) {
        for (const { text } of left) {
            outside.add(text);
        }
    }
    for (const statement of file.statements) {
        const identifiers = nodes(statement, lua.isIdentifier);
        const taken = new Set([...outside, ...identifiers.map(({ text }) => text)]);
        const names = new Map();
        for (const { text } of identifiers.filter(({ text }) => text.startsWith("____"))) {
            if (!names.has(text)) {
                names.set(text, plainName(text, statement, taken));
            }
        }
        for (const identifier of identifiers) {
            identifier.text = names.get(identifier.text) ?? identifier.text;
        }
    }
}

function plainName(name, statement, taken) {
    if (name === "____") {
        return "_";
    }
    const bare = name.slice(4);
    const isTemporary = /_\d+$/.test(bare);
    // Names without a number come from the source: Lua or Prosody uses them.
    const wishes = isTemporary ? [...meanings(name, statement), bare] : [`${bare}_`];
    const result = wishes.find((wish) => !taken.has(wish) && !isUnsafeName(wish, {})) ?? bare;
    taken.add(result);
    return result;
}

/** Names for the values of a temporary: of the field that they are assigned to, or read from. */
function meanings(name, statement) {
    const result = [];
    const isIt = (node) => node !== undefined && lua.isIdentifier(node) && node.text === name;
    walk(statement, (node) => {
        if (lua.isTableFieldExpression(node) && isIt(node.value) && node.key !== undefined) {
            result.unshift(node.key.value);
        } else if (lua.isVariableDeclarationStatement(node) || lua.isAssignmentStatement(node)) {
            if (node.left.length === 1 && isIt(node.left[0])) {
                result.push(fieldOf(node.right?.[0]));
            }
        }
    });
    return result.filter((wish) => typeof wish === "string" && /^[a-z]\w*$/i.test(wish));
}

function fieldOf(value) {
    if (value !== undefined && lua.isTableIndexExpression(value)) {
        return value.index.value;
    }
    return value !== undefined && lua.isBinaryExpression(value) ? fieldOf(value.right) : undefined;
}

module.exports = { nameTemporaries };
