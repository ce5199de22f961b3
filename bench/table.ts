// The results, as one table.
import { median } from "./measure.ts";

export interface Row {
    label: string;
    unit: string;
    /** The reference of the comparison. It is plain MUC unless the label names another one. */
    plain: number;
    module: number;
    ratio: number;
    /** The highest accepted ratio, or the highest figure if the target is one. */
    target: number | undefined;
    absolute: boolean;
}

/** Returns the medians of figures from the same rounds, and the median of the rounds' ratios. */
export function compare(label: string, unit: string, plain: number[], module: number[], target?: number): Row {
    const ratios = module.map((value, round) => value / (plain[round] ?? Number.NaN));
    return {
        label,
        unit,
        plain: median(plain),
        module: median(module),
        ratio: median(ratios),
        target,
        absolute: false,
    };
}

/** A figure without a counterpart in plain MUC. */
export function figureOf(label: string, unit: string, value: number, target?: number): Row {
    return { label, unit, plain: 0, module: value, ratio: 0, target, absolute: true };
}

export function isOver({ module, ratio, target, absolute }: Row): boolean {
    return target !== undefined && (absolute ? module : ratio) > target;
}

export function format(rows: readonly Row[]): string {
    const header = ["case", "unit", "plain", "module", "ratio", "target", ""];
    const cells = [header, ...rows.map(rowCells)];
    const widths = header.map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)));
    return cells.map((row) => rowText(row, widths)).join("\n");
}

function rowCells(row: Row): string[] {
    const { label, unit, plain, module, ratio, target } = row;
    const verdict = target === undefined ? "" : isOver(row) ? "over" : "ok";
    return [label, unit, figure(plain), figure(module), ratio.toFixed(2), targetText(row), verdict];
}

function targetText({ target, absolute }: Row): string {
    if (target === undefined) {
        return "";
    }
    return absolute ? figure(target) : target.toFixed(2);
}

function figure(value: number): string {
    return value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0);
}

/** Text is aligned left, figures right. */
function rowText(row: readonly string[], widths: readonly number[]): string {
    const columns = row.map((text, column) => {
        const width = widths[column] ?? 0;
        return column < 2 ? text.padEnd(width) : text.padStart(width);
    });
    return columns.join("  ").trimEnd();
}
