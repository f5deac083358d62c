import "./ui/styles/base.css";
import { mount } from "svelte";
import { openEngine } from "./engine/engine.ts";
import App from "./ui/App.svelte";
import Failed from "./ui/Failed.svelte";
import { registerWorker } from "./ui/install/worker.ts";

const target = document.getElementById("app");
if (!target) throw new Error("index.html has no #app");

try {
  mount(App, { target, props: { engine: await openEngine() } });
} catch (cause) {
  console.error(cause);
  mount(Failed, { target });
}

registerWorker();
