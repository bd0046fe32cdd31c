// The page: finds the models, then shows the fields of the chosen task; looks again while there is nothing to show.
const RETRY_MS = 2000; // while the models are loaded, or nothing answers
let waiting = 0;

async function start() {
  clearTimeout(waiting);
  try {
    const [listed, documented] = await Promise.all([get("models"), get("openapi.json")]);
    const body = await listed.json();
    if (askForKey(listed.status)) return say(body.error, true);
    askForKey(documented.status);
    if (documented.ok) openapi = await documented.json();
    if (listed.ok) ({ models, defaults, problems } = body);
    if (!listed.ok && !documented.ok) return say(body.error, true);
    isListed = listed.ok;
    showModels();
    if (!tasks().length) return later(`${whyNothing()} This page looks again.`);
  } catch {
    return later(`${GONE} This page tries again.`);
  }
  say("");
  showTasks();
  followLink();
}

const whyNothing = () => (problems.length && !models.length
  ? `No model is served: ${problems[0]}. Put a bundle there, or start the service with --model ORG/NAME.`
  : "No model is loaded yet: see Models.");

function later(text) {
  say(text, true);
  waiting = setTimeout(start, RETRY_MS);
}

$("key").addEventListener("change", () => { keepKey(); start(); });
$("asked").addEventListener("submit", event => { event.preventDefault(); $("key").blur(); });
$("forget").addEventListener("click", forgetKey);
recallKey();
showView(VIEWS.find(view => location.hash === `#view=${view}`) ?? VIEWS[0], false);
start();
