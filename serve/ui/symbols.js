// The table of all symbols; its rows are updated in place.
// What is stale, or was answered too long ago, is greyed and shows its age.

import { ageOf, auditShare, get, isStale, last, stateOf } from "./api.js";
import { $, UNKNOWN, duration, fillBalance, fixed, learnDecimals, price, put } from "./format.js";

const byName = new Intl.Collator("en", { numeric: true });

const rows = new Map(); // "exchange:symbol" -> { row, cells, book }
const sort = { column: 0, descending: false };

// Each column: its title, what it sorts by, and how it fills a cell.
const columns = [
  { title: "Symbol", left: true, value: (b) => b.symbol, fill: fillName },
  { title: "Exchange", left: true, value: (b) => b.exchange, fill: text((b) => b.exchange, "quiet left") },
  { title: "State", left: true, value: stateOf, fill: fillState },
  { title: "Bid", value: (b) => b.best_bid, fill: text((b, key) => price(b.best_bid, key)) },
  { title: "Ask", value: (b) => b.best_ask, fill: text((b, key) => price(b.best_ask, key)) },
  { title: "Mid", value: (b) => b.mid, fill: text((b, key) => price(b.mid, key, 1)) },
  { title: "Spread, bps", value: (b) => b.spread_bps, fill: text((b) => fixed(b.spread_bps, 3)) },
  { title: "Imbalance", hint: "Bids over asks in the first five levels, -1 to 1",
    value: (b) => b.imbalance_5, fill: fillImbalance },
  { title: "Funding", hint: "Rate of the coming funding", value: (b) => b.funding_rate, fill: fillFunding },
  { title: "Gaps", hint: "Sequence gaps found; each one rebuilt the book", value: (b) => b.gaps,
    fill: text((b) => fixed(b.gaps, 0), "quiet") },
  { title: "Audit", hint: "Share of comparisons in which our top of book equalled the exchange's own",
    value: auditShare, fill: fillAudit },
  { title: "Age", value: ageOf, fill: text((b) => duration(ageOf(b)), "age") },
];

function text(show, className = "") {
  return (cell, book, key) => {
    cell.className = className;
    put(cell, show(book, key));
  };
}

function fillName(cell, book) {
  let link = cell.firstElementChild;
  if (!link) {
    cell.className = "left";
    cell.scope = "row";
    link = cell.appendChild(document.createElement("a"));
    link.href = `#${book.exchange}:${book.symbol}`;
    link.title = "Its measures";
  }
  put(link, book.symbol);
}

function fillImbalance(cell, book) {
  fillBalance(cell, book.imbalance_5);
}

function fillFunding(cell, book) {
  const rate = book.funding_rate;
  put(cell, rate === null ? UNKNOWN : `${fixed(rate * 100, 4)} %`);
  const left = book.next_funding_ts === null ? null : book.next_funding_ts / 1e6 - Date.now();
  cell.title = left > 0 ? `paid in ${duration(left)}` : "";
}

function fillAudit(cell, book) {
  const share = auditShare(book);
  const different = book.audit_different ?? 0;
  cell.className = different ? "alarm" : "quiet";
  put(cell, share === null ? UNKNOWN : different ? `${fixed(different, 0)} differ` : "equal");
  cell.title = share === null ? "" : `${fixed(book.audit_equal, 0)} equal, ${fixed(different, 0)} different`;
}

function fillState(cell, book) {
  if (!cell.firstElementChild) {
    cell.className = "left";
    cell.appendChild(document.createElement("span")).className = "state";
  }
  put(cell.firstElementChild, stateOf(book));
  cell.title = (last.failure ?? book.stale_reason) || "";
}

export function drawHead() {
  columns.forEach((column, index) => {
    const cell = $("head").appendChild(document.createElement("th"));
    cell.scope = "col";
    if (column.left) cell.className = "left";
    if (column.hint) cell.title = column.hint;
    const button = cell.appendChild(document.createElement("button"));
    button.type = "button";
    button.textContent = column.title;
    button.addEventListener("click", () => {
      sort.descending = sort.column === index && !sort.descending;
      sort.column = index;
      order();
    });
  });
}

