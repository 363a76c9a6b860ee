// Liquidations of one symbol: an estimated map, what happened, and how much to believe.

import { get, last, sentenceOf } from "./api.js";
import { $, UNKNOWN, amount, fixed, isUnknown, percent, price, put } from "./format.js";

const MAP_EVERY_MS = 15_000;
const BARS = 0.34; // share of the width that the bars of today take
const LABELS = 64; // pixels of the prices at the right
const SPAN = [0.01, 0.25]; // least and most of the price that is shown on each side of the mark
const HELD = 0.9; // share of the value that the span shows, where it can

const shown = { key: "", told: null, map: null, asked: -Infinity, failure: "", levels: [], as_of: null };

export function open(key) {
  Object.assign(shown, { key, told: null, map: null, asked: -Infinity, failure: "", levels: [], as_of: null });
  $("liquidations").hidden = true;
}

// Its own failure is said in its own place: the figures of the book do not wait for it.
export async function load(path) {
  const { key } = shown;
  const now = performance.now();
  const wants = now - shown.asked >= MAP_EVERY_MS;
  const found = { failure: "" };
  try {
    const route = "/liquidations";
    const questions = [get(path(route, "&limit=200&levels=200"))];
    if (wants) questions.push(get(path(`${route}/map`)));
    const [told, map] = await Promise.all(questions);
    Object.assign(found, { told, ...(wants && { map, asked: now }) });
    if (told.estimated.levels) Object.assign(found, { levels: told.estimated.levels, as_of: Date.now() });
  } catch (error) {
    found.failure = sentenceOf(error);
  }
  if (shown.key === key) Object.assign(shown, found);
}

export function draw() {
  const { told, map, failure } = shown;
  $("liquidations").hidden = !(told || failure);
  if (!told) {
    put($("liquidation-reason"), failure);
    return;
  }
  const reason = last.failure ?? (failure || told.estimated.reason) ?? null;
  $("liquidations").classList.toggle("stale", reason !== null);
  put($("liquidation-reason"), reason === null ? "" : `Levels are not current: ${reason.replace(/\.$/, "")}.${since()}`);
  put($("liquidation-assumptions"), assumed(map));
  put($("liquidation-hits"), believed(told.estimated.realised_hits));
  drawTotals(told.realised.totals);
  drawChart(told, map);
}

function since() {
  if (shown.as_of === null || !shown.levels.length) return "";
  return ` Those shown are of ${new Date(shown.as_of).toLocaleTimeString()}.`;
}

function assumed(map) {
  const all = map?.assumptions;
  if (!all) return "An estimate needs leverage tiers: there are none yet.";
  const prior = all.prior.map(([leverage, share]) => `${leverage}x ${percent(share)}`).join(", ");
  const covers = ["long", "short"].map((side) => `${percent(all.coverage[side], 1)} of the ${side}s`).join(" and ");
  const date = all.tier_effective_from ? ` since ${new Date(all.tier_effective_from / 1e6).toISOString().slice(0, 10)}` : "";
  return `An estimate, not positions. New open interest is split by taker side and spread over ${prior}; a position of `
    + `${amount(all.typical_notional)} meets the tiers of ${all.tier_source || "the exchange"}${date}. `
    + `Open interest from before the start is not mapped: the map covers ${covers}.`;
}

function believed(hits) {
  if (!hits?.scored) return "No reported liquidation has tested the map yet.";
  const lift = isUnknown(hits.lift) ? UNKNOWN : fixed(hits.lift, 2);
  return `Of ${hits.scored} reported liquidations near the price, ${hits.hits} had levels at their price; `
    + `lift ${lift}, where 1 is chance.`;
}

function drawTotals(totals) {
  const body = $("liquidation-totals");
  while (body.rows.length > totals.length) body.deleteRow(-1);
  totals.forEach((total, i) => {
    const row = body.rows[i] ?? body.insertRow();
    const sum = ({ count, usd }) => `${total.at_least ? "≥ " : ""}${amount(usd)} · ${count}`;
    [`${total.window_s / 3600} h`, sum(total.long), sum(total.short)].forEach((text, j) => {
      const cell = row.cells[j] ?? row.insertCell();
      cell.className = j ? "" : "left";
      put(cell, text);
    });
    row.title = total.reason ?? "";
  });
}

// The span around the mark that shows most of what stands.
function spanOf(levels) {
  const byDistance = levels
    .map((level) => [Math.abs(level.distance_from_price), level.quantity * level.price_level])
    .sort(([a], [b]) => a - b);
  const total = byDistance.reduce((sum, [, value]) => sum + value, 0);
  let held = 0;
  for (const [distance, value] of byDistance) {
    held += value;
    if (held >= HELD * total) return Math.min(SPAN[1], Math.max(SPAN[0], distance * 1.15));
  }
  return SPAN[0];
}

