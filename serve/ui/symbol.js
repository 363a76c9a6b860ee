// One symbol: its measures in plain words and units, and what the unknown ones still need.

import { ageOf, auditShare, get, isStale, last, sentenceOf, stateOf } from "./api.js";
import {
  $, UNKNOWN, amount, duration, element, fillBalance, fixed, isUnknown, learnDecimals, percent, price,
  put, rounded,
} from "./format.js";
import * as liquidations from "./liquidations.js";

const NOT_TAKEN = "not among the measures that are taken";

const shown = { key: "", summary: null, analysis: null, fill: null, refusal: "" };

// Readers: what a value says, or the phrase of what it still needs.
const known = (text) => ({ text });
const of = (measure, name, show) => ({ measures, missing }) => {
  const value = measures[measure]?.[name];
  if (!isUnknown(value)) return known(show(value, measures[measure]));
  return { needs: missing[measure]?.[name] ?? (measures[measure] ? UNKNOWN : NOT_TAKEN) };
};
const balanceOf = (measure, name) => (answer) => ({
  ...of(measure, name, String)(answer),
  balance: answer.measures[measure]?.[name],
});
const market = (name, show) => (answer) => {
  const value = answer.summary[name];
  return isUnknown(value) ? { needs: UNKNOWN } : known(show(value, answer.summary));
};

// The address may leave the exchange out, as the API does.
function parts() {
  const [symbol, exchange = ""] = shown.key.split(":").reverse();
  return { symbol, exchange };
}
const base = () => parts().symbol.split("-")[0];
const quote = () => parts().symbol.split("-")[1] ?? "";
const atPrice = (more) => (value) => price(value, shown.key, more);
const inBase = (value) => `${value > 0 ? "+" : ""}${rounded(value)} ${base()}`;
const inBps = (digits) => (value) => `${fixed(value, digits)} bps`;
const aYear = (value) => `${percent(value, 1)} a year`;
const inSeconds = (value) => duration(value * 1000);
const touch = (side) => ({ summary }) => {
  const best = summary[`best_${side}`];
  if (isUnknown(best)) return { needs: "a book with this side" };
  return known(`${price(best, shown.key)} × ${rounded(summary[`best_${side}_quantity`])}`);
};