function rowOf(key) {
  let entry = rows.get(key);
  if (!entry) {
    const row = document.createElement("tr");
    row.addEventListener("click", () => {
      if (!getSelection().toString()) location.hash = key;
    });
    const cells = columns.map((_, i) => row.appendChild(document.createElement(i ? "td" : "th")));
    entry = { row, cells };
    rows.set(key, entry);
  }
  return entry;
}

function take(books) {
  const present = new Set();
  for (const book of books) {
    const key = `${book.exchange}:${book.symbol}`;
    present.add(key);
    learnDecimals(book, key);
    rowOf(key).book = book;
  }
  for (const [key, { row }] of rows) {
    if (present.has(key)) continue;
    row.remove();
    rows.delete(key);
  }
}

export function draw() {
  for (const [key, { row, cells, book }] of rows) {
    row.classList.toggle("stale", isStale(book));
    columns.forEach((column, index) => column.fill(cells[index], book, key));
  }
  drawTotals([...rows.values()].map((entry) => entry.book));
  order();
}

function drawTotals(books) {
  const sum = (name) => books.reduce((total, book) => total + (book[name] ?? 0), 0);
  const fresh = books.filter((book) => !isStale(book)).length;
  const ages = books.map(ageOf).filter((age) => age !== null);
  put($("fresh"), books.length ? `${fresh} of ${books.length}` : UNKNOWN);
  $("fresh").className = fresh < books.length ? "alarm" : "";
  put($("oldest"), ages.length ? duration(Math.max(...ages)) : UNKNOWN);
  put($("messages"), books.length ? fixed(sum("messages"), 0) : UNKNOWN);
  put($("gaps"), books.length ? fixed(sum("gaps"), 0) : UNKNOWN);
  put($("differences"), books.length ? fixed(sum("audit_different"), 0) : UNKNOWN);
  $("differences").className = sum("audit_different") ? "alarm" : "";
}

function compare(a, b) {
  const { value } = columns[sort.column];
  const [x, y] = [value(a.book), value(b.book)];
  const ties = byName.compare(a.book.symbol, b.book.symbol) || byName.compare(a.book.exchange, b.book.exchange);
  const unknown = (x === null || x === undefined) - (y === null || y === undefined);
  if (unknown) return unknown; // what is unknown comes last, whichever way
  const ordered = typeof x === "string" ? byName.compare(x, y) : (x ?? 0) - (y ?? 0);
  return (sort.descending ? -ordered : ordered) || ties;
}

export function order() {
  const wanted = $("filter").value.toUpperCase().replace(/[^A-Z0-9]/g, "");
  const body = $("rows");
  const sorted = [...rows.values()].sort(compare);
  sorted.forEach(({ row, book }, index) => {
    const name = `${book.exchange}${book.symbol}`.toUpperCase().replace(/[^A-Z0-9]/g, "");
    row.hidden = !name.includes(wanted);
    // Moving a row only if it must keeps the keyboard's focus where it is.
    if (body.children[index] !== row) body.insertBefore(row, body.children[index] ?? null);
  });
  [...$("head").children].forEach((cell, index) => {
    if (index !== sort.column) cell.removeAttribute("aria-sort");
    else cell.setAttribute("aria-sort", sort.descending ? "descending" : "ascending");
  });
  const shown = sorted.some(({ row }) => !row.hidden);
  $("empty").hidden = shown || (last.failure !== null && last.at === null);
  if (last.at !== null) {
    put($("empty"), rows.size ? "No symbol matches the filter." : "No symbol is watched yet.");
  }
}

// Coming back from a symbol, the keyboard goes on where it was.
export function focus(key) {
  rows.get(key)?.cells[0].firstElementChild.focus();
}

export async function load() {
  take((await get("/v1/symbols")).symbols);
}
