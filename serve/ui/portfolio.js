// The risk of one portfolio, asked once a second. The address says which: #main, or #id.
// What is unknown is a dash with its reason as the title; what is stale is greyed.

import { get, sentenceOf } from "./api.js";
import { $, UNKNOWN, amount, duration, element, fixed, isUnknown, percent, put, rounded } from "./format.js";

const POLL_MS = 1000;
const MODELS = ["fhs", "fhs_garch", "historical", "ewma_normal", "evt"];
const CAPS = [["volatility_target", "Volatility target"], ["margin_survival", "Margin survival"],
  ["liquidity", "Liquidity"], ["portfolio", "Shortfall budget"], ["venue_maximum", "Venue maximum"]];
const FIGURES = [["equity", "Equity", money], ["gross_exposure", "Gross exposure", money],
  ["net_exposure", "Net exposure", money], ["effective_leverage", "Effective leverage", times],
  ["margin_ratio", "Margin ratio", share], ["margin_utilisation", "Margin utilisation", share],
  ["liq_score", "Liquidation score", score], ["reverse_stress", "Common move to margin", share],
  ["lvar_99_1d", "Liquidity-adjusted VaR 99 %", money], ["stressed_corr_var_99_1d", "Stressed correlation VaR 99 %", money],
  ["avg_pairwise_corr", "Mean correlation", (v) => fixed(v, 2)], ["effective_bets", "Effective bets", (v) => fixed(v, 2)],
  ["drawdown", "Drawdown", share], ["funding_8h_cost", "Next funding", money]];
const TAIL = [["var_95", "VaR 95 %"], ["var_99", "VaR 99 %"], ["es_975", "ES 97.5 %"]];

let answer = null;
let answeredAt = null;
let failure = null;

function money(value) { return amount(value); }
function share(value) { return percent(value, 2); }
function times(value) { return isUnknown(value) ? UNKNOWN : `${fixed(value, 2)}×`; }
function score(value) { return fixed(value, 1); }

// A cell with its value, or a dash that says why on hover.
function fill(row, value, text, missing = [], className = "") {
  const cell = element(row, "td", isUnknown(value) ? "why" : className, isUnknown(value) ? UNKNOWN : text);
  if (isUnknown(value)) cell.title = missing.length ? `missing: ${missing.join("; ")}` : "none";
  return cell;
}

function table(id, rows, draw) {
  const body = $(id);
  body.replaceChildren();
  for (const item of rows) draw(element(body, "tr"), item);
}

function heads(id, left, titles) {
  titles.forEach((title, index) => {
    element($(id), "th", index < left ? "left" : "", title).scope = "col";
  });
}

function label(row, text, title = "") {
  const cell = element(row, "th", "left", text);
  cell.scope = "row";
  cell.title = title;
}

function adviceText(advice) {
  return isUnknown(advice.leverage) ? UNKNOWN : `${times(advice.held)} (${words(advice.binding)})`;
}

const words = (name) => (name ?? UNKNOWN).replaceAll("_", " ");

function drawPosition(row, item) {
  row.classList.toggle("stale", item.stale || failure !== null);
  row.title = item.stale_reason ?? "";
  element(row, "td", "left", item.account);
  label(row, item.symbol, item.exchange);
  element(row, "td", "left", item.side);
  element(row, "td", "", rounded(item.quantity));
  fill(row, item.mark_price, rounded(item.mark_price), item.missing);
  fill(row, item.notional, amount(item.notional), item.missing);
  fill(row, item.unrealized_pnl, amount(item.unrealized_pnl), item.missing);
  const gone = item.state === "no_liquidation_price" ? ["no price liquidates it"] : item.missing;
  fill(row, item.liquidation_price, rounded(item.liquidation_price), gone);
  fill(row, item.distance_to_liquidation, share(item.distance_to_liquidation), gone, item.score.distance_alarm ?? "");
  const cell = fill(row, item.score.score, score(item.score.score), item.score.missing, item.score.band ?? "");
  if (!isUnknown(item.score.score)) {
    cell.title = `${item.score.band}: chance of a touch in ${item.score.horizon_h} h ${share(item.score.hit_probability)}`
      + `, thinness ${share(item.score.thinness)}, volatility ${item.score.sigma_source ?? UNKNOWN}. ${item.score.notes.join("; ")}`;
  }
  fill(row, item.advice.leverage, adviceText(item.advice), item.advice.missing).title ||= words(item.advice.action);
}

function drawAccount(row, item) {
  element(row, "td", "left", item.id);
  element(row, "td", "left", item.exchange);
  element(row, "td", "left", `${item.margin_mode}, ${words(item.position_mode)}`);
  element(row, "td", "left", item.currency ?? UNKNOWN);
  element(row, "td", "left", words(item.state));
  for (const name of ["wallet_balance", "equity", "initial_margin", "maintenance_margin", "available_margin"]) {
    fill(row, item[name], amount(item[name]), item.missing);
  }
  fill(row, item.margin_ratio, share(item.margin_ratio), item.missing.length ? item.missing : [words(item.state)]);
  fill(row, item.joint_distance_down, share(item.joint_distance_down), ["no common fall reaches the margin", ...item.missing]);
  fill(row, item.score.score, score(item.score.score), item.score.missing, item.score.band ?? "");
}

