// Converts the compiler's code for conditional expressions into the Lua that a programmer would write.
const lua = require("typescript-to-lua/dist/LuaAST");
const { nameTemporaries } = require("./names.cjs");
const { copy, nodes, rewrite, walk } = require("./tree.cjs");

const { SyntaxKind } = lua;

/** Simplifies one file in place. Names in `reserved` are used by the code around it. */
function simplify(file, reserved) {
    const variables = assignedVariables(file);
    rewrite(file, (node) => {
        if (lua.isFile(node) || lua.isBlock(node) || lua.isDoStatement(node)) {
            node.statements = withoutTemporaries(node.statements, variables);
        } else if (lua.isUnaryExpression(node)) {
            return withoutNegation(node);
        } else if (lua.isBinaryExpression(node)) {
            return concatenation(node);
        }
        return undefined;
    });
    nameTemporaries(file, reserved);
}

/** `not (a ~= b)` is `a == b`. */
function withoutNegation(node) {
    return node.operator === SyntaxKind.NotOperator && isEquation(node.operand) ? negated(node.operand) : undefined;
}

function isEquation(node) {
    const { operator } = node;
    return (
        lua.isBinaryExpression(node) &&
        (operator === SyntaxKind.EqualityOperator || operator === SyntaxKind.InequalityOperator)
    );
}

/** Returns the opposite of a condition. Undefined for `<` and similar operators, which are false for NaN. */
function negated(condition) {
    if (isEquation(condition)) {
        const isEqual = condition.operator === SyntaxKind.EqualityOperator;
        const operator = isEqual ? SyntaxKind.InequalityOperator : SyntaxKind.EqualityOperator;
        return { ...condition, operator };
    }
    if (lua.isUnaryExpression(condition) && condition.operator === SyntaxKind.NotOperator) {
        return condition.operand;
    }
    return lua.isBinaryExpression(condition)
        ? undefined
        : lua.setNodePosition(lua.createUnaryExpression(condition, SyntaxKind.NotOperator), condition);
}

/** `(a .. b) .. c` creates an unneeded string; `a .. b .. c` does not. */
function concatenation(node) {
    if (!isConcatenation(node) || !isConcatenation(node.left)) {
        return undefined;
    }
    const { left, right } = node;
    const rest = { ...node, left: left.right, right };
    return { ...left, right: concatenation(rest) ?? rest };
}

function isConcatenation(node) {
    return lua.isBinaryExpression(node) && node.operator === SyntaxKind.ConcatOperator;
}

/** Returns the names that a file assigns to after their declaration. A function definition does not count. */
function assignedVariables(file) {
    const assignments = nodes(file, (node) => lua.isAssignmentStatement(node) && !lua.isFunctionDefinition(node));
    return new Set(assignments.flatMap(({ left }) => left.filter(lua.isIdentifier).map(({ text }) => text)));
}

function withoutTemporaries(statements, variables) {
    const result = [...statements];
    for (let index = result.length - 1; index >= 0; index--) {
        const name = temporaryOf(result[index]);
        if (name !== undefined) {
            replaceTemporary(result, index, name, variables);
        }
    }
    result.forEach((statement, index) => {
        dropNil(statement, result[index + 1]);
    });
    return result;
}

/** The compiler's own names begin with four underscores. */
function temporaryOf(statement) {
    const [variable, ...others] = lua.isVariableDeclarationStatement(statement) ? statement.left : [];
    return variable?.text.startsWith("____") && others.length === 0 ? variable.text : undefined;
}

