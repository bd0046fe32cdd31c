// Asks the tasks that no shipped bundle answers through @huggingface/inference, and prints a JSON object of the answers.
// Arguments: the folder that has the package, the URL of the service.
import { createRequire } from "node:module";

const [folder, url] = process.argv.slice(2);
const { InferenceClient } = createRequire(`${folder}/`)("@huggingface/inference");
const client = new InferenceClient("hf_saved_on_this_machine");
const at = route => ({ endpointUrl: `${url}/${route}` });
const errorOf = asked => asked.then(() => null, error => JSON.stringify(error.httpResponse?.body ?? String(error)));

const question = "where did Ada meet Bob ?";
const context = "👩‍💼 Ada Byron met Bob in Paris and Rome . the café in São Paulo isn't open ( yet ) .";
const labels = ["a good film", "a bad film", "Paris"];
const answered = await client.questionAnswering({
  ...at("question-answering"), inputs: { question, context }, parameters: { offset_unit: "utf16", max_answer_len: 5 },
});

console.log(JSON.stringify({
  answered,
  cut: context.substring(answered.start, answered.end),
  best: await client.questionAnswering({ ...at("question-answering"), inputs: { question, context }, parameters: { top_k: 3 } }),
  vectors: await client.featureExtraction({ ...at("embed"), inputs: labels, normalize: true, dimensions: 4 }),
  similarities: await client.sentenceSimilarity({
    ...at("similarity"), inputs: { source_sentence: "a good film", sentences: labels },
  }),
  chosen: await client.zeroShotClassification({ ...at("zero-shot"), inputs: "a good film", parameters: { candidate_labels: labels } }),
  several: await client.zeroShotClassification({
    ...at("zero-shot"), inputs: "a good film", parameters: { candidate_labels: labels, multi_label: true },
  }),
  summary: await client.summarization({
    ...at("summarize"), inputs: "a good film . Ada met Bob in Paris . a bad film , Rome .", parameters: { sentences: 1 },
  }),
  empty: await errorOf(client.questionAnswering({ ...at("question-answering"), inputs: { question: "", context } })),
  base64: await errorOf(client.featureExtraction({ ...at("embed"), inputs: labels, encoding_format: "base64" })),
}));
