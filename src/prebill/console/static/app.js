// Keys of the console; every page works without this file. No key acts by itself: it moves focus,
// the person presses Enter.

const rows = [...document.querySelectorAll("tr[data-row] a.row-link")];

function move(step) {
  if (rows.length === 0) return;
  const here = rows.indexOf(document.activeElement);
  const next = here === -1 ? (step > 0 ? 0 : rows.length - 1) : here + step;
  rows[Math.min(Math.max(next, 0), rows.length - 1)].focus();
}

function isTyping(target) {
  return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
}

/** Releasing or rejecting needs a reason: without one its box gets the focus first. */
function focusDecision(key) {
  const target = document.querySelector(`[data-focus="${key}"]`);
  if (!target) return false;
  const details = target.closest("details");
  if (details) details.open = true;
  const reason = document.getElementById("reason");
  (reason && !reason.value ? reason : target).focus();
  return true;
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape" && isTyping(event.target)) return event.target.blur();
  if (isTyping(event.target)) return;
  if (event.key === "j") return move(1);
  if (event.key === "k") return move(-1);
  if (focusDecision(event.key)) return event.preventDefault();
  const keyed = document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
  if (!keyed) return;
  event.preventDefault();
  const folded = keyed.closest("details");
  if (folded) folded.open = true;
  if (keyed instanceof HTMLAnchorElement) keyed.click();
  else keyed.focus();
});

// While a case is open, whoever works on it keeps it, and the others are shown.
const here = document.querySelector("form[data-here]");

async function stay() {
  const answer = await fetch(here.dataset.here, { method: "POST", body: new URLSearchParams(new FormData(here)) });
  if (answer.ok) here.querySelector(".also").textContent = await answer.text();
}

if (here) {
  stay();
  setInterval(() => document.visibilityState === "visible" && stay(), 45_000);
}

// While a text is written, what is wrong with it is said below it.
const checked = document.querySelector("textarea[data-check]");

async function check() {
  const answer = await fetch(checked.dataset.check, { method: "POST", body: new URLSearchParams(new FormData(checked.form)) });
  if (answer.ok) checked.form.querySelector(".checked").textContent = await answer.text();
}

if (checked) {
  let waiting;
  checked.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(check, 400);
  });
}

// A form is sent once: a second press while the first is under way does nothing.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.dataset.sent) return event.preventDefault();
  form.dataset.sent = "yes";
  form.setAttribute("aria-busy", "true");
});
window.addEventListener("pageshow", () => {
  for (const form of document.forms) {
    delete form.dataset.sent;
    form.removeAttribute("aria-busy");
  }
});

// Trying corrections takes seconds: it is asked for once the page is there.
const change = document.querySelector("#smallest-change[data-load]");

async function tryCorrections() {
  change.setAttribute("aria-busy", "true");
  change.querySelector(".trying").hidden = false;
  const answer = await fetch(change.dataset.load);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const found = page.getElementById(change.id);
  if (found) change.replaceWith(found);
  else change.querySelector(".trying").hidden = true;
}

if (change) tryCorrections();
