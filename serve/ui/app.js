// Which view is shown, and the question that it asks once a second.
// The address says which: nothing after # is the table, #exchange:symbol is one symbol.

import { last, sentenceOf } from "./api.js";
import { $, duration, put } from "./format.js";
import * as symbol from "./symbol.js";
import * as symbols from "./symbols.js";

const POLL_MS = 1000;

let shown = symbols;

function route() {
  const key = location.hash.slice(1);
  const left = shown === symbol ? document.title.split(" ")[0] : "";
  shown = key ? symbol : symbols;
  last.at = last.failure = null;
  $("symbols").hidden = Boolean(key);
  $("symbol").hidden = !key;
  document.title = key ? `${key} · AlphaPlus` : "AlphaPlus";
  if (key) symbol.open(key);
  else symbols.focus(left);
  drawBanner();
  ask();
}

function drawBanner() {
  $("banner").hidden = last.failure === null;
  if (last.failure === null) return;
  const since = last.at === null ? "" : ` Last answer ${duration(performance.now() - last.at)} ago.`;
  put($("banner"), `${last.failure}${since} Trying again every second.`);
}

async function ask() {
  const address = location.hash;
  let failure = null;
  try {
    await shown.load();
  } catch (error) {
    failure = sentenceOf(error);
  }
  if (location.hash !== address) return; // the answer to a question that nobody asks any more
  last.failure = failure;
  if (failure === null) last.at = performance.now();
  drawBanner();
  shown.draw();
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
    $(shown === symbols ? "filter" : "notional").focus();
  } else if (event.key === "Escape" && typing) {
    if (event.target === $("filter")) event.target.value = "";
    event.target.blur();
    symbols.order();
  } else if (event.key === "Escape" && shown === symbol) {
    location.hash = "";
  }
});
$("filter").addEventListener("input", symbols.order);
window.addEventListener("hashchange", route);
document.addEventListener("visibilitychange", () => document.hidden || ask());

symbols.drawHead();
route();
setTimeout(poll, POLL_MS);
