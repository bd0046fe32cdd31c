// Fields that a person fills in, made from schemas. A field is {path, node, read(), write(value), kind()}.
let made = 0;

const KIND_NAMES = { text: "one text", lines: "several, one a line", json: "JSON" };
const nameOfKind = (kind, branch) => (kind === "object" ? Object.keys(branch.properties).join(" and ") : KIND_NAMES[kind]);

// What is typed in for one kind of value: a control with `read` and `write`.
function control(kind, schema, options = {}) {
  if (kind === "choice") return choice(schema);
  const isLarge = options.isLarge || kind === "lines" || kind === "json";
  const node = element(isLarge ? "textarea" : "input", "", isLarge ? { rows: 2 } : { type: kind === "number" ? "number" : "text" });
  if (kind === "number") node.step = "any";
  if (kind === "text" || kind === "lines") node.dir = "auto";
  if (options.placeholder !== undefined) node.placeholder = options.placeholder;
  return { node, ...READING[kind](node) };
}

const READING = {
  text: node => ({ read: () => node.value, write: value => { node.value = value ?? ""; } }),
  number: node => ({
    read: () => (node.value === "" ? undefined : Number(node.value)),
    write: value => { node.value = value ?? ""; },
  }),
  lines: node => ({
    read: () => node.value.split("\n").filter(line => line.trim()),
    write: value => { node.value = [value ?? []].flat().join("\n"); },
  }),
  json: node => ({
    read: () => (node.value.trim() ? JSON.parse(node.value) : undefined),
    write: value => { node.value = value === undefined ? "" : JSON.stringify(value, null, 2); },
  }),
};

function choice(schema) {
  const node = element("select"), values = valuesOf(branchesOf(schema));
  const usual = resolved(schema).default ?? null;
  node.append(new Option(usual === null ? "default" : `default: ${usual}`, ""));
  for (const value of values) node.append(new Option(String(value), JSON.stringify(value)));
  return {
    node,
    read: () => (node.value ? JSON.parse(node.value) : undefined),
    write: value => { node.value = value === undefined ? "" : JSON.stringify(value); },
  };
}

function labeled(name, shown, description) {
  const box = element("div", "", { class: "field" }), head = element("div", "", { class: "head" });
  const id = `field-${++made}`;
  head.append(element("label", name, { for: id }));
  shown.id = id;
  box.append(head, shown);
  if (description) {
    const said = prose(description);
    said.id = `${id}-about`;
    shown.setAttribute("aria-describedby", said.id);
    box.append(said);
  }
  return { box, head };
}

// A field of the question: its kind follows the example, and may be changed where the schema takes others.
function questionField(path, schema, value) {
  const branches = branchesOf(schema), holder = element("div");
  const kinds = new Map(branches.map(branch => [kindOf(branch), branch]));
  if (branches.some(isRich) || !kinds.size) kinds.set("json", {});
  let kind = value === undefined ? kinds.keys().next().value : kindOfValue(value);
  if (!kinds.has(kind)) kinds.set((kind = "json"), {});
  let part;

  function build(next, content) {
    kind = next;
    part = (kind === "object" ? group : single)(path, kinds.get(kind), content, resolved(schema).description);
    if (kinds.size > 1) part.head.append(kindChooser(kinds, kind, (...chosen) => { build(...chosen); holder.querySelector("select").focus(); }, part.read));
    holder.replaceChildren(part.node);
  }
  build(kind, value);
  return { path, node: holder, read: () => part.read(), kind: () => kind, write: content => build(kindOfValue(content), content) };
}

function kindChooser(kinds, kind, build, read) {
  const chooser = element("select", "", { "aria-label": "How it is given" });
  for (const [each, branch] of kinds) chooser.append(new Option(nameOfKind(each, branch) ?? each, each));
  chooser.value = kind;
  chooser.onchange = () => {
    let before;
    try { before = read(); } catch { before = undefined; }
    build(chooser.value, converted(before, chooser.value, kinds.get(chooser.value)));
  };
  return chooser;
}

// The same words in another form, so that nothing that was typed is lost.
function converted(value, kind, branch) {
  const texts = textsIn(value);
  if (kind === "json") return value;
  if (kind === "lines") return texts;
  if (kind === "object") return Object.fromEntries(Object.keys(branch.properties).map((name, i) => [name, texts[i] ?? ""]));
  return kind === "text" ? texts.join("\n") : undefined;
}

const textsIn = value => (typeof value === "string" ? [value] : isObject(value) || Array.isArray(value) ? Object.values(value).flatMap(textsIn) : []);

function single(path, branch, value, description) {
  const kind = branch.type ? kindOf(branch) : "json";
  const typed = control(kind, branch, { isLarge: kind === "text" });
  const { box, head } = labeled(path.at(-1), typed.node, description);
  typed.write(value);
  return { node: box, head, read: typed.read };
}

// An object of named values. Those that are left empty and are not required are left out.
function group(path, branch, value, description) {
  const node = element("fieldset"), head = element("div", "", { class: "chooser" }), required = branch.required ?? [];
  const parts = Object.entries(branch.properties).map(([name, schema]) => [name, questionField([...path, name], schema, value?.[name])]);
  node.append(element("legend", path.at(-1)), head, ...(description ? [prose(description)] : []), ...parts.map(([, field]) => field.node));
  const isGiven = (name, content) => required.includes(name) || (content !== undefined && content !== "");
  const read = () => Object.fromEntries(parts.map(([name, field]) => [name, field.read()]).filter(pair => isGiven(...pair)));
  return { node, head, read };
}

function optionField(path, schema) {
  const kind = kindOfOption(schema), usual = resolved(schema).default;
  const placeholder = usual === null || usual === undefined ? "" : [usual].flat().join("\n");
  const typed = control(kind, schema, { placeholder });
  const read = () => {
    const value = typed.read();
    return value === "" || (Array.isArray(value) && !value.length) ? undefined : value;
  };
  return { path, node: labeled(path.at(-1), typed.node, resolved(schema).description).box, read, write: typed.write };
}

function put(body, path, value) {
  const parent = path.slice(0, -1).reduce((found, key) => (found[key] ??= {}), body);
  parent[path.at(-1)] = value;
}
