// Walks and copies TypeScriptToLua's syntax tree of Lua, which has neither parents nor visitors.

const isNode = (value) => typeof value === "object" && value !== null && typeof value.kind === "number";

/** Calls `visit` with each node, children before parents. The result replaces the node. */
function rewrite(node, visit) {
    for (const [field, value] of Object.entries(node)) {
        if (Array.isArray(value)) {
            value.forEach((child, index) => {
                if (isNode(child)) {
                    value[index] = rewrite(child, visit);
                }
            });
        } else if (isNode(value)) {
            node[field] = rewrite(value, visit);
        }
    }
    return visit(node) ?? node;
}

/** Calls `see` with each node of a tree, or of each tree in a list. */
function walk(tree, see) {
    for (const node of [tree].flat()) {
        rewrite(node, (child) => {
            see(child);
            return undefined;
        });
    }
}

/** Returns the nodes of a tree, or of a list of trees, that pass a test. */
function nodes(tree, test) {
    const found = [];
    walk(tree, (node) => {
        if (test(node)) {
            found.push(node);
        }
    });
    return found;
}

/** Returns a copy that shares no node with the original. */
function copy(node) {
    const result = { ...node };
    for (const [field, value] of Object.entries(node)) {
        if (Array.isArray(value)) {
            result[field] = value.map((child) => (isNode(child) ? copy(child) : child));
        } else if (isNode(value)) {
            result[field] = copy(value);
        }
    }
    return result;
}

module.exports = { copy, nodes, rewrite, walk };
