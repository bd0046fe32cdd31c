// Asks what the fields say, and shows the answer.
let asking = null;

// The texts of a request: of each input, all of them, and the last list among its values.
function textsOf(body, route) {
  const values = question.map(field => at(body, field.path));
  const inputs = Array.isArray(values[0]) ? values[0].map(textsIn) : [textsIn(values[0])];
  const lists = values.flatMap(value => (isObject(value) ? Object.values(value) : [value])).filter(Array.isArray);
  const last = (lists.at(-1) ?? []).filter(each => typeof each === "string");
  const all = values.flatMap(textsIn);
  const named = input => (isObject(input) ? input : {});
  const shared = { signed: signedParts(route), limits: chosenModel()?.thresholds ?? {} };
  const of = (i, count) => (inputs.length === count ? { ...shared, all: inputs[i], inputs: [], last: [], of, named: named(values[0][i]) } : { ...whole, inputs: [] });
  const whole = { ...shared, all, inputs, last, of, named: named(values[0]), write: typeof values[0] === "string" ? writeText : undefined };
  return whole;
}

// A word of an answer is put in the text that was asked about; the answer stays.
function writeText(text) {
  question[0].write(text);
  keep();
}

async function ask() {
  if (asking) return;
  const route = $("task").value;
  let body;
  try { body = bodyOf(); } catch (error) { return fail(error.message); }
  asking = new AbortController();
  setBusy(true);
  try {
    const response = await post(route.slice(1), body, asking.signal), answer = await answerOf(response);
    if (response.ok) showAnswer(answer, textsOf(body, route), response.headers);
    else fail(sentenceOf(answer) ?? `Status ${response.status}.`, response.headers.get("Retry-After"));
    askForKey(response.status);
  } catch (error) {
    fail(error.name === "AbortError" ? "Cancelled." : GONE);
  } finally {
    asking = null;
    setBusy(false);
  }
}

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

$("form").addEventListener("submit", event => { event.preventDefault(); if (shownView() === "try") ask(); });
$("form").addEventListener("keydown", event => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && shownView() === "try") { event.preventDefault(); ask(); }
});
$("cancel").addEventListener("click", () => asking?.abort());
