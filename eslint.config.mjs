import { defineConfig } from "eslint/config";
import tseslint from "typescript-eslint";

// TypeScript that compiles to Lua nobody wants to read, or that runs slowly there.
const unwelcome = [
    ["SwitchStatement", "Write an if chain or look the case up in a LuaMap."],
    ["TryStatement", "Use pcall()."],
    ["ThrowStatement", "Use error()."],
    ["ContinueStatement", "Lua 5.1 has no goto; turn the condition round."],
    ["ForInStatement", "Iterate a LuaMap, or pairs()."],
    ["ForStatement", "Use for..of, or $range()."],
    ["UnaryExpression[operator='delete']", "Use LuaMap.delete(), or assign undefined."],
    ["BinaryExpression[operator='in']", "Use LuaMap.has(), or compare with undefined."],
    ["SpreadElement", "Build the table by hand; LuaMultiReturn values may be destructured instead."],
    ["RestElement[parent.type='ObjectPattern']", "Name the fields."],
    ["MethodDefinition[kind=/^[gs]et$/]", "Accessors make every access to the class slow."],
    ["PropertyDefinition > ArrowFunctionExpression", "Gets a self parameter; use a plain function."],
    [
        "NewExpression[callee.name=/^(Map|Set|WeakMap|Date|Error|Promise|RegExp)$/]",
        "Use LuaMap, LuaSet, os.time(), error().",
    ],
    [
        "CallExpression[callee.object.name='module'][callee.property.name=/^hook/] > MemberExpression.arguments",
        "Pass a plain function.",
    ],
].map(([selector, message]) => ({ selector, message }));

const common = {
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    languageOptions: { parserOptions: { projectService: true } },
};

export default defineConfig(
    {
        files: ["src/**/*.ts"],
        ignores: ["src/types/**"],
        ...common,
        rules: {
            "no-restricted-syntax": ["error", ...unwelcome],
            "@typescript-eslint/consistent-type-imports": "error",
            "@typescript-eslint/no-invalid-void-type": ["error", { allowAsThisParameter: true }],
            "@typescript-eslint/prefer-optional-chain": "off",
            "@typescript-eslint/strict-boolean-expressions": ["error", { allowString: false, allowNumber: false }],
        },
    },
    {
        files: ["e2e/**/*.ts", "demo/**/*.ts", "bench/**/*.ts"],
        ...common,
        rules: {
            "@typescript-eslint/consistent-type-imports": "error",
            // node:test registers suites and tests by calls whose promises it keeps itself.
            "@typescript-eslint/no-floating-promises": [
                "error",
                {
                    allowForKnownSafeCalls: [
                        { from: "package", name: ["test", "describe", "it", "suite"], package: "node:test" },
                    ],
                },
            ],
            "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
        },
    },
);
