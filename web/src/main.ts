import { mount } from "svelte";
import { beginEngine } from "./engine/engine.ts";
import App from "./ui/App.svelte";
// The offer to install comes before anybody opens a menu.
import "./ui/install/offer.svelte.ts";
import { registerWorker } from "./ui/install/worker.ts";
import "./ui/styles/base.css";

const target = document.getElementById("app");
if (!target) throw new Error("index.html has no #app");
mount(App, { target, props: { engine: beginEngine() } });
registerWorker();
