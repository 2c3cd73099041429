// Vectors of a bundle with transformers.js: `node with_transformers_js.cjs BUNDLE < texts.json`.

const { readFileSync } = require("node:fs");
const { basename, dirname, resolve } = require("node:path");
const { env, pipeline } = require("@huggingface/transformers");

async function main() {
  const bundle = resolve(process.argv[2]);
  env.allowRemoteModels = false;
  env.localModelPath = dirname(bundle);
  const extract = await pipeline("feature-extraction", basename(bundle), { dtype: "fp32" });
  const vectors = await extract(JSON.parse(readFileSync(0, "utf8")), { pooling: "mean", normalize: true });
  process.stdout.write(JSON.stringify(vectors.tolist()));
}

main();
