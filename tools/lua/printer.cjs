// Prints Lua as a programmer would: lists on one line if they fit, parentheses only if needed.
const lua = require("typescript-to-lua/dist/LuaAST");
const { LuaPrinter } = require("typescript-to-lua/dist/LuaPrinter");

/** Maximum width of a list of arguments or fields on one line. */
const LINE = 88;

class Printer extends LuaPrinter {
    needsParenthesis(expression, minPrecedenceToOmit) {
        const isOperand = minPrecedenceToOmit !== undefined;
        return (
            !(isOperand && lua.isTableExpression(expression)) && super.needsParenthesis(expression, minPrecedenceToOmit)
        );
    }

    /** A list that ends with a function is not broken: the arguments before the function explain it. */
    printExpressionList(expressions) {
        const items = expressions.map((expression) => this.printExpression(expression));
        const last = expressions.at(-1);
        const isTail = last !== undefined && lua.isFunctionExpression(last);
        const line = (isTail ? items.slice(0, -1) : items).join(", ");
        return this.currentIndent.length + line.length <= LINE && !line.includes("\n")
            ? this.joinChunksWithComma(items)
            : super.printExpressionList(expressions);
    }

    /** Functions at the top level are separated by empty lines. */
    printStatementArray(statements) {
        const chunks = super.printStatementArray(statements);
        if (this.currentIndent !== "") {
            return chunks;
        }
        return statements.flatMap((statement, index) => {
            const isApart = index > 0 && (isFunction(statement) || isFunction(statements[index - 1]));
            return [...(isApart ? ["\n"] : []), chunks[2 * index] ?? "", chunks[2 * index + 1] ?? ""];
        });
    }
}

function isFunction(statement) {
    const isDefinition = lua.isVariableDeclarationStatement(statement) || lua.isAssignmentStatement(statement);
    return isDefinition && lua.isFunctionDefinition(statement);
}

module.exports = { Printer };
