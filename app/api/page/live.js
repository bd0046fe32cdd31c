// What the service does now, from its metrics every two seconds while somebody looks.
const EVERY_MS = 2000, MOST_POINTS = 150; // five minutes
let scraped = null, looking = 0;
const points = [];

const perSecond = (now, before, name, test) => growth(sumOf(now.samples, name, test), sumOf(before.samples, name, test)) / ((now.at - before.at) / 1000);
const meanOf = (now, before, name) => {
  const [sum, count] = ["_sum", "_count"].map(end => growth(sumOf(now.samples, name + end), sumOf(before.samples, name + end)));
  return count ? sum / count : null;
};
const gauge = name => now => sumOf(now.samples, name);
const duration = share => (now, before) => {
  const seconds = quantileOf(bucketsBetween(now.samples, before.samples, "roberta_request_duration_seconds"), share);
  return seconds === null ? null : seconds * 1000;
};

// [title, unit, value of two scrapes]; null: there is none, as the latency of no request.
const CHARTS = [
  ["Requests answered", "/s", (now, before) => perSecond(now, before, "roberta_requests_total", labels => labels.code === "200")],
  ["Refused or failed", "/s", (now, before) => perSecond(now, before, "roberta_requests_total", labels => labels.code !== "200")],
  ["Latency, median", "ms", duration(0.5)],
  ["Latency, 99th percentile", "ms", duration(0.99)],
  ["Requests in the queue", "", gauge("roberta_queue_requests")],
  ["Tokens in the queue", "", gauge("roberta_queue_tokens")],
  ["Batches", "/s", (now, before) => perSecond(now, before, "roberta_batch_sequences_count")],
  ["Windows in a batch", "", (now, before) => meanOf(now, before, "roberta_batch_sequences")],
  ["Tokens", "/s", (now, before) => perSecond(now, before, "roberta_tokens_total")],
  ["Open connections", "", gauge("roberta_connections")],
];

async function look() {
  clearTimeout(looking);
  if (shownView() !== "live" || document.hidden) return;
  let isOver = false;
  try {
    const response = await get("metrics");
    isOver = !response.ok;
    if (response.ok) take(readExposition(await response.text()));
    else await sayWhyNot(response);
  } catch {
    scraped = null;
    note(`${GONE} This page tries again.`, true);
    addPoint(CHARTS.map(() => null));
  }
  if (!isOver) looking = setTimeout(look, EVERY_MS);
}

async function sayWhyNot(response) {
  const body = await answerOf(response);
  askForKey(response.status);
  note(response.status === 404 ? "The metrics are switched off here (the setting `access`)." : sentenceOf(body), true);
}

function take(samples) {
  const now = { samples, at: performance.now() };
  note("Every two seconds; not while this page is hidden.");
  showEngines(samples);
  if (scraped) addPoint(CHARTS.map(([, , of]) => of(now, scraped)));
  scraped = now;
}

function note(text, isWrong = false) {
  if ($("live-state").textContent === text) return; // said once
  $("live-state").textContent = text;
  $("live-state").className = isWrong ? "error" : "note";
}

function addPoint(values) {
  points.push(values);
  points.splice(0, points.length - MOST_POINTS);
  $("charts").replaceChildren(...CHARTS.map(([title, unit], i) => chart(title, unit, points.map(each => each[i]))));
}

function showEngines(samples) {
  const engines = samples.get("roberta_engine_up") ?? [], up = engines.filter(each => each.value === 1).length;
  const facts = { "engines at work": `${up} of ${engines.length}`, "models served": samples.get("roberta_model_info")?.length ?? 0, "processes started again": sumOf(samples, "roberta_process_restarts_total") };
  for (const { labels, value } of samples.get("roberta_rejected_total") ?? []) if (value) facts[`refused: ${labels.reason}`] = value;
  $("engines").replaceChildren(...Object.entries(facts).map(([name, value]) => holding("div", [element("dt", name), element("dd", String(value))])));
}

onView.live = () => { scraped = null; look(); };
document.addEventListener("visibilitychange", () => { scraped = null; look(); });
