// Vectors of a bundle with onnxruntime-web (WebAssembly): `node with_onnxruntime_web.cjs BUNDLE < texts.json`.

const { readFileSync } = require("node:fs");
const { basename, dirname, join, resolve } = require("node:path");
const { AutoTokenizer, env } = require("@huggingface/transformers");
const ort = require("onnxruntime-web");

async function main() {
  const bundle = resolve(process.argv[2]);
  env.allowRemoteModels = false;
  env.localModelPath = dirname(bundle);
  const tokenizer = await AutoTokenizer.from_pretrained(basename(bundle));
  const tokens = await tokenizer(JSON.parse(readFileSync(0, "utf8")), { padding: true, truncation: true });
  const input = ({ data, dims }) => new ort.Tensor("int64", data, dims);
  const session = await ort.InferenceSession.create(readFileSync(join(bundle, "onnx/model.onnx")));
  const outputs = await session.run({
    input_ids: input(tokens.input_ids),
    attention_mask: input(tokens.attention_mask),
  });
  const { data, dims } = outputs.sentence_embedding;
  const rows = Array.from({ length: dims[0] }, (_, row) => Array.from(data.slice(row * dims[1], (row + 1) * dims[1])));
  process.stdout.write(JSON.stringify(rows));
}

main();
