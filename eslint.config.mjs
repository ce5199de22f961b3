import { defineConfig } from "eslint/config";
import tseslint from "typescript-eslint";

// TypeScript that compiles to unreadable or slow Lua.
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

/** The folders of src/, from the top down: a file imports from its own folder and from those in rows below it. */
const layers = [
    ["client", "room", "admin"],
    ["follow"],
    ["occupancy"],
    ["archive"],
    ["push"],
    ["settings"],
    ["send"],
    ["state"],
];

/** Forbids imports of a folder from those in its own row and in the rows above it. */
const directions = layers.flatMap((row, depth) =>
    row.map((folder) => {
        const above = layers.slice(0, depth + 1).flat();
        const group = ["**/main", ...above.filter((other) => other !== folder).map((other) => `../${other}/*`)];
        const message = "An import goes to a folder below (see CONTRIBUTING.md), never to one above or beside it.";
        const patterns = [{ group, message }];
        return { files: [`src/${folder}/*.ts`], rules: { "no-restricted-imports": ["error", { patterns }] } };
    }),
);

const common = {
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    languageOptions: { parserOptions: { project: ["tsconfig.json", "e2e/tsconfig.json"] } },
};

export default defineConfig(
    { ignores: [".build"] },
    {
        files: ["src/**/*.ts"],
        ignores: ["src/types/**"],
        ...common,
        rules: {
            "no-restricted-syntax": ["error", ...unwelcome],
            "@typescript-eslint/consistent-type-imports": "error",
            // Takes seconds, and there are no classes here.
            "@typescript-eslint/no-unsafe-class-instance-assignment": "off",
            "@typescript-eslint/no-invalid-void-type": ["error", { allowAsThisParameter: true }],
            "@typescript-eslint/prefer-optional-chain": "error",
            "@typescript-eslint/strict-boolean-expressions": [
                "error",
                { allowString: false, allowNumber: false, allowNullableBoolean: true },
            ],
        },
    },
    ...directions,
    {
        files: ["src/*.ts"],
        ignores: ["src/main.ts"],
        rules: { "no-restricted-imports": ["error", { patterns: ["./*/*"] }] },
    },
    {
        files: ["e2e/**/*.ts", "demo/**/*.ts", "bench/**/*.ts"],
        ...common,
        rules: {
            // These two take many seconds. There are no enums here, and few classes.
            "@typescript-eslint/no-unsafe-class-instance-assignment": "off",
            "@typescript-eslint/no-unsafe-enum-assignment": "off",
            "@typescript-eslint/consistent-type-imports": "error",
            // The promises of suites and tests belong to node:test.
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
