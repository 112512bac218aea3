/** The lines of a bill: quantities times unit prices, and what an account has free of them. */
import type { Requests } from './cost-counts.ts';
import { ALLOWANCES, PRICES, type PriceName } from './cost-prices.ts';
import type { Architecture } from './cost-time.ts';

export type Line = Readonly<{
  service: string;
  purpose: string;
  quantity: number;
  price: PriceName;
  dollars: number;
}>;

export const GB = 1e9;
/** What Lambda gives without a price. */
const SCRATCH_FREE_MB = 512;

export const lineOf = (
  service: string,
  purpose: string,
  quantity: number,
  price: PriceName,
): Line => ({
  service,
  purpose,
  quantity,
  price,
  dollars: (quantity * PRICES[price].dollars) / PRICES[price].per,
});

/** Lines in the order in which they come; what costs nothing is left out. */
export class Bill {
  readonly lines: Line[] = [];
  readonly #seconds: PriceName;

  constructor(architecture: Architecture) {
    this.#seconds = architecture === 'arm64' ? 'lambdaArm' : 'lambdaX86';
  }

  get total(): number {
    return this.lines.reduce((sum, { dollars }) => sum + dollars, 0);
  }

  /** What has the same purpose and price is one line. */
  add(service: string, purpose: string, quantity: number, price: PriceName): void {
    if (quantity <= 0) return;
    const same = this.lines.findIndex((line) => line.purpose === purpose && line.price === price);
    const before = this.lines[same];
    if (before === undefined) this.lines.push(lineOf(service, purpose, quantity, price));
    else this.lines[same] = lineOf(service, purpose, before.quantity + quantity, price);
  }

  /** `count` invocations of `ms` each. */
  invoke(purpose: string, count: number, ms: number, memoryMb: number, scratchMb = 0): void {
    this.add('Lambda', `${purpose}: invocations`, count, 'lambdaRequest');
    this.spend(purpose, count, ms, memoryMb, scratchMb);
  }

  /** Time within invocations that are charged elsewhere. */
  spend(purpose: string, count: number, ms: number, memoryMb: number, scratchMb: number): void {
    const seconds = (count * Math.ceil(ms)) / 1000;
    const scratch = Math.max(0, scratchMb - SCRATCH_FREE_MB) / 1024;
    this.add('Lambda', `${purpose}: time`, (seconds * memoryMb) / 1024, this.#seconds);
    this.add('Lambda', `${purpose}: /tmp`, seconds * scratch, 'lambdaScratch');
  }

  /** What `count` acts of that kind ask of S3 and DynamoDB; the stream is charged by its own lines. */
  ask(purpose: string, count: number, each: Requests): void {
    this.add('S3', `${purpose}: PUT and LIST`, count * each.s3Writes, 's3Write');
    this.add('S3', `${purpose}: GET`, count * each.s3Reads, 's3Read');
    const reads = each.readUnits + each.globalReadUnits;
    this.add('DynamoDB', `${purpose}: reads`, count * reads, 'tableRead');
    this.add('DynamoDB', `${purpose}: writes`, count * each.writeUnits, 'tableWrite');
  }

  log(purpose: string, count: number, bytes: number): void {
    this.add('CloudWatch', `${purpose}: log`, (count * bytes) / GB, 'logs');
  }
}

/** What an allowance takes off. */
export type Saving = Readonly<{ name: PriceName; dollars: number }>;

export function allowancesOf(lines: readonly Line[]): readonly Saving[] {
  const used = (price: PriceName): number =>
    lines.reduce((sum, line) => (line.price === price ? sum + line.quantity : sum), 0);
  const free = (name: PriceName, quantity: number) => ({
    name,
    dollars: (Math.min(used(name), quantity) * PRICES[name].dollars) / PRICES[name].per,
  });
  const { lambdaGbSeconds, ...others } = ALLOWANCES;
  const counted = Object.entries(others).map(([name, quantity]) =>
    // The keys of the allowances, but for the one taken out, are prices.
    free(name as PriceName, quantity),
  );
  const seconds = free(used('lambdaArm') > 0 ? 'lambdaArm' : 'lambdaX86', lambdaGbSeconds);
  return [...counted, seconds].filter(({ dollars }) => dollars > 0);
}