function replaceTemporary(statements, first, name, variables) {
    const mentioned = statements.flatMap((statement, place) =>
        place > first && mentions(statement, name) ? [place] : [],
    );
    const last = mentioned.at(-1);
    if (last === undefined) {
        return;
    }
    const declaration = statements[first];
    const use = statements[last];
    const between = statements.slice(first + 1, last);
    if (isUse(use, name) && lua.isVariableDeclarationStatement(use)) {
        const [variable] = use.left;
        if (!mentions(between, variable.text)) {
            rename(between, name, variable);
            statements[first] = { ...use, right: declaration.right };
            statements.splice(last, 1);
        }
    } else if (isUse(use, name) && declaration.right === undefined && between.length === 1 && canTakeOver(use)) {
        const [decision] = between;
        if (endsIn(decision, name)) {
            replaceEnds(decision, use);
            decision.leadingComments = use.leadingComments;
            statements.splice(first, last - first + 1, decision);
        }
    } else if (isAlias(declaration, name, statements.slice(first + 1), variables)) {
        rename(statements, name, declaration.right[0]);
        statements.splice(first, 1);
    } else if (canMove(declaration, between, use, name, variables)) {
        const [value] = declaration.right;
        rewrite(use, (node) => (isNamed(node, name) ? value : undefined));
        statements.splice(first, 1);
    }
}

/** `local x = temporary`, `x = temporary` or `return temporary`. */
function isUse(statement, name) {
    const values = lua.isReturnStatement(statement) ? statement.expressions : valuesOf(statement);
    return values.length === 1 && isNamed(values[0], name);
}

function valuesOf(statement) {
    const isAssignment = lua.isVariableDeclarationStatement(statement) || lua.isAssignmentStatement(statement);
    return isAssignment && statement.left.length === 1 ? (statement.right ?? []) : [];
}

function isNamed(node, name) {
    return lua.isIdentifier(node) && node.text === name;
}

function mentions(trees, name) {
    return nodes(trees, (node) => isNamed(node, name)).length > 0;
}

function rename(trees, name, variable) {
    walk(trees, (node) => {
        if (isNamed(node, name)) {
            Object.assign(node, { text: variable.text, symbolId: variable.symbolId });
        }
    });
}

/** Whether the target of an assignment is the same at each place in the decision. */
function canTakeOver(use) {
    if (lua.isReturnStatement(use)) {
        return true;
    }
    const [target] = use.left;
    const isField = lua.isTableIndexExpression(target) && lua.isIdentifier(target.table);
    return (
        lua.isIdentifier(target) || (isField && (lua.isStringLiteral(target.index) || lua.isIdentifier(target.index)))
    );
}

/** Whether each branch of an `if` ends with an assignment to the temporary, and does not use it otherwise. */
function endsIn(decision, name) {
    const ends = endsOf(decision);
    const uses = nodes(decision, (node) => isNamed(node, name)).length;
    return ends.length === uses && ends.every((end) => end !== undefined && assigns(end.statement, name));
}

function assigns(statement, name) {
    return lua.isAssignmentStatement(statement) && valuesOf(statement).length === 1 && isNamed(statement.left[0], name);
}

/** Returns the last statement of each branch of an `if`. Undefined for an empty branch. */
function endsOf(decision) {
    if (!lua.isIfStatement(decision)) {
        return [undefined];
    }
    return [decision.ifBlock, decision.elseBlock].flatMap((branch) => {
        if (branch === undefined) {
            return [undefined];
        }
        if (lua.isIfStatement(branch)) {
            return endsOf(branch);
        }
        const statement = branch.statements.at(-1);
        if (statement !== undefined && lua.isIfStatement(statement)) {
            return endsOf(statement);
        }
        return [statement && { statement, branch }];
    });
}

function replaceEnds(decision, use) {
    for (const { statement, branch } of endsOf(decision)) {
        const end = lua.setNodePosition({ ...copy(use), leadingComments: undefined }, statement);
        if (lua.isReturnStatement(end)) {
            end.expressions = statement.right;
        } else {
            end.right = statement.right;
        }
        branch.statements[branch.statements.length - 1] = end;
    }
}

