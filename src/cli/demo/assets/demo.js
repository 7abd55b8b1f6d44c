"use strict";

const BEATS = 60;
const PERIOD = 1000;
const PATIENCE = 10000;

const lanes = [
  { name: "stored", url: () => "/pulse.json" },
  { name: "unknown", url: () => `/pulse.json?beat=${Date.now()}` },
  { name: "never", url: () => "/never-cached" },
];

// The commands name the address this page came from, whichever port the edge was given.
for (const text of textsIn(document.querySelector("pre"))) {
  text.data = text.data.replaceAll("https://localhost:8443", location.origin);
}

for (const lane of lanes) {
  const section = document.querySelector(`[data-lane="${lane.name}"]`);
  lane.section = section;
  lane.facts = section.querySelector("dl");
  lane.beats = section.querySelector(".beats");
  for (let beat = 0; beat < BEATS; beat += 1) lane.beats.append(document.createElement("li"));
  tick(lane);
}

// Each lane waits for its answer before it asks again, so that a slow answer is one wide gap and not a crowd.
async function tick(lane) {
  const begin = performance.now();
  show(lane, await ask(lane.url()), performance.now() - begin);
  setTimeout(tick, Math.max(0, PERIOD - (performance.now() - begin)), lane);
}

async function ask(url) {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(PATIENCE) });
    await response.arrayBuffer();
    const field = (name) => response.headers.get(name) ?? "–";
    return {
      status: response.status,
      origin: field("x-origin"),
      cacheStatus: field("cache-status"),
      age: field("age"),
      retryAfter: field("retry-after"),
    };
  } catch (error) {
    return { status: error.name, origin: "–", cacheStatus: "–", age: "–", retryAfter: "–" };
  }
}

function show(lane, answer, duration) {
  const kinds = kindsOf(answer);
  const beat = document.createElement("li");
  beat.className = kinds.join(" ");
  lane.beats.firstElementChild.remove();
  lane.beats.append(beat);

  const shade = kinds.find((kind) => ["a", "b", "c", "failed"].includes(kind));
  lane.section.style.setProperty("--now", shade ? `var(--${shade})` : "var(--rest)");

  const facts = [
    ["Status", `${answer.status} in ${duration.toFixed(0)} ms`],
    ["X-Origin", answer.origin],
    ["Cache-Status", answer.cacheStatus],
    ["Age", answer.age],
  ];
  if (answer.retryAfter !== "–") facts.push(["Retry-After", answer.retryAfter]);
  lane.facts.replaceChildren(...facts.flatMap(([name, value]) => [element("dt", name), element("dd", value)]));
}

// In Cache-Status, "served stale" is a negative rest of freshness.
function kindsOf(answer) {
  if (answer.status !== 200) return ["failed"];
  const stale = /ttl=-\d/.test(answer.cacheStatus);
  return stale ? [answer.origin, "stale"] : [answer.origin];
}

function textsIn(node) {
  return node.nodeType === Node.TEXT_NODE ? [node] : [...node.childNodes].flatMap(textsIn);
}

function element(name, text) {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}
