import { resource } from "../options";

/** `pre-resource-bind`: no client may take the resource that is the account's in its rooms; it is given a random one. */
export function onResourceBind(event: { resource: string | undefined }): undefined {
    if (event.resource === resource) {
        event.resource = undefined;
    }
}
