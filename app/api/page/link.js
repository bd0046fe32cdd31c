// A link that carries the question: in its fragment, which a browser sends to no server.
const MOST_IN_LINK = 500_000; // characters, of which every browser takes more

function linkOf(route, body) {
  return `${location.origin}${location.pathname}#${new URLSearchParams({ ask: route, body: JSON.stringify(body) })}`;
}

function copyLink() {
  let link;
  try { link = linkOf($("task").value, bodyOf()); } catch (error) { return say(error.message, true); }
  if (link.length > MOST_IN_LINK) return say("The text is too long for a link.", true);
  history.replaceState(null, "", link);
  return copy(link, $("link"));
}

// Shows what the fragment of the address asks, once for each fragment.
let followed = "";
function followLink() {
  const asked = new URLSearchParams(location.hash.slice(1)), route = asked.get("ask");
  if (!route || followed === location.hash) return;
  followed = location.hash;
  let body;
  try { body = JSON.parse(asked.get("body") ?? "{}"); } catch { return say("The link is cut off.", true); }
  showView("try", false);
  showBody(route, isObject(body) ? body : {});
}

$("link").addEventListener("click", copyLink);
addEventListener("hashchange", () => {
  const view = VIEWS.find(each => location.hash === `#view=${each}`);
  if (view) showView(view, false);
  else if (tasks().length) followLink();
});
