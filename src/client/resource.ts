import { resource } from "../options";

/** `pre-resource-bind`: gives a client a random resource if it asks for the account's resource in rooms. */
export function onResourceBind(event: { resource: string | undefined }): undefined {
    if (event.resource === resource) {
        event.resource = undefined;
    }
}
