// The page: finds the models, makes the fields of the chosen task, asks, and shows the answer.
// Everything is found from the path of this page, which may lack its slash behind a proxy.
if (!location.pathname.endsWith("/")) history.replaceState(null, "", `${location.pathname}/`);

const RETRY_MS = 2000; // while the models are loaded, or nothing answers
let models = [], defaults = {}, question = [], options = [], asking = null, waiting = 0;
const typed = new Map(); // what a person has written, by the path of the field

// The key stays in the field: it is stored nowhere, and sent to this service alone.
const get = (path, request = {}) => {
  const key = $("key").value.trim();
  return fetch(path, { ...request, headers: { ...request.headers, ...(key && { Authorization: `Bearer ${key}` }) } });
};

const say = (text, isWrong = false) => {
  $("state").textContent = text;
  $("state").className = isWrong ? "error" : "note";
};

async function start() {
  clearTimeout(waiting);
  try {
    const [listed, documented] = await Promise.all([get("models"), get("openapi.json")]);
    $("asked").hidden = $("asked").hidden && listed.status !== 401 && documented.status !== 401;
    const body = await listed.json();
    if (listed.status === 401) return say(body.error, true);
    if (documented.ok) openapi = await documented.json();
    if (listed.ok) ({ models, defaults } = body);
    if (!listed.ok && !documented.ok) return say(body.error, true);
    if (!tasks().length) return later("No model is loaded yet: see Models. This page looks again.");
  } catch {
    return later("The service does not answer. This page tries again.");
  }
  say("");
  showTasks();
}

function later(text) {
  say(text, true);
  waiting = setTimeout(start, RETRY_MS);
}

const ready = () => models.filter(model => model.state === "ready");

// The routes that models answer; where the list of models is off, those of the document.
function tasks() {
  const documented = Object.keys(openapi.paths).filter(path => openapi.paths[path].post?.tags?.includes("predictions") && path !== "/" && !path.includes("{"));
  if (!models.length) return documented;
  const served = new Set(ready().flatMap(model => model.routes ?? [model.route]));
  return [...documented.filter(route => served.delete(route)), ...served];
}

function showTasks() {
  const before = $("task").value;
  $("task").replaceChildren(...tasks().map(route => new Option(titleOf(route), route)));
  const usual = tasks().find(route => titleOf(route) === titleOf("/"));
  $("task").value = tasks().includes(before) ? before : usual ?? tasks()[0];
  $("choices").hidden = $("buttons").hidden = false;
  showTask();
}

function showTask() {
  const route = $("task").value, usual = defaults[route.slice(1)];
  const names = ready().filter(model => (model.routes ?? [model.route]).includes(route)).map(model => model.name);
  $("model").replaceChildren(...names.map(name => new Option(name === usual ? `${name} (default)` : name, name)));
  if (names.includes(usual)) $("model").value = usual;
  $("model").parentElement.hidden = !names.length;
  const [asked, others] = fieldsOf(route), example = exampleOf(route);
  question = asked.map(([path, schema]) => questionField(path, schema, at(example, path)));
  options = others.map(([path, schema]) => optionField(path, schema));
  for (const field of question) {
    const kept = typed.get(String(field.path));
    if (kept && kept.kind === field.kind()) field.write(kept.value);
  }
  $("fields").replaceChildren(...question.map(field => field.node));
  $("options").replaceChildren(...options.map(field => field.node));
  $("more").hidden = !options.length;
  clearAnswer();
}

function keep() {
  for (const field of question) {
    try {
      typed.set(String(field.path), { kind: field.kind(), value: field.read() });
    } catch { /* not JSON yet */ }
  }
}

function bodyOf() {
  const body = $("model").value ? { model: $("model").value } : {};
  for (const field of [...question, ...options]) {
    let value;
    try { value = field.read(); } catch { throw new Error(`${field.path.join(".")}: this is not JSON`); }
    if (value !== undefined) put(body, field.path, value);
  }
  return body;
}

