// Numbers, prices and ages as people read them, and the few ways in which the page writes them.

export const UNKNOWN = "–";

const decimalsSeen = new Map(); // "exchange:symbol" -> digits that its prices need

export const $ = (id) => document.getElementById(id);

export const isUnknown = (value) => value === null || value === undefined;

export function put(node, value) {
  if (node.textContent !== value) node.textContent = value;
}

export function element(parent, name, className = "", content = "") {
  const node = parent.appendChild(document.createElement(name));
  if (className) node.className = className;
  if (content) node.textContent = content;
  return node;
}

export function fixed(number, digits) {
  if (isUnknown(number)) return UNKNOWN;
  const options = { minimumFractionDigits: digits, maximumFractionDigits: digits };
  return number.toLocaleString("en-US", options).replace("-", "−");
}

function signed(number, digits) {
  return (number > 0 ? "+" : "") + fixed(number, digits);
}

// About four digits that say something, whatever the size: 1,204 or 3.211 or 0.0000123.
export function rounded(number) {
  if (isUnknown(number)) return UNKNOWN;
  const size = number === 0 ? 0 : Math.floor(Math.log10(Math.abs(number)));
  return fixed(number, Math.min(12, Math.max(0, 3 - size)));
}

// 1840211.5 as 1.84 M.
export function amount(number, least = 3) {
  if (isUnknown(number)) return UNKNOWN;
  const options = { notation: "compact", minimumSignificantDigits: least, maximumSignificantDigits: 3 };
  return number.toLocaleString("en-US", options).replace("-", "−").replace(/([KMBT])$/, " $1");
}

export const percent = (share, digits = 0) => (isUnknown(share) ? UNKNOWN : `${fixed(share * 100, digits)} %`);

// A price shows the digits of its tick; a mid may lie half a tick between, and shows one more.
export function price(number, key, more = 0) {
  return fixed(number, Math.min(12, (decimalsSeen.get(key) ?? 0) + more));
}

export function learnDecimals(book, key) {
  for (const number of [book.tick_size, book.best_bid, book.best_ask]) {
    if (isUnknown(number)) continue;
    const [digits, exponent] = String(number).split("e");
    const decimals = (digits.split(".")[1] ?? "").length - Number(exponent ?? 0);
    decimalsSeen.set(key, Math.max(decimals, decimalsSeen.get(key) ?? 0));
  }
}

export function duration(ms) {
  if (isUnknown(ms)) return UNKNOWN;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  const minutes = Math.floor(ms / 60_000);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

// A bar from the middle for what lies between -1 (asks) and 1 (bids), with the number beside it.
export function fillBalance(cell, value) {
  if (!cell.firstElementChild) {
    element(element(cell, "span"), "i");
    element(cell, "span", "number");
  }
  const [meter, number] = cell.children;
  meter.className = value < 0 ? "meter asks" : "meter";
  meter.firstElementChild.style.width = `${Math.min(1, Math.abs(value ?? 0)) * 50}%`;
  put(number, isUnknown(value) ? UNKNOWN : signed(value, 2));
}
