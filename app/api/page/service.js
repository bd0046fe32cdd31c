// What is asked of the service, and with which key. Everything is found from the path of this page, which may lack its
// slash behind a proxy.
if (!location.pathname.endsWith("/")) history.replaceState(null, "", `${location.pathname}/${location.hash}`);

const KEPT_AS = `roberta-serve key ${location.pathname}`; // in the tab's own storage, which ends with it

// The key is sent to this service alone: all paths are relative, a redirect is an error, and the policy of the page
// forbids other hosts.
const keyOf = () => $("key").value.trim();
const get = (path, request = {}) => {
  const key = keyOf();
  return fetch(path, { ...request, redirect: "error", headers: { ...request.headers, ...(key && { Authorization: `Bearer ${key}` }) } });
};

const post = (path, body, signal) => get(path, {
  method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body), signal,
});

const say = (text, isWrong = false) => {
  $("state").textContent = text;
  $("state").className = isWrong ? "error" : "note";
};

function recallKey() {
  try { $("key").value = sessionStorage.getItem(KEPT_AS) ?? ""; } catch { /* a browser that keeps nothing */ }
  $("asked").hidden = !$("key").value;
}

function keepKey() {
  try {
    if (keyOf()) sessionStorage.setItem(KEPT_AS, keyOf());
    else sessionStorage.removeItem(KEPT_AS);
  } catch { /* it is in the field still */ }
}

function forgetKey() {
  $("key").value = "";
  keepKey();
  say("The key is forgotten.");
}

// Shows the field for the key once the service has asked for one.
function askForKey(status) {
  if (status === 401) $("asked").hidden = false;
  return status === 401;
}

const answerOf = response => response.json().catch(() => ({ error: `The answer is not JSON (status ${response.status}).` }));

// Of an error: a sentence, or an object that has one, as some protocols have it.
const sentenceOf = answer => answer.error?.message ?? answer.error;

const GONE = "The service does not answer.";
const pause = (ms, signal) => new Promise((resolve, reject) => {
  const waiting = setTimeout(resolve, ms);
  signal?.addEventListener("abort", () => { clearTimeout(waiting); reject(signal.reason); }, { once: true });
});
