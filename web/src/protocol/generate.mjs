// Writes contract.ts: the types of docs/openapi.yaml and docs/asyncapi.yaml.
// `node generate.mjs --check` writes nothing, and fails when the file is not what the documents say.
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import openapiTS, { astToString } from "openapi-typescript";
import { parse } from "yaml";

const docs = new URL("../../../docs/", import.meta.url);
const target = fileURLToPath(new URL("contract.ts", import.meta.url));

/** The frames, as schemas of the HTTP document under names of their own: `SocketHello`, .. */
function socketSchemas(asyncapi) {
  const text = JSON.stringify(asyncapi.components.schemas)
    .replaceAll('"./openapi.yaml#/components/schemas/', '"@http/')
    .replaceAll('"#/components/schemas/', '"#/components/schemas/Socket')
    .replaceAll('"@http/', '"#/components/schemas/');
  return Object.fromEntries(
    Object.entries(JSON.parse(text)).map(([name, schema]) => [`Socket${name}`, schema]),
  );
}

export async function contract() {
  const openapi = parse(readFileSync(new URL("openapi.yaml", docs), "utf8"));
  const asyncapi = parse(readFileSync(new URL("asyncapi.yaml", docs), "utf8"));
  Object.assign(openapi.components.schemas, socketSchemas(asyncapi));
  const ast = await openapiTS(openapi, { alphabetize: true, immutable: true });
  return `// Made by \`npm run generate\` from docs/openapi.yaml and docs/asyncapi.yaml. Not to be edited.\n\n${astToString(ast)}`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const text = await contract();
  if (process.argv.includes("--check")) {
    if (readFileSync(target, "utf8") !== text) {
      console.error("web: src/protocol/contract.ts is stale: run `npm run generate`");
      process.exit(1);
    }
  } else {
    writeFileSync(target, text);
  }
}