function drawTail(row, [name, title]) {
  label(row, title);
  const [hour, day, part] = [`${name}_1h`, `${name}_1d`, `${name}_1d_pct`].map((key) => answer.figures[key]);
  for (const [figure, show] of [[hour, money], [day, money], [part, share]]) {
    const cell = fill(row, figure.value, show(figure.value), figure.missing);
    if (!isUnknown(figure.value)) {
      cell.title = `${figure.method}, ${fixed(figure.n_obs, 0)} observations${figure.flags.length ? `, ${figure.flags.join(", ")}` : ""}`;
    }
  }
}

function drawFigure(row, [name, title, show]) {
  const figure = answer.figures[name];
  label(row, title, figure.method);
  fill(row, figure.value, show(figure.value), figure.missing);
}

function drawCap(row, [name, title]) {
  const { advice } = answer;
  label(row, title);
  const unbounded = advice.unbounded.includes(name);
  fill(row, unbounded ? 0 : advice.caps[name], unbounded ? "not bound" : times(advice.caps[name]),
    advice.missing, advice.binding === name ? "warn" : "");
}

function drawAdvice() {
  table("advice", answer.advice ? CAPS : [], drawCap);
  if (!answer.advice) return;
  const row = element($("advice"), "tr");
  label(row, `Advised, by ${words(answer.advice.binding)}`, words(answer.advice.action));
  fill(row, answer.advice.leverage, adviceText(answer.advice), answer.advice.missing);
}

function drawStress() {
  const { values, names, missing } = answer.series.stress_loss;
  const losses = (values ?? []).map((value, at) => [names[at], value]);
  losses.sort((a, b) => (b[1] ?? Infinity) - (a[1] ?? Infinity));
  put($("stress-note"), values ? "Largest losses first" : `${UNKNOWN} missing: ${missing.join("; ")}`);
  table("stress", losses.slice(0, 10), (row, [name, value]) => {
    label(row, words(name));
    fill(row, value, amount(value), missing);
  });
}

function draw() {
  $("banner").hidden = failure === null;
  if (failure !== null) put($("banner"), `${failure} Trying again every second.`);
  if (answer === null) return;
  const age = answer.age_ms === null ? null : answer.age_ms + (failure ? performance.now() - answeredAt : 0);
  put($("age"), duration(age));
  $("reason").hidden = !answer.stale || answer.positions.length === 0;
  put($("reason"), answer.stale_reason ?? "");
  $("nothing").hidden = answer.positions.length > 0;
  $("held").hidden = answer.positions.length === 0;
  $("held").classList.toggle("stale", failure !== null);
  put($("name"), `Portfolio ${answer.portfolio}${answer.currency ? `, ${answer.currency}` : ""}`);
  const { method, n_obs } = answer.figures.var_99_1d;
  put($("tail-note"), `By ${words(method)} over ${fixed(n_obs, 0)} observations, quote currency`);
  table("positions", answer.positions, drawPosition);
  table("accounts", answer.accounts, drawAccount);
  table("tail", TAIL, drawTail);
  table("figures", FIGURES, drawFigure);
  drawAdvice();
  drawStress();
}

function choose(select, names, chosen) {
  if ([...select.options].map((o) => o.value).join() === names.join()) return;
  select.replaceChildren(...names.map((name) => new Option(words(name), name, false, name === chosen)));
}

async function ask() {
  const id = location.hash.slice(1) || "main";
  const model = $("model").value;
  try {
    const query = model && model !== MODELS[0] ? `?model=${model}` : "";
    const path = `/v1/portfolio/${encodeURIComponent(id)}/risk${query}`;
    const [found, listed] = await Promise.all([get(path), get("/v1/portfolios")]);
    if ((location.hash.slice(1) || "main") !== id) return;
    answer = found;
    answeredAt = performance.now();
    failure = null;
    $("json").href = path;
    choose($("which"), listed.portfolios.map((item) => item.portfolio), id);
  } catch (error) {
    failure = sentenceOf(error);
  }
  draw();
}

async function poll() {
  const started = performance.now();
  if (!document.hidden) await ask();
  setTimeout(poll, Math.max(0, POLL_MS - (performance.now() - started)));
}

heads("position-head", 3, ["Account", "Symbol", "Side", "Quantity", "Mark", "Notional", "Profit", "Liquidation",
  "Distance", "Score", "Leverage advised"]);
heads("account-head", 5, ["Account", "Exchange", "Mode", "Currency", "State", "Wallet", "Equity", "Initial", "Maintenance",
  "Available", "Margin ratio", "Common fall", "Score"]);
choose($("model"), MODELS, MODELS[0]);
$("model").addEventListener("change", ask);
$("which").addEventListener("change", () => { location.hash = $("which").value; });
window.addEventListener("hashchange", ask);
poll();
