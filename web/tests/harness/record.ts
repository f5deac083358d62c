/** What was measured, for those who compare it with what was measured before. */
import { appendFile, mkdir } from "node:fs/promises";

const FOLDER = "test-results";

/** Prints it, and adds it as a line of JSON, with the moment, to the file of this machine. */
export async function record(line: Readonly<Record<string, unknown>>): Promise<void> {
  console.log(JSON.stringify(line));
  await mkdir(FOLDER, { recursive: true });
  await appendFile(`${FOLDER}/measured.jsonl`, `${JSON.stringify({ ts: new Date().toISOString(), ...line })}\n`);
}