const cards = [
  { title: "Price", figures: [
    ["Best bid", "price × quantity", touch("bid")],
    ["Best ask", "", touch("ask")],
    ["Spread", "", of("quoted_spread", "spread_bps",
      (bps, all) => `${price(all.spread, shown.key)} ${quote()} · ${fixed(bps, 3)} bps`)],
    ["Usual spread", "average over time", of("quoted_spread", "average_spread_bps", inBps(3))],
    ["Mid", "", of("fair_price", "mid", atPrice(1))],
    ["Weighted mid", "leans to the thin side", of("fair_price", "weighted_mid", atPrice(2))],
    ["Microprice", "the mid to come", of("microprice", "microprice",
      (value, all) => `${price(value, shown.key, 2)}${all.is_fitted ? "" : " · still learning"}`)],
    ["Mark price", "of the exchange", market("mark_price", atPrice(1))],
    ["Funding", "rate of the coming payment", market("funding_rate", (rate) => percent(rate, 4))],
  ] },
  { title: "Imbalance", hint: "Of standing orders: −1 only asks, +1 only bids", figures: [
    ["Best level", "", balanceOf("imbalance", "imbalance_1")],
    ["Best 5 levels", "", balanceOf("imbalance", "imbalance_5")],
    ["Best 20 levels", "", balanceOf("imbalance", "imbalance_20")],
    ["Near the mid", "fading over 5 bps", balanceOf("distance_weighted_imbalance", "length_5_bps")],
    ["Within 25 bps", "", balanceOf("static_pressure", "static_pressure")],
  ] },
  { title: "Order flow", hint: "Orders that come and go: above 0 bids grow, below 0 asks", figures: [
    ["Balance, 1 s", "OFI, best prices", of("ofi", "ofi_1s", inBase)],
    ["Balance, 5 s", "", of("ofi", "ofi_5s", inBase)],
    ["Balance, 30 s", "", of("ofi", "ofi_30s", inBase)],
    ["Depth pressure, 1 s", "10 levels", balanceOf("depth_pressure", "depth_pressure_1s")],
    ["Depth pressure, 5 s", "", balanceOf("depth_pressure", "depth_pressure_5s")],
    ["Depth pressure, 30 s", "", balanceOf("depth_pressure", "depth_pressure_30s")],
  ] },
  { title: "Trades", figures: [
    ["Buyers over sellers", "last minute", balanceOf("trade_flow", "trade_imbalance_60s")],
    ["Bought", "last minute", of("trade_flow", "buy_volume_60s", (value) => `${rounded(value)} ${base()}`)],
    ["Sold", "last minute", of("trade_flow", "sell_volume_60s", (value) => `${rounded(value)} ${base()}`)],
    ["Bought less sold", "since the start", of("trade_flow", "cvd_base", inBase)],
    ["VPIN", "one-sidedness of volume, 0 to 1", of("vpin", "vpin", (value) => fixed(value, 3))],
    ["VPIN filled", "buckets of volume that it has", of("vpin", "fill_ratio", (value) => percent(value))],
    ["Signed toxicity", "−1 sellers, +1 buyers", balanceOf("vpin", "signed_toxicity")],
    ["Paid by takers", "effective spread", of("trade_cost", "effective_spread_bps", inBps(3))],
    ["Moved by takers", "price impact after 5 s", of("trade_cost", "price_impact_bps_5s", inBps(3))],
  ] },
  { title: "Volatility", figures: [
    ["Realized", "5 min of 1 s returns", of("realized_volatility", "realized_volatility_annual", aYear)],
    ["Without jumps", "bipower", of("realized_volatility", "bipower_volatility_annual", aYear)],
    ["Recent", "half-life 1 min", of("ewma_volatility", "volatility_annual_60s", aYear)],
    ["Slower", "half-life 10 min", of("ewma_volatility", "volatility_annual_600s", aYear)],
    ["Of highs and lows", "Parkinson", of("range_volatility", "parkinson_annual", aYear)],
  ] },
  { title: "Impact and refill", figures: [
    ["Kyle's lambda", "price per base unit", of("illiquidity", "kyle_lambda", rounded)],
    ["Amihud", "return per million traded", of("illiquidity", "amihud_illiquidity_per_million", rounded)],
    ["Bids come back", "half-life in 10 bps", of("resiliency", "bid_half_life_s", inSeconds)],
    ["Asks come back", "", of("resiliency", "ask_half_life_s", inSeconds)],
  ] },
  { title: "Feed", figures: [
    ["State", "", ({ summary }) => known(stateOf(summary))],
    ["Messages", "", market("messages", (value) => fixed(value, 0))],
    ["Gaps · rebuilt", "", market("gaps", (gaps, all) => `${fixed(gaps, 0)} · ${fixed(all.resyncs, 0)}`)],
    ["Equal to the exchange", "best prices", ({ summary }) => known(percent(auditShare(summary), 2))],
  ] },
];

const tables = [
  { id: "depth", rows: depthRows },
  { id: "cost", rows: costRows },
  { id: "score", rows: scoreRows, note: scoreNote },
  { id: "walls", rows: wallRows, note: wallNote },
  { id: "clusters", rows: clusterRows, note: clusterNote },
];

// A lower bound, where the book is not known so far out.
const atLeast = (text, truncated) => (truncated ? `≥ ${text}` : text);
const largest = (values) => Math.max(...values.filter((value) => value > 0), 0) || 1;
const sideOf = ({ side }) => ({ text: side, className: side === "bid" ? "left bids" : "left asks" });

function depthRows({ depth }) {
  const bands = Object.entries(depth).sort(([a], [b]) => a - b);
  const most = largest(bands.flatMap(([, band]) => [band.bid, band.ask]));
  const cell = (band, side) => ({
    text: atLeast(amount(band[side]), band[`${side}_truncated`]),
    bar: band[side] / most,
    className: side === "bid" ? "bids gauge" : "asks gauge",
  });
  return bands.map(([bps, band]) => [`${bps} bps`, cell(band, "bid"), cell(band, "ask")]);
}

