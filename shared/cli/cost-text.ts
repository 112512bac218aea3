/** A month's costs as text for a terminal, and as plain values for `--json`. */
import Table from 'cli-table3';
import type { JsonObject } from '#base/json.ts';
import type { Line } from './cost-bill.ts';
import type { Month, Workload } from './cost-model.ts';
import { type Peer, peersOf } from './cost-peers.ts';
import { PRICES, PRICES_OF, type PriceName } from './cost-prices.ts';

/** Columns apart by two spaces and no lines: it is copied into documents. */
const PLAIN = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: ' ',
} as const;

export function costText(workload: Workload, month: Month): string {
  return [
    tableOf(
      ['service', 'for', 'quantity', 'price', 'dollars'],
      [
        ...month.lines.map(cells),
        ['', 'total a month', '', '', money(month.total)],
        ['', 'if nobody else uses the free allowances', '', '', money(month.afterAllowances)],
      ],
    ),
    ...facts(workload, month),
    ...month.apart.map(({ purpose, dollars }) => `Apart: ${purpose}: $${money(dollars)}.`),
    freeText(month),
    `Prices of ${PRICES_OF}.`,
    '',
    tableOf(['elsewhere', 'dollars', ''], peersOf(workload).map(peerCells)),
  ].join('\n');
}

export const costJson = (workload: Workload, month: Month): JsonObject => ({
  prices: PRICES_OF,
  lines: month.lines.map(lineJson),
  apart: month.apart.map(lineJson),
  total: month.total,
  allowances: month.allowances.map((allowance) => ({ ...allowance })),
  afterAllowances: month.afterAllowances,
  facts: { ...month.facts },
  peers: peersOf(workload).map(({ dollars, ...peer }) => ({ ...peer, dollars: dollars ?? null })),
});

const lineJson = ({ price, ...line }: Line): JsonObject => ({
  ...line,
  unit: PRICES[price].unit,
  unitDollars: PRICES[price].dollars / PRICES[price].per,
  source: PRICES[price].source,
  seen: PRICES[price].seen,
});

const cells = ({ service, purpose, quantity, price, dollars }: Line): string[] => [
  service,
  purpose,
  amount(quantity),
  priceText(price),
  money(dollars),
];

const peerCells = ({ name, dollars, note }: Peer): string[] => [
  name,
  dollars === undefined ? '?' : money(dollars),
  note,
];

function tableOf(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const table = new Table({
    head: [...head],
    chars: PLAIN,
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 1 },
    colAligns: head.map((name) => (/quantity|dollars/.test(name) ? 'right' : 'left')),
  });
  for (const row of rows) table.push([...row]);
  return table
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n');
}

/** As the price lists write it: thousandths of a cent are given for a million. */
function priceText(name: PriceName): string {
  const { dollars, per, unit } = PRICES[name];
  const many = per === 1 ? '' : per === 1_000_000 ? 'million ' : `${amount(per)} `;
  return `$${dollars} / ${many}${unit}`;
}

const money = (dollars: number): string =>
  dollars > 0 && dollars < 0.005
    ? '<0.01'
    : dollars.toLocaleString('en-US', { minimumFractionDigits: 2, maximumFractionDigits: 2 });

const amount = (quantity: number): string =>
  quantity > 0 && quantity < 0.001
    ? '<0.001'
    : quantity.toLocaleString('en-US', { maximumFractionDigits: quantity < 100 ? 3 : 0 });

function facts({ queriesPerMonth, waits, memoryMb: given }: Workload, month: Month): string[] {
  const { facts: known } = month;
  if (queriesPerMonth === 0) return [];
  const { segmentsPerSearch, searchEngineMs, searchMs, memoryMb, memoryNeededMb, workers } = known;
  const lines = [
    `A search: ${segmentsPerSearch} segment(s), ${searchEngineMs.toFixed(1)} ms of the engine and ${(searchMs - searchEngineMs).toFixed(0)} ms of waiting (assumed: ${waits.tableMs} ms for a read of DynamoDB).`,
    `Graphs need a function of ${amount(memoryNeededMb)} MB; reckoned with ${amount(memoryMb)} MB.`,
    `A million queries: $${money(known.dollarsPerMillionQueries)}, and $${money(known.dollarsOfQuerying)} a month for being ready.`,
  ];
  if (workers > 1) {
    lines.push(
      `Not built: graphs of more than one function's memory. Reckoned as ${workers} functions for each search.`,
    );
  } else if (given !== undefined && given < memoryNeededMb) {
    lines.push('With less memory than that some segments are scanned, which takes far longer.');
  }
  return lines;
}

const freeText = ({ allowances }: Month): string =>
  allowances.length === 0
    ? 'No free allowance of an account applies.'
    : `Free for an account every month, not deducted above: ${allowances
        .map(({ name, dollars }) => `${PRICES[name].unit} $${money(dollars)}`)
        .join(', ')}.`;
