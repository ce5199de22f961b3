// Output for the reader: two columns in a terminal of 100 characters.
const labelWidth = 9;
const columnWidth = 42;
const devices = ["phone", "laptop", "desk"];

const isColoured = process.stdout.isTTY && !process.env.NO_COLOR;

const bold = style(1);
const dim = style(2);
const red = style(31);
const green = style(32);

function style(code: number): (text: string) => string {
    return (text) => (isColoured ? `\x1b[${code}m${text}\x1b[0m` : text);
}

export function text(line: string): void {
    console.log(line);
}

export function heading(line: string): void {
    console.log(bold(line));
}

export function columns(left: string, right: string): void {
    console.log(dim(line("", left, right)));
}

export function check(line: string): void {
    console.log(`${green("✓")}  ${line}`);
}

export function failure(line: string): void {
    console.error(`${red("✗")}  ${line}`);
}

/** What happened without and with the module. */
export function row(label: string, [plain = [], minimix = []]: string[][]): void {
    const arrow = devices.includes(label) ? "← " : "";
    const left = cell(plain, arrow);
    const right = cell(minimix, arrow);
    for (let i = 0; i < Math.max(left.length, right.length); i++) {
        console.log(line(i === 0 ? label : "", left[i] ?? "", right[i] ?? ""));
    }
}

function line(label: string, left: string, right: string): string {
    return `   ${label.padEnd(labelWidth)} ${left.padEnd(columnWidth)}  ${right}`.trimEnd();
}

/** Wraps the items into as few lines as possible. */
function cell(items: string[], arrow: string): string[] {
    const lines: string[] = [];
    for (const item of items) {
        const longer = `${lines.at(-1) ?? ""}; ${item}`;
        if (lines.length > 0 && longer.length <= columnWidth) {
            lines[lines.length - 1] = longer;
        } else {
            lines.push(`${lines.length === 0 ? arrow : " ".repeat(arrow.length)}${item}`);
        }
    }
    return items.length === 0 ? ["(nothing)"] : lines;
}
