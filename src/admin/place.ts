// Imported before everything else: where there are no users, nothing is to be opened, hooked or announced.

if (module.get_host_type() !== "local") {
    const here = module.host === "*" ? "the whole server" : `the component ${module.host}`;
    error(
        `mod_minimix is for hosts that have users, not for ${here}: take it out there and put "minimix" into ` +
            "modules_enabled of a VirtualHost, or into the one at the top of the configuration, which they inherit",
        0,
    );
}
