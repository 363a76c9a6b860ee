// The table of symbols: asks /v1/symbols once a second and updates the rows in place.
// What is stale, or was answered too long ago, is greyed and shows its age.

const POLL_MS = 1000;
const TIMEOUT_MS = 3000;
const UNKNOWN = "–";

const $ = (id) => document.getElementById(id);
const byName = new Intl.Collator("en", { numeric: true });

const rows = new Map(); // "exchange:symbol" -> { row, cells, book }
const decimalsSeen = new Map(); // "exchange:symbol" -> digits that its prices need
const sort = { column: 0, descending: false };
const last = { at: null, failure: null };

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

function put(node, value) {
  if (node.textContent !== value) node.textContent = value;
}

function fixed(number, digits) {
  if (number === null || number === undefined) return UNKNOWN;
  const options = { minimumFractionDigits: digits, maximumFractionDigits: digits };
  return number.toLocaleString("en-US", options).replace("-", "−");
}

// A price shows the digits of its tick; a mid may lie half a tick between, and shows one more.
function price(number, key, more = 0) {
  return fixed(number, Math.min(12, (decimalsSeen.get(key) ?? 0) + more));
}

function learnDecimals(book, key) {
  for (const number of [book.tick_size, book.best_bid, book.best_ask]) {
    if (number === null || number === undefined) continue;
    const [digits, exponent] = String(number).split("e");
    const decimals = (digits.split(".")[1] ?? "").length - Number(exponent ?? 0);
    decimalsSeen.set(key, Math.max(decimals, decimalsSeen.get(key) ?? 0));
  }
}

function duration(ms) {
  if (ms === null) return UNKNOWN;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  const minutes = Math.floor(ms / 60_000);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

// While the API is silent the last answer grows old in front of the reader.
function ageOf(book) {
  if (book.age_ms === null) return null;
  return last.failure ? book.age_ms + (performance.now() - last.at) : book.age_ms;
}

const isStale = (book) => book.stale || last.failure !== null;

function stateOf(book) {
  if (last.failure) return "unknown";
  return book.stale && book.status === "synced" ? "stale" : book.status;
}

function auditShare(book) {
  const compared = (book.audit_equal ?? 0) + (book.audit_different ?? 0);
  return compared ? book.audit_equal / compared : null;
}

function fillName(cell, book) {
  let link = cell.firstElementChild;
  if (!link) {
    cell.className = "left";
    cell.scope = "row";
    link = cell.appendChild(document.createElement("a"));
    const exchange = encodeURIComponent(book.exchange);
    link.href = `/v1/symbols/${encodeURIComponent(book.symbol)}/book?depth=20&exchange=${exchange}`;
    link.title = "The book as JSON";
  }
  put(link, book.symbol);
}

function fillImbalance(cell, book) {
  if (!cell.firstElementChild) {
    const meter = cell.appendChild(document.createElement("span"));
    meter.appendChild(document.createElement("i"));
    cell.appendChild(document.createElement("span")).className = "number";
  }
  const [meter, number] = cell.children;
  const value = book.imbalance_5;
  meter.className = value < 0 ? "meter asks" : "meter";
  meter.firstElementChild.style.width = `${Math.min(1, Math.abs(value ?? 0)) * 50}%`;
  put(number, (value > 0 ? "+" : "") + fixed(value, 2));
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

function drawHead() {
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

function draw() {
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

function order() {
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

function drawBanner() {
  $("banner").hidden = last.failure === null;
  if (last.failure === null) return;
  const since = last.at === null ? "" : ` Last answer ${duration(performance.now() - last.at)} ago.`;
  put($("banner"), `${last.failure}${since} Trying again every second.`);
}

async function ask() {
  try {
    const answer = await fetch("/v1/symbols", { signal: AbortSignal.timeout(TIMEOUT_MS) });
    const body = await answer.json();
    if (!answer.ok) throw new Error(body.detail);
    last.at = performance.now();
    last.failure = null;
    take(body.symbols);
  } catch (error) {
    // fetch tells a network failure by TypeError, a late answer by TimeoutError, and a proxy
    // that answers without JSON by SyntaxError; only our own problems carry a sentence.
    const ours = error.constructor === Error && error.message;
    last.failure = ours || "The API cannot be reached.";
  }
  drawBanner();
  draw();
}

async function poll() {
  const started = performance.now();
  if (!document.hidden) await ask();
  setTimeout(poll, Math.max(0, POLL_MS - (performance.now() - started)));
}

document.addEventListener("keydown", (event) => {
  const typing = event.target instanceof HTMLInputElement;
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    $("filter").focus();
  } else if (event.key === "Escape" && typing) {
    $("filter").value = "";
    $("filter").blur();
    order();
  }
});
$("filter").addEventListener("input", order);
document.addEventListener("visibilitychange", () => document.hidden || ask());

drawHead();
poll();
