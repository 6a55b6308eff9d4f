// The page: takes pictures from the sketchpad, the camera or a file, and shows what the model says.

import { startCamera } from "./camera.js";
import { loadModel } from "./model.js";
import { decode, show, toInput } from "./pixels.js";
import { Sketchpad } from "./sketch.js";

const SHOWN = 10; // classes
const PREVIEW = 640; // pixels of the longer side of a photograph on the page
const find = (id) => document.getElementById(id);
let settings, run, pad, stopCamera;
let picture = null; // what is looked at: a function that returns the model's input, or null
let running = false;

async function start() {
  settings = await (await fetch("model.json")).json();
  document.title = settings.title;
  find("title").textContent = settings.title;
  if (settings.drawing) {
    pad = new Sketchpad(find("pad"), settings.drawing, settings.preprocessing, () => look(() => pad.toInput()));
    find("clear").onclick = () => pad.clear();
    find("undo").onclick = () => pad.undo();
  }
  for (const tab of document.querySelectorAll("[role=tab]")) tab.onclick = () => choose(tab.id);
  find("draw").hidden = !settings.drawing;
  find("camera").hidden = !navigator.mediaDevices;
  find("file").onchange = (event) => open(event.target.files[0]);
  document.ondragover = (event) => event.preventDefault();
  document.ondrop = (event) => {
    event.preventDefault();
    choose("photo");
    open(event.dataTransfer.files[0]);
  };
  choose(settings.drawing ? "draw" : "photo");
  run = await loadModel(settings);
  say("");
  await answer();
}

/** Show one of the ways to give a picture: "draw", "camera" or "photo". */
async function choose(name) {
  for (const tab of document.querySelectorAll("[role=tab]")) {
    tab.setAttribute("aria-selected", tab.id === name);
    find(`${tab.id}-panel`).hidden = tab.id !== name;
  }
  stopCamera?.();
  stopCamera = null;
  look(name === "draw" ? () => pad.toInput() : null);
  if (name !== "camera") return;
  try {
    stopCamera = await startCamera(find("video"));
    watch(find("video"));
  } catch (error) {
    say(`The camera cannot be used: ${error.message}`);
  }
}

/** Look at the camera again and again until it stops. */
async function watch(video) {
  while (video.srcObject) {
    await look(() => toInput(video, settings.preprocessing));
    await new Promise(requestAnimationFrame);
  }
}

async function open(file) {
  if (!file) return;
  let bitmap;
  try {
    bitmap = await decode(file);
  } catch {
    await look(null);
    say(`${file.name} is not an image that this browser can read`);
    return;
  }
  const preview = find("preview");
  const scale = Math.min(1, PREVIEW / Math.max(bitmap.width, bitmap.height));
  preview.width = Math.max(1, Math.round(bitmap.width * scale));
  preview.height = Math.max(1, Math.round(bitmap.height * scale));
  preview.getContext("2d").drawImage(bitmap, 0, 0, preview.width, preview.height);
  await look(() => toInput(bitmap, settings.preprocessing));
}

/** Change what the model looks at. */
function look(source) {
  picture = source;
  return answer();
}

/** Run the model on the picture, and again if it has changed meanwhile. */
async function answer() {
  if (running || !run) return;
  running = true;
  try {
    let source;
    do {
      source = picture;
      await answerOnce(source?.() ?? null);
    } while (source !== picture);
  } catch (error) {
    find("answer").hidden = true;
    say(`The model cannot be run: ${error.message}`);
  } finally {
    running = false;
  }
}

async function answerOnce(input) {
  find("answer").hidden = input === null;
  if (input === null) return;
  say("");
  show(input, settings.preprocessing, find("seen"));
  const begin = performance.now();
  const probabilities = await run(input);
  find("time").textContent = `${(performance.now() - begin).toFixed(1)} ms`;
  const order = Array.from(probabilities.keys()).sort((a, b) => probabilities[b] - probabilities[a]);
  find("classes").replaceChildren(...order.slice(0, SHOWN).map((i) => bar(settings.labels[i], probabilities[i])));
}

/** Return the row of one class: its name, a bar and the probability. */
function bar(label, probability) {
  const row = document.createElement("tr");
  const name = document.createElement("th");
  const meter = document.createElement("meter");
  const percent = document.createElement("td");
  name.textContent = label;
  meter.value = probability;
  meter.ariaLabel = `probability of ${label}`;
  percent.textContent = `${(100 * probability).toFixed(1)} %`;
  const middle = document.createElement("td");
  middle.append(meter);
  row.append(name, middle, percent);
  return row;
}

function say(text) {
  find("message").textContent = text;
}

navigator.serviceWorker?.register("service-worker.js");
start().catch((error) => say(`The page cannot start: ${error.message}`));
