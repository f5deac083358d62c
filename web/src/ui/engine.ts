import { createContext } from "svelte";
import type { Engine, Own } from "../engine/api.ts";

/** The engine of this tab, for every component. */
export const [useEngine, provideEngine] = createContext<Engine>();

/** The person who is logged in, for everything within the shell. */
export const [useMe, provideMe] = createContext<() => Own>();
