// TSTL plugin: names the origin of the bundle in its (otherwise empty) first line; no line moves, so the source map holds.
const plugin = {
    beforeEmit(_program, _options, _emitHost, files) {
        for (const file of files) {
            file.code = file.code
                .replace(/^\n/, "-- mod_minimix: compiled from TypeScript by TypeScriptToLua; edit src/ instead.\n")
                .replace(/[ \t]+$/gm, "")
                .replace(/\n?$/, "\n");
        }
    },
};
module.exports = plugin;
