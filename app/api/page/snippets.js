// The question as code, to be copied: with this host, this text, and the name of a variable in place of the key.
const VARIABLE = "ROBERTA_API_KEY";
const inShell = text => `'${text.replaceAll("'", String.raw`'\''`)}'`;

const SNIPPETS = {
  curl(url, body, key) {
    const sent = key === null ? "" : ` \\\n  -H ${key === "" ? `"Authorization: Bearer $${VARIABLE}"` : inShell(`Authorization: Bearer ${key}`)}`;
    return `curl ${inShell(url)} \\\n  -H 'Content-Type: application/json'${sent} \\\n  -d ${inShell(JSON.stringify(body))}`;
  },
  Python(url, body, key) {
    const value = key === "" ? `f"Bearer {os.environ['${VARIABLE}']}"` : JSON.stringify(`Bearer ${key}`);
    const sent = key === null ? "" : `\n    headers={"Authorization": ${value}},`;
    return `${key === "" ? "import os\n\n" : ""}import requests\n\nanswer = requests.post(\n    ${JSON.stringify(url)},${sent}\n    json=${inPython(body)},\n    timeout=60,\n)\nanswer.raise_for_status()\nprint(answer.json())`;
  },
  JavaScript(url, body, key) {
    const value = key === "" ? `\`Bearer \${process.env.${VARIABLE}}\`` : JSON.stringify(`Bearer ${key}`);
    const sent = key === null ? "" : `, Authorization: ${value}`;
    return `const answer = await fetch(${JSON.stringify(url)}, {\n  method: "POST",\n  headers: { "Content-Type": "application/json"${sent} },\n  body: JSON.stringify(${JSON.stringify(body)}),\n});\nif (!answer.ok) throw new Error(await answer.text());\nconsole.log(await answer.json());`;
  },
};

// JSON is Python but for three words.
const PYTHON = new Map([[true, "True"], [false, "False"], [null, "None"]]);
function inPython(value) {
  if (Array.isArray(value)) return `[${value.map(inPython).join(", ")}]`;
  if (isObject(value)) return `{${Object.entries(value).map(([name, each]) => `${JSON.stringify(name)}: ${inPython(each)}`).join(", ")}}`;
  return PYTHON.get(value) ?? JSON.stringify(value);
}

// null: no key is needed; empty: a variable stands for it.
const keyShown = () => ($("asked").hidden ? null : $("with-key").checked ? keyOf() : "");

function showSnippet() {
  if (!$("code").open) return;
  $("own-key").hidden = !keyOf();
  try {
    const route = $("task").value, url = new URL(route.slice(1), location.href.replace(/#.*/s, "")).href;
    $("snippet").textContent = SNIPPETS[$("language").value](url, bodyOf(), keyShown());
  } catch (error) {
    $("snippet").textContent = error.message;
  }
}

$("language").append(...Object.keys(SNIPPETS).map(name => new Option(name, name)));
$("copy").addEventListener("click", () => { showSnippet(); copy($("snippet").textContent, $("copy")); });
$("code").addEventListener("toggle", showSnippet);
for (const node of ["language", "with-key", "form"]) $(node).addEventListener("change", showSnippet);
onTask.snippet = showSnippet;
