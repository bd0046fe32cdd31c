// The chosen task and model, the fields of its question, and the body that they make.
let models = [], isListed = false, defaults = {}, problems = [], question = [], options = [], shownExample = 0;
const typed = new Map(); // what a person has written, by the path of the field

const ready = () => models.filter(model => model.state === "ready");
const routesOf = model => model.routes ?? [model.route];
const chosenModel = () => models.find(model => model.name === $("model").value);

// The routes that models answer; where the list of models is off, those of the document.
function tasks() {
  const documented = Object.keys(openapi.paths).filter(path => openapi.paths[path].post?.tags?.includes("predictions") && path !== "/" && !path.includes("{"));
  if (!isListed) return documented;
  const served = new Set(ready().flatMap(routesOf));
  return [...documented.filter(route => served.delete(route)), ...served];
}

function showTasks() {
  const before = $("task").value, model = $("model").value, written = options.map(field => [String(field.path), readOr(field)]);
  $("task").replaceChildren(...tasks().map(route => new Option(titleOf(route), route)));
  const usual = tasks().find(route => titleOf(route) === titleOf("/"));
  $("task").value = tasks().includes(before) ? before : usual ?? tasks()[0];
  $("form").hidden = false;
  showTask();
  if ([...$("model").options].some(option => option.value === model)) $("model").value = model;
  if ($("task").value === before) for (const [path, value] of written) if (value !== undefined) options.find(field => String(field.path) === path)?.write(value);
}

function readOr(field) {
  try { return field.read(); } catch { return undefined; }
}

function showTask() {
  const route = $("task").value, usual = defaults[route.slice(1)];
  const names = ready().filter(model => routesOf(model).includes(route)).map(model => model.name);
  $("model").replaceChildren(...names.map(name => new Option(name === usual ? `${name} (default)` : name, name)));
  if (names.includes(usual)) $("model").value = usual;
  $("model").parentElement.hidden = !names.length;
  shownExample = 0;
  $("example").textContent = examplesOf(route).length > 1 ? "Next example" : "Example";
  const [asked, others] = fieldsOf(route), example = examplesOf(route)[0];
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
  for (const act of Object.values(onTask)) act();
}

const onTask = {}; // what else follows the task

// The example again, or the next of several.
function showExample() {
  const examples = examplesOf($("task").value), isAsItWas = typed.size === 0;
  shownExample = isAsItWas ? (shownExample + 1) % examples.length : shownExample;
  typed.clear();
  for (const field of [...question, ...options]) field.write(at(examples[shownExample], field.path));
  clearAnswer();
}

function keep() {
  for (const field of question) {
    try {
      typed.set(String(field.path), { kind: field.kind(), value: field.read() });
    } catch { /* not JSON yet */ }
  }
}

// Raises `Error` with a sentence where a field is not JSON.
function bodyOf(fields = [...question, ...options]) {
  const body = $("model").value ? { model: $("model").value } : {};
  for (const field of fields) {
    let value;
    try { value = field.read(); } catch { throw new Error(`${field.path.join(".")}: this is not JSON`); }
    if (value !== undefined) put(body, field.path, value);
  }
  return body;
}

// Fills the fields with a body that was asked before, as a link carries it.
function showBody(route, body) {
  if (!tasks().includes(route)) return say(`No model answers ${route} here.`, true);
  $("task").value = route;
  showTask();
  for (const field of [...question, ...options]) {
    const value = at(body, field.path);
    if (value !== undefined) field.write(value);
  }
  if (body.model === undefined) return;
  if ([...$("model").options].some(option => option.value === body.model)) $("model").value = body.model;
  else say(`The model of the link, ${body.model}, is not served here.`, true);
}

$("fields").addEventListener("input", keep);
$("fields").addEventListener("change", keep);
$("task").addEventListener("change", showTask);
$("model").addEventListener("change", () => clearAnswer());
$("example").addEventListener("click", showExample);
