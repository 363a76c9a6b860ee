// Questions to the API. `last` is what is known of the last one, for all that is drawn.

const TIMEOUT_MS = 3000;

export const last = { at: null, failure: null };

export async function get(path) {
  const answer = await fetch(path, { signal: AbortSignal.timeout(TIMEOUT_MS) });
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.detail);
  return body;
}

// fetch tells a network failure by TypeError, a late answer by TimeoutError, and a proxy that
// answers without JSON by SyntaxError; only our own problems carry a sentence.
export function sentenceOf(error) {
  return (error.constructor === Error && error.message) || "The API cannot be reached.";
}

// While the API is silent the last answer grows old in front of the reader.
export function ageOf(answer) {
  if (answer.age_ms === null) return null;
  return last.failure ? answer.age_ms + (performance.now() - last.at) : answer.age_ms;
}

export const isStale = (answer) => answer.stale || last.failure !== null;

export function stateOf(book) {
  if (last.failure) return "unknown";
  return book.stale && book.status === "synced" ? "stale" : book.status;
}

export function auditShare(book) {
  const compared = (book.audit_equal ?? 0) + (book.audit_different ?? 0);
  return compared ? book.audit_equal / compared : null;
}
