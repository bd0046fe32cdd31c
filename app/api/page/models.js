// What is served, what was refused and why, and the card of each model.
function showModels() {
  const notes = problems.map(problem => element("p", problem, { class: "error" }));
  const open = new Set([...$("models").querySelectorAll("details[open]")].map(node => node.id));
  $("models").replaceChildren(...notes, ...models.map(modelSection));
  if (!models.length) $("models").append(element("p", "There is no model."));
  for (const id of open) if ($(id)) $(id).open = true;
}

async function refreshModels(view) {
  if (view !== "models") return;
  try {
    const response = await get("models"), body = await answerOf(response);
    if (askForKey(response.status) || !response.ok) return $("models").replaceChildren(element("p", sentenceOf(body), { class: "error" }));
    ({ models, defaults, problems } = body);
    showModels();
  } catch {
    $("models").replaceChildren(element("p", GONE, { class: "error" }));
  }
}

function modelSection(model) {
  const id = `model-${model.name}`, title = element("h3", model.version === undefined ? model.name : `${model.name}:${model.version}`, { id, dir: "auto" });
  title.append(" ", element("span", model.state, { class: `badge ${model.state}` }));
  const said = [model.note, model.advice].filter(Boolean).map(text => element("p", text));
  const parts = model.state === "ready" ? [factsOf(model), ...metricsOf(model), cardOf(model)] : [];
  return holding("section", [title, ...said, ...refusedOf(model), ...parts], { "aria-labelledby": id, class: "model" });
}

function refusedOf(model) {
  const refused = Object.entries(model.refused ?? {});
  return refused.map(([version, reason]) => element("p", `Version ${version} is refused: ${reason}`, { class: "error", dir: "auto" }));
}

function factsOf(model) {
  const answers = routesOf(model).map(route => (defaults[route.slice(1)] === model.name ? `${route} (by default)` : route));
  const facts = {
    task: model.task, answers: answers.join(", "), labels: (model.labels ?? []).join(", "),
    graph: [model.precision, model.layout, model.provider].filter(Boolean).join(", "),
    "tokens in a window": model.max_length, "proved at load": model.verified ? "yes" : "no: its folder has no probes",
    license: model.provenance?.licence, base: model.provenance?.base,
  };
  const list = element("dl");
  for (const [name, value] of Object.entries(facts)) if (value) list.append(element("dt", name), element("dd", String(value), { dir: "auto" }));
  return list;
}

function metricsOf(model) {
  const metrics = Object.entries(model.metrics ?? {}), limits = Object.entries(model.thresholds ?? {});
  const split = model.provenance?.scored_on, tables = [];
  if (metrics.length) tables.push(disclosed(`Scores${split ? ` on ${split}` : ""}: ${shortly(metrics)}`, () => [tableFrom(["metric", model.precision], metrics.map(([name, value]) => [name, Number(value.toFixed(4))]))]));
  if (limits.length) tables.push(disclosed("Thresholds", () => [tableFrom(["label", "least score"], limits.map(([name, value]) => [name, Number(value.toFixed(4))]))]));
  return tables;
}

const shortly = metrics => metrics.slice(0, 2).map(([name, value]) => `${name} ${shown(value)}`).join(", ");

function cardOf(model) {
  const card = disclosed("Model card", () => [element("p", "Reading …")], `card-${model.name}`);
  card.addEventListener("toggle", async () => {
    if (!card.open || card.dataset.read) return;
    card.dataset.read = "yes";
    card.lastChild.replaceChildren(...await readCard(model.name));
  });
  return card;
}

async function readCard(name) {
  try {
    const response = await get(`models/${encodeURIComponent(name)}/card`);
    if (response.ok) return markdown(await response.text());
    askForKey(response.status);
    return [element("p", sentenceOf(await answerOf(response)), { class: "error" })];
  } catch {
    return [element("p", GONE, { class: "error" })];
  }
}

// Made when it is opened for the first time.
function disclosed(title, make, id = "") {
  const node = holding("details", [element("summary", title), element("div")], id && { id });
  node.addEventListener("toggle", () => { if (node.open && !node.lastChild.childNodes.length) node.lastChild.append(...make()); });
  return node;
}

onView.models = refreshModels;