function costRows({ cost }) {
  const sizes = Object.entries(cost).sort(([a], [b]) => a - b);
  const most = largest(sizes.flatMap(([, { buy, sell }]) => [buy.slippage_bps, sell.slippage_bps]));
  const cell = (fill, className) =>
    isUnknown(fill.slippage_bps)
      ? { text: `fills ${percent(fill.fill_ratio, 1)}`, className: "needs" }
      : { text: fixed(fill.slippage_bps, 3), bar: fill.slippage_bps / most, className };
  return sizes.map(([size, { buy, sell, round_trip_bps }]) => [
    amount(Number(size), 1), cell(buy, "asks gauge"), cell(sell, "bids gauge"), fixed(round_trip_bps, 3),
  ]);
}

function scoreRows({ measures }) {
  const score = measures.liquidity_score;
  if (!score) return [];
  const sides = [score, score.bid, score.ask];
  const row = (title, read) => [title, ...sides.map((side) => {
    const value = side && read(side);
    return { text: isUnknown(value) ? UNKNOWN : fixed(value, 2), bar: value ?? 0, className: "gauge" };
  })];
  const part = (title, name) => row(title, ({ components }) => components?.[name]);
  return [
    row("Score", (side) => side.score),
    row("Of the book alone", (side) => side.score_book),
    part("Spread", "spread"),
    part("Depth in 10 bps", "depth"),
    part("Cost of 100 K", "cost_small"),
    part("Cost of 1 M", "cost_large"),
    part("Volume of 24 h", "volume"),
  ];
}

function scoreNote({ measures, missing }) {
  if (!measures.liquidity_score) return NOT_TAKEN;
  const needs = missing.liquidity_score?.score;
  return needs ? `Score: ${needs}` : "";
}

function wallRows({ measures }) {
  return (measures.walls?.walls ?? []).map((wall) => [
    sideOf(wall), price(wall.price, shown.key), amount(wall.notional), percent(wall.share),
    `${fixed(wall.distance_bps, 1)} bps`, inSeconds(wall.age_s), fixed(wall.strength, 2), String(wall.times_tested),
  ]);
}

function wallNote({ measures, missing }) {
  const walls = measures.walls;
  if (!walls?.walls) return missing.walls?.walls ?? NOT_TAKEN;
  const none = walls.walls.length ? "" : "No price stands out now. ";
  const rate = walls.pulled_rate;
  if (isUnknown(rate)) return `${none}How walls end: ${missing.walls?.pulled_rate ?? UNKNOWN}.`;
  const life = inSeconds(walls.lifetime_median_s);
  return `${none}Of the last ${walls.removed_walls} removed, ${percent(rate)} were pulled; half lived no longer than ${life}.`;
}

function clusterRows({ measures }) {
  return (measures.clusters?.clusters ?? []).map((cluster) => [
    sideOf(cluster), `${price(cluster.low, shown.key)} – ${price(cluster.high, shown.key)}`, amount(cluster.notional),
    percent(cluster.share), `${fixed(cluster.distance_bps, 1)} bps`, String(cluster.levels),
    cluster.round_number ? "yes" : "no",
  ]);
}

function clusterNote({ measures, missing }) {
  const { clusters } = measures.clusters ?? {};
  if (!clusters) return missing.clusters?.clusters ?? NOT_TAKEN;
  return clusters.length ? "" : "Nothing lies close together now.";
}

function build() {
  cards.forEach(({ title, hint, figures }, index) => {
    const card = element($("cards"), "section", "card");
    if (!index) $("cards").prepend(card); // the price comes before all tables
    element(card, "h3", "", title);
    if (hint) element(card, "p", "quiet hint", hint);
    const list = element(card, "dl", "figures");
    for (const figure of figures) {
      const [label, explanation] = figure;
      const row = element(list, "div");
      const term = element(row, "dt", "", label);
      if (explanation) element(term, "small", "", explanation);
      figure.cell = element(row, "dd");
    }
  });
}

function drawFigure([, , read], cell, answer) {
  const { text, needs, balance } = read(answer);
  const wanted = needs ? "needs" : "";
  if (cell.className !== wanted) {
    cell.className = wanted;
    cell.textContent = "";
  }
  if (!needs && balance !== undefined) fillBalance(cell, balance);
  else put(cell, needs ?? text);
}

