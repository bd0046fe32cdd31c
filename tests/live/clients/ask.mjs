// Asks every task through @huggingface/inference, and prints a JSON object of its answers. Arguments: the folder that
// has the package, the URL of the service.
import { createRequire } from "node:module";

const [folder, url] = process.argv.slice(2);
const { InferenceClient } = createRequire(`${folder}/`)("@huggingface/inference");
const client = new InferenceClient("hf_saved_on_this_machine");
const at = route => ({ endpointUrl: `${url}/${route}` });
const errorOf = asked => asked.then(() => null, error => JSON.stringify(error.httpResponse?.body ?? String(error)));

const PRAISE = "A warm, funny and beautifully acted film.";
const NAMES = "🇩🇪 Angela Merkel 👩‍💼 lives in Berlin.";
const MASKED = "Paris is the <mask> of France.";
const entities = await client.tokenClassification({
  ...at("ner"), inputs: NAMES, parameters: { aggregation_strategy: "first", ignore_labels: ["O"], offset_unit: "utf16" },
});

console.log(JSON.stringify({
  classified: await client.textClassification({ ...at("classify"), inputs: PRAISE }),
  best: await client.textClassification({
    ...at("classify"), inputs: PRAISE, parameters: { top_k: 1, function_to_apply: "none" },
  }),
  named: await client.textClassification({ ...at("models/sentiment"), inputs: PRAISE, options: { wait_for_model: true } }),
  entities,
  cut: entities.map(entity => NAMES.substring(entity.start, entity.end)),
  filled: await client.fillMask({ ...at("fill-mask"), inputs: MASKED, parameters: { top_k: 2 } }),
  targeted: await client.fillMask({ ...at("fill-mask"), inputs: MASKED, parameters: { targets: ["capital", "city"] } }),
  empty: await errorOf(client.textClassification({ ...at("classify"), inputs: "" })),
  several: await errorOf(client.textClassification({ ...at("classify"), inputs: [PRAISE, PRAISE] })),
  unknown: await errorOf(client.fillMask({ ...at("models/nobody"), inputs: MASKED })),
}));
