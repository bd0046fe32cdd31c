// What the OpenAPI document says of the body of a route. A field's schema is reduced to its branches, null aside.
let openapi = { paths: {} };

const at = (value, keys) => keys.reduce((found, key) => found?.[key], value);

function resolved(schema = {}) {
  if (!schema.$ref) return schema;
  const { $ref, ...beside } = schema;
  return { ...resolved(at(openapi, $ref.split("/").slice(1))), ...beside };
}

// The alternatives of a schema, each with a type of its own.
function branchesOf(schema) {
  const { anyOf, oneOf, ...whole } = resolved(schema);
  const parts = anyOf ?? oneOf;
  if (!parts) return whole.type === "null" ? [] : [whole];
  return parts.flatMap(branchesOf);
}

const contentOf = route => at(openapi, ["paths", route, "post", "requestBody", "content", "application/json"]) ?? {};
const requestOf = route => resolved(contentOf(route).schema);

// The examples of a route's request, which are whole bodies, each once.
function examplesOf(route) {
  const all = [...(requestOf(route).examples ?? [{ inputs: "" }]), contentOf(route).example].filter(Boolean).map(each => JSON.stringify(each));
  return [...new Set(all)].map(each => JSON.parse(each));
}

const titleOf = route => at(openapi, ["paths", route, "post", "summary"]) ?? route.slice(1);

const takesText = schema => branchesOf(schema).some(branch => branch.type === "string" && !branch.enum);

const isObject = value => typeof value === "object" && value !== null && !Array.isArray(value);

// How a value can be typed in: a text, lines (a list of texts), an object of fields, a number, a choice; or as JSON.
function kindOf(branch) {
  if (branch.enum || branch.type === "boolean") return "choice";
  if (branch.type === "integer" || branch.type === "number") return "number";
  if (branch.type === "string") return "text";
  if (branch.type === "array" && takesText(branch.items)) return "lines";
  if (branch.type === "object" && Object.keys(branch.properties ?? {}).length) return "object";
  return "json";
}

// A list that takes more than texts, such as pairs.
const isRich = branch => branch.type === "array" && !branchesOf(branch.items).every(item => item.type === "string");

function kindOfValue(value) {
  if (typeof value === "string") return "text";
  if (typeof value === "number") return "number";
  if (typeof value === "boolean") return "choice";
  if (Array.isArray(value)) return value.every(item => typeof item === "string") ? "lines" : "json";
  return isObject(value) ? "object" : "json";
}

// The values of a choice, as JSON; a boolean has two.
const valuesOf = branches => branches.flatMap(branch => branch.enum ?? (branch.type === "boolean" ? [true, false] : []));

// An option is typed in one way: a list of words in lines, be it one word or more.
function kindOfOption(schema) {
  const kinds = new Set(branchesOf(schema).map(kindOf));
  if (kinds.has("lines")) return "lines";
  return ["choice", "number", "text"].find(kind => kinds.size === 1 && kinds.has(kind)) ?? "json";
}

// The fields of a request: [path, schema] of those that the example has, and of all others.
function fieldsOf(route) {
  const { properties = {}, required = [] } = requestOf(route), example = examplesOf(route)[0];
  const parameters = branchesOf(properties.parameters ?? {}).find(branch => branch.properties) ?? {};
  const all = [
    ...Object.entries(properties).map(([name, schema]) => [[name], schema, required.includes(name)]),
    ...Object.entries(parameters.properties ?? {}).map(([name, schema]) => [
      ["parameters", name], schema, (parameters.required ?? []).includes(name),
    ]),
  ].filter(([path]) => !["parameters", "model", "options"].includes(path.join()));
  const isAsked = ([path, , isRequired]) => isRequired || at(example, path) !== undefined;
  return [all.filter(isAsked), all.filter(field => !isAsked(field))];
}

// The parts of an answer that have a signed number, as its schema declares by `x-signed`: its name, and all fields.
function signedParts(route) {
  const found = [], seen = new Set();
  const walk = schema => {
    for (const branch of branchesOf(schema ?? {})) {
      if (branch.properties && seen.has(branch.properties)) continue;
      seen.add(branch.properties);
      const properties = Object.entries(branch.properties ?? {});
      for (const [name, each] of properties) if (resolved(each)["x-signed"]) found.push({ name, fields: properties.map(([field]) => field) });
      [branch.items, ...properties.map(([, each]) => each)].filter(Boolean).forEach(walk);
    }
  };
  walk(at(openapi, ["paths", route, "post", "responses", "200", "content", "application/json", "schema"]));
  return found;
}
