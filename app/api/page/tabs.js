// The views of the page, one at a time. The arrows go from one to the next (WAI-ARIA's pattern of tabs), and the
// fragment of the address says which it is.
const VIEWS = ["try", "batch", "models", "live"];
const SHARING = ["try", "batch"]; // ask with the same fields
const shownView = () => VIEWS.find(view => $(`tab-${view}`).getAttribute("aria-selected") === "true");
const onView = {}; // what a view does when it is shown

function showView(view, isRemembered = true) {
  for (const each of VIEWS) {
    const isShown = each === view;
    $(`tab-${each}`).setAttribute("aria-selected", isShown);
    $(`tab-${each}`).tabIndex = isShown ? 0 : -1;
    $(`panel-${each}`).hidden = !isShown;
  }
  if (SHARING.includes(view)) $(`panel-${view}`).prepend($("form"));
  if (isRemembered) history.replaceState(null, "", view === VIEWS[0] ? location.pathname : `#view=${view}`);
  for (const act of Object.values(onView)) act(view);
}

function moveView(event) {
  const at = VIEWS.indexOf(shownView());
  const next = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: -1 }[event.key];
  if (next === undefined) return;
  event.preventDefault();
  const isMirrored = getComputedStyle(event.currentTarget).direction === "rtl" && event.key.startsWith("Arrow");
  const view = VIEWS.at((isMirrored ? 2 * at - next : next) % VIEWS.length);
  showView(view);
  $(`tab-${view}`).focus();
}

for (const view of VIEWS) $(`tab-${view}`).addEventListener("click", () => showView(view));
$("tabs").addEventListener("keydown", moveView);