function drawChart(told, map) {
  const canvas = $("liquidation-chart");
  const mark = told.estimated.mark_price;
  const { width, height, pen } = fitted(canvas);
  const style = getComputedStyle(canvas);
  const color = (name) => style.getPropertyValue(name).trim();
  const { levels } = shown;
  pen.clearRect(0, 0, width, height);
  pen.font = style.font;
  if (isUnknown(mark)) {
    pen.fillStyle = color("--quiet");
    pen.fillText("no mark price yet", 8, 20);
    canvas.setAttribute("aria-label", "No mark price yet");
    return;
  }
  const span = spanOf(levels);
  const y = (level) => height * (0.5 - Math.log(level / mark) / (2 * Math.log1p(span)));
  const colors = { long: color("--good"), short: color("--bad"), line: color("--line"), text: color("--quiet"), mark: color("--text") };
  const edge = width - LABELS;
  const split = Math.round(edge * (1 - BARS));
  drawPrices(pen, { mark, span, y, edge, height, colors });
  if (map?.candles?.length) drawHistory(pen, map, told.realised.newest, { y, split, height, colors });
  drawBars(pen, levels, { y, split, edge, height, colors });
  pen.strokeStyle = colors.mark;
  pen.setLineDash([4, 3]);
  line(pen, 0, y(mark), edge, y(mark));
  pen.setLineDash([]);
  pen.fillStyle = colors.mark;
  pen.fillText(price(mark, shown.key), edge + 6, y(mark) + 4);
  const side = (name) => amount(levels.filter((x) => x.side === name).reduce((sum, x) => sum + x.quantity * x.price_level, 0));
  canvas.setAttribute("aria-label", `Estimated liquidation levels around ${price(mark, shown.key)}: `
    + `longs of ${side("long")} below, shorts of ${side("short")} above`);
}

function fitted(canvas) {
  const scale = window.devicePixelRatio || 1;
  const { clientWidth: width, clientHeight: height } = canvas;
  if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  return { width, height, pen };
}

function line(pen, x0, y0, x1, y1) {
  pen.beginPath();
  pen.moveTo(x0, y0);
  pen.lineTo(x1, y1);
  pen.stroke();
}

function drawPrices(pen, { mark, span, y, edge, height, colors }) {
  for (const share of [-1, -0.75, -0.5, -0.25, 0.25, 0.5, 0.75, 1]) {
    const level = mark * Math.exp(share * 0.94 * Math.log1p(span));
    pen.strokeStyle = colors.line;
    line(pen, 0, y(level), edge, y(level));
    pen.fillStyle = colors.text;
    pen.fillText(price(level, shown.key), edge + 6, Math.min(height - 4, Math.max(10, y(level) + 4)));
  }
}

// The past bars: what stood where, the mark's way through it, and what was reported.
function drawHistory(pen, map, realised, { y, split, height, colors }) {
  const times = map.x_axis;
  const step = split / times.length;
  const most = (map.cells ?? []).reduce((found, [, , value]) => Math.max(found, value), 1);
  const close = map.candles.map((candle) => candle[4]);
  for (const [column, row, value] of map.cells ?? []) {
    const level = map.y_axis[row];
    pen.fillStyle = level < close[column] ? colors.long : colors.short;
    pen.globalAlpha = 0.08 + 0.72 * Math.sqrt(value / most);
    pen.fillRect(column * step, y(level) - 1.5, Math.ceil(step), 3);
  }
  pen.globalAlpha = 1;
  pen.strokeStyle = colors.mark;
  pen.beginPath();
  map.candles.forEach(([, , high, low], column) => {
    pen.moveTo((column + 0.5) * step, y(high));
    pen.lineTo((column + 0.5) * step, y(low) + 1);
  });
  close.forEach((value, column) => pen[column ? "lineTo" : "moveTo"]((column + 0.5) * step, y(value)));
  pen.stroke();
  const first = times[0] - (times.length > 1 ? times[1] - times[0] : 60e9);
  const until = times[times.length - 1];
  const clock = (ts) => new Date(ts / 1e6).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  pen.fillStyle = colors.text;
  pen.fillText(clock(first), 4, height - 6);
  pen.fillText(clock(until), split - pen.measureText(clock(until)).width - 4, height - 6);
  const largest = realised.reduce((found, { usd }) => Math.max(found, usd), 1);
  for (const { ts_event: ts, side, price: level, usd } of realised) {
    const x = Math.min(split, ((ts - first) / (until - first)) * split);
    if (x < 0 || y(level) < 0 || y(level) > height) continue;
    pen.fillStyle = pen.strokeStyle = colors[side];
    pen.beginPath();
    pen.arc(x, y(level), 2 + 5 * Math.sqrt(usd / largest), 0, 2 * Math.PI);
    pen.globalAlpha = 0.55;
    pen.fill();
    pen.globalAlpha = 1;
    pen.stroke();
  }
}

// What stands now, by price: one bar for each few pixels.
function drawBars(pen, levels, { y, split, edge, height, colors }) {
  const THICK = 4;
  const bars = new Map();
  for (const { side, price_level: level, quantity } of levels) {
    const row = Math.floor(y(level) / THICK);
    if (row < 0 || row * THICK > height) continue;
    const key = `${side}:${row}`;
    bars.set(key, (bars.get(key) ?? 0) + quantity * level);
  }
  const most = Math.max(1, ...bars.values());
  pen.strokeStyle = colors.line;
  line(pen, split, 0, split, height);
  for (const [key, value] of bars) {
    const [side, row] = key.split(":");
    pen.fillStyle = colors[side];
    pen.globalAlpha = 0.75;
    pen.fillRect(split + 1, Number(row) * THICK, (value / most) * (edge - split - 8), THICK - 1);
  }
  pen.globalAlpha = 1;
  pen.fillStyle = colors.text;
  const scale = `longest bar ${amount(most)}`;
  if (bars.size) pen.fillText(scale, edge - pen.measureText(scale).width - 4, height - 6);
}