/** Whether a temporary is another name for a variable, and both keep their value. */
function isAlias({ right }, name, rest, variables) {
    const [value, ...others] = right ?? [];
    const isVariable = value !== undefined && others.length === 0 && lua.isIdentifier(value);
    return (
        isVariable &&
        !variables.has(value.text) &&
        !changes(rest, name) &&
        !rest.some((statement) => declares(statement, value.text))
    );
}

function changes(statements, name) {
    const isChange = (node) => lua.isAssignmentStatement(node) && node.left.some((target) => isNamed(target, name));
    return nodes(statements, isChange).length > 0;
}

/** Whether a temporary has the same value where it is used, and is used once. */
function canMove(declaration, between, use, name, variables) {
    const [value] = declaration.right ?? [];
    const heads = headsOf(use);
    const isOnce = nodes(heads, (node) => isNamed(node, name)).length === 1 && !mentions(between, name);
    if (value === undefined || !isOnce || nodes(use, (node) => isNamed(node, name)).length !== 1) {
        return false;
    }
    const names = nodes(value, lua.isIdentifier).map(({ text }) => text);
    const isFixed = names.every(
        (other) => !variables.has(other) && !between.some((statement) => declares(statement, other)),
    );
    const isPure = nodes(value, (node) => isCall(node) || lua.isFunctionExpression(node)).length === 0;
    const reads = nodes(value, lua.isTableIndexExpression).length > 0;
    const isQuiet =
        between.every(isHarmless) && heads.every((head) => nodes(head, isCall).every((call) => call === head));
    return isFixed && isPure && (!reads || isQuiet);
}

/** Returns the expressions that a statement evaluates once and first. */
function headsOf(statement) {
    if (lua.isIfStatement(statement)) {
        return [statement.condition];
    }
    if (lua.isExpressionStatement(statement)) {
        return [statement.expression];
    }
    if (lua.isReturnStatement(statement)) {
        return statement.expressions;
    }
    const isAssignment = lua.isVariableDeclarationStatement(statement) || lua.isAssignmentStatement(statement);
    return isAssignment ? (statement.right ?? []) : [];
}

function declares(statement, name) {
    return nodes(statement, (node) => declaredBy(node).some((variable) => variable.text === name)).length > 0;
}

/** Returns the variables that a node declares. */
function declaredBy(node) {
    if (lua.isVariableDeclarationStatement(node)) {
        return node.left;
    }
    if (lua.isForStatement(node)) {
        return [node.controlVariable];
    }
    return (lua.isFunctionExpression(node) ? node.params : lua.isForInStatement(node) ? node.names : undefined) ?? [];
}

function isCall(node) {
    return lua.isCallExpression(node) || lua.isMethodCallExpression(node);
}

/** Whether a statement changes nothing but variables. */
function isHarmless(statement) {
    const isHarm = (node) =>
        isCall(node) || (lua.isAssignmentStatement(node) && !node.left.every((target) => lua.isIdentifier(target)));
    return nodes(statement, isHarm).length === 0;
}

/** A newly declared variable is nil already. */
function dropNil(declaration, decision) {
    const isEmpty = lua.isVariableDeclarationStatement(declaration) && declaration.right === undefined;
    if (!isEmpty || declaration.left.length !== 1 || decision === undefined || !lua.isIfStatement(decision)) {
        return;
    }
    const name = declaration.left[0].text;
    const { condition, ifBlock, elseBlock } = decision;
    if (isNil(ifBlock, name) && elseBlock !== undefined && lua.isBlock(elseBlock) && negated(condition) !== undefined) {
        Object.assign(decision, { condition: negated(condition), ifBlock: elseBlock, elseBlock: undefined });
    } else if (elseBlock !== undefined && isNil(elseBlock, name)) {
        decision.elseBlock = undefined;
    }
}

function isNil(block, name) {
    const [statement, ...others] = lua.isBlock(block) ? block.statements : [];
    const isOnly = statement !== undefined && others.length === 0;
    return isOnly && assigns(statement, name) && lua.isNilLiteral(statement.right[0]);
}

module.exports = { declaredBy, simplify };