// The texts of a request: of each input, all of them, and the last list among its values.
function textsOf(body, route) {
  const values = question.map(field => at(body, field.path));
  const inputs = Array.isArray(values[0]) ? values[0].map(textsIn) : [textsIn(values[0])];
  const lists = values.flatMap(value => (isObject(value) ? Object.values(value) : [value])).filter(Array.isArray);
  const last = (lists.at(-1) ?? []).filter(each => typeof each === "string");
  const all = values.flatMap(textsIn);
  const signed = signedParts(route), named = input => (isObject(input) ? input : {});
  const of = (i, count) => (inputs.length === count ? { all: inputs[i], inputs: [], last: [], of, signed, named: named(values[0][i]) } : { ...whole, inputs: [] });
  const whole = { all, inputs, last, of, signed, named: named(values[0]) };
  return whole;
}

async function ask() {
  if (asking) return;
  const route = $("task").value;
  let body;
  try { body = bodyOf(); } catch (error) { return fail(error.message); }
  asking = new AbortController();
  setBusy(true);
  try {
    const response = await get(route.slice(1), {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body), signal: asking.signal,
    });
    const answer = await response.json().catch(() => ({ error: `The answer is not JSON (status ${response.status}).` }));
    if (response.ok) showAnswer(answer, textsOf(body, route), response.headers);
    else fail(sentenceOf(answer) ?? `Status ${response.status}.`, response.headers.get("Retry-After"));
    if (response.status === 401) $("asked").hidden = false;
  } catch (error) {
    fail(error.name === "AbortError" ? "Cancelled." : "The service does not answer.");
  } finally {
    asking = null;
    setBusy(false);
  }
}

// Of an error: a sentence, or an object that has one, as some protocols have it.
const sentenceOf = answer => answer.error?.message ?? answer.error;

function setBusy(isBusy) {
  $("ask").disabled = isBusy;
  $("cancel").hidden = !isBusy;
  $("result").setAttribute("aria-busy", isBusy);
  if (isBusy) say("Asking …");
  else if ($("state").textContent === "Asking …") say("");
}

function clearAnswer() {
  $("result").hidden = true;
  $("answer").replaceChildren();
  $("timing").textContent = $("json").textContent = "";
  $("raw").hidden = true;
}

function fail(text, retryAfter) {
  clearAnswer();
  $("answer").replaceChildren(element("p", retryAfter ? `${text} Try again in ${retryAfter} s.` : text, { class: "error", dir: "auto" }));
  $("result").hidden = false;
}

function showAnswer(answer, texts, headers) {
  clearAnswer();
  $("answer").replaceChildren(...draw(answer, texts));
  $("json").textContent = JSON.stringify(answer, null, 2);
  $("timing").textContent = [headers.get("X-Model"), timingOf(headers.get("Server-Timing") ?? "")].filter(Boolean).join(": ");
  $("raw").hidden = $("result").hidden = false;
}

// `forward` adds up the batches of a request, which may run at the same time.
function timingOf(header) {
  const times = [...header.matchAll(/(\w+);dur=([\d.]+)/g)].map(([, name, ms]) => [name, Number(ms)]);
  const total = times.find(([name]) => name === "total")?.[1];
  return times.map(([name, ms]) => `${name} ${ms} ms${ms > total ? " (several batches at once)" : ""}`).join(", ");
}

$("form").addEventListener("submit", event => { event.preventDefault(); ask(); });
$("form").addEventListener("keydown", event => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); ask(); }
});
$("fields").addEventListener("input", keep);
$("fields").addEventListener("change", keep);
$("task").addEventListener("change", showTask);
$("model").addEventListener("change", clearAnswer);
$("cancel").addEventListener("click", () => asking?.abort());
$("example").addEventListener("click", () => { typed.clear(); showTask(); });
$("key").addEventListener("change", start);
start();