function drawTable(body, rows) {
  while (body.rows.length > rows.length) body.deleteRow(-1);
  rows.forEach((cells, i) => {
    const row = body.rows[i] ?? body.insertRow();
    cells.forEach((cell, j) => {
      const { text, bar, className = "" } = typeof cell === "string" ? { text: cell } : cell;
      const node = row.cells[j] ?? element(row, j ? "td" : "th");
      if (!j) node.scope = "row";
      node.className = className || (j ? "" : "left");
      if (bar !== undefined) node.style.setProperty("--bar", `${Math.min(1, bar) * 100}%`);
      put(node, text);
    });
  });
}

function drawFill() {
  const { fill, refusal } = shown;
  for (const side of ["buy", "sell"]) {
    const { slippage_bps: bps, worst_price: worst, fill_ratio: share } = fill?.[side] ?? {};
    const paid = `${fixed(bps, 3)} bps · ${amount((bps / 1e4) * fill?.notional)} ${quote()}`;
    const way = side === "buy" ? "up to" : "down to";
    put($(`${side}-worst`), isUnknown(bps) ? "" : `${way} ${price(worst, shown.key)}`);
    put($(`${side}-fill`), !fill ? UNKNOWN : isUnknown(bps) ? `the known book fills ${percent(share, 2)}` : paid);
  }
  put($("refusal"), refusal);
}

export function open(key) {
  Object.assign(shown, { key, summary: null, analysis: null, fill: null, refusal: "" });
  const { symbol, exchange } = parts();
  liquidations.open(key);
  put($("name"), symbol);
  put($("exchange"), exchange);
  $("book-json").href = path("/book", "&depth=20");
  $("analysis-json").href = path("/analysis");
  $("trades-csv").href = pastHour("market_trades");
  $("measures-csv").href = pastHour("market_depth_analysis");
  $("status").hidden = $("reason").hidden = $("figures").hidden = true;
  $("symbol").classList.remove("stale");
  $("name").focus();
}

function path(route = "", more = "") {
  const { symbol, exchange } = parts();
  const where = exchange ? `exchange=${encodeURIComponent(exchange)}` : "";
  return `/v1/symbols/${encodeURIComponent(symbol)}${route}?${where}${more}`;
}

// Stored rows; times are nanoseconds, too long for a number here.
function pastHour(table) {
  const { symbol, exchange } = parts();
  const asked = new URLSearchParams({ symbol, start: `${Date.now() - 3600e3}000000`, format: "csv" });
  if (exchange) asked.set("exchange", exchange);
  return `/v1/history/${table}?${asked}`;
}

export async function load() {
  const { key } = shown;
  const [summary, analysis] = await Promise.all([get(path()), get(path("/analysis")), loadFill(), liquidations.load(path)]);
  if (shown.key !== key) return;
  Object.assign(shown, { summary, analysis });
  learnDecimals(summary, key);
  put($("exchange"), summary.exchange);
}

// What refuses a fill (a size out of range, a book without a side) is said in its own place.
async function loadFill() {
  const { key } = shown;
  const size = $("notional").value;
  const found = { fill: null, refusal: "" };
  try {
    const notional = encodeURIComponent(size.replace(/[\s,_]/g, ""));
    found.fill = await get(path("/liquidity", `&notional=${notional}`));
  } catch (error) {
    found.refusal = sentenceOf(error);
  }
  // Another size or symbol may be asked for by now.
  if (shown.key === key && $("notional").value === size) Object.assign(shown, found);
}

export function draw() {
  const { summary, analysis } = shown;
  if (!analysis) return;
  const answer = { ...analysis, summary };
  const stale = isStale(analysis);
  $("status").hidden = $("figures").hidden = false;
  $("symbol").classList.toggle("stale", stale);
  put($("state"), stateOf({ ...summary, stale: analysis.stale }));
  put($("age"), duration(ageOf(analysis)));
  $("reason").hidden = !stale;
  const reason = (last.failure ?? analysis.stale_reason ?? "").replace(/\.$/, "");
  put($("reason"), `Not current: ${reason}. Do not trade on these figures.`);
  for (const { figures } of cards) {
    for (const figure of figures) drawFigure(figure, figure.cell, answer);
  }
  for (const { id, rows, note } of tables) {
    drawTable($(id), rows(answer));
    if (!note) continue;
    put($(`${id}-note`), note(answer));
    $(id).parentElement.hidden = !$(id).rows.length;
  }
  drawFill();
  liquidations.draw();
}

$("size").addEventListener("submit", async (event) => {
  event.preventDefault();
  await loadFill();
  drawFill();
});

build();
