/** The real program with a nats-server of its own, in a directory that is gone afterwards. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";

/** What `cargo build` makes. */
export const BINARY = resolve(process.env["WEB_TEST_BINARY"] ?? "../target/debug/hansard");

/** Longer than anything that a test waits for takes on a busy machine. */
export const DEADLINE_MS = Number(process.env["DEADLINE_MS"] ?? 30_000);
/** The first start fetches nats-server where none is installed. */
const START_MS = 120_000;

/** Connections go out from 127.0.0.1: none of them can take the port of a server that is started again. */
const ANY_PORT = "127.0.0.2:0";

/** Without variables of whoever runs the tests: the program takes those that begin so for its own. */
function environment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("HANSARD_")));
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  // A process that nobody has waited for is dead and still has its number.
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return !existsSync("/proc/self");
  }
}

async function gone(pid: number): Promise<void> {
  const deadline = Date.now() + DEADLINE_MS;
  while (isRunning(pid)) {
    if (Date.now() > deadline) throw new Error(`process ${pid} does not end`);
    await new Promise((done) => setTimeout(done, 20));
  }
}

export class Server {
  private child: ChildProcess | undefined;
  /** The last lines that it wrote to its log, for a test that fails. */
  readonly log: string[] = [];

  private constructor(
    readonly data: string,
    private readonly options: readonly string[],
    private listen: string,
  ) {}

  /** Starts one on a new directory, and waits until it serves. */
  static async start(options: readonly string[] = []): Promise<Server> {
    if (!existsSync(BINARY)) {
      throw new Error(`${BINARY} is not there: cargo build --bin hansard, or name one in WEB_TEST_BINARY`);
    }
    const data = await mkdtemp(join(tmpdir(), "hansard-web-"));
    const server = new Server(data, options, ANY_PORT);
    await server.launch();
    return server;
  }

  get url(): string {
    return `http://${this.listen}`;
  }

  /** Starts it again on the same data and address, after `kill`. */
  async launch(): Promise<void> {
    // The tests kill processes; what a disk does with the power off is tested elsewhere.
    const fixed = ["serve", "--data", this.data, "--listen", this.listen, "--durability", "os", "--partitions", "4"];
    const child = spawn(BINARY, [...fixed, "--reconnect-base", "200ms", ...this.options], {
      env: environment(),
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.child = child;
    // A test that is broken off leaves nothing running: nats-server ends with its parent.
    const end = (): void => void child.kill("SIGKILL");
    process.once("exit", end);
    child.once("exit", () => process.off("exit", end));
    createInterface({ input: child.stderr }).on("line", (line) => {
      this.log.push(line);
      if (this.log.length > 200) this.log.shift();
    });
    const address = await new Promise<string>((found, failed) => {
      const timer = setTimeout(() => failed(new Error(`not ready in time\n${this.log.join("\n")}`)), START_MS);
      createInterface({ input: child.stdout }).on("line", (line) => {
        const match = /^listening on http:\/\/(\S+)$/.exec(line);
        if (!match?.[1]) return;
        clearTimeout(timer);
        found(match[1]);
      });
      child.once("exit", (code, signal) => {
        clearTimeout(timer);
        failed(new Error(`ended with ${code ?? signal}\n${this.log.join("\n")}`));
      });
    });
    this.listen = address;
  }

  private natsPid(): number {
    return Number(readFileSync(join(this.data, "nats", "server.pid"), "utf8").trim());
  }

  /** `kill -9` of the program and of its nats-server, at once. */
  async kill(): Promise<void> {
    const pids = [this.child?.pid, this.natsPid()].filter((pid): pid is number => pid !== undefined);
    for (const pid of pids) process.kill(pid, "SIGKILL");
    await Promise.all(pids.map(gone));
    this.child = undefined;
  }

  /** `kill -9` of nats-server alone; the program starts it again. */
  async killNats(): Promise<void> {
    const pid = this.natsPid();
    process.kill(pid, "SIGKILL");
    await gone(pid);
  }

  /** Runs a subcommand of the program on this one's data. */
  async command(name: string, ...args: string[]): Promise<string> {
    const run = promisify(execFile);
    const { stdout } = await run(BINARY, [name, "--data", this.data, ...args], { env: environment(), maxBuffer: 64 << 20 });
    return stdout;
  }

  /** `hansard chat`, line by line: somebody at a terminal. Their profile is in a folder that is gone with the server's. */
  terminal(handle: string, password: string): ChildProcess {
    const home = join(this.data, "terminals");
    return spawn(BINARY, ["chat", "--lines", "--server", this.url, "--handle", handle], {
      env: { ...environment(), HANSARD_PASSWORD: password, XDG_DATA_HOME: home },
      stdio: ["pipe", "pipe", "ignore"],
    });
  }

  /** Ends it in order, and forgets its data. */
  async stop(): Promise<void> {
    const child = this.child;
    if (child && child.exitCode === null && child.signalCode === null) {
      const ended = once(child, "exit");
      child.kill("SIGTERM");
      const patience = setTimeout(() => child.kill("SIGKILL"), DEADLINE_MS);
      await ended;
      clearTimeout(patience);
    }
    await rm(this.data, { recursive: true, force: true });
  }
}
