// Refuses to load on hosts without users. Imported first, so that no store is opened and no event hooked there.

if (module.get_host_type() !== "local") {
    const here = module.host === "*" ? "the whole server" : `the component ${module.host}`;
    error(
        `mod_minimix is for hosts that have users, not for ${here}: remove it there and add "minimix" to ` +
            "modules_enabled of a VirtualHost, or to the global modules_enabled",
        0,
    );
}
