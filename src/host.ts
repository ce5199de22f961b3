// The virtual host that the module serves.

/** Whether another module is loaded on this host. */
export function hasModule(name: string): boolean {
    return prosody.hosts.get(module.host)?.modules.has(name) === true;
}
