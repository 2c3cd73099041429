// What benchmarks/engines/transformers_js.py describes, as worker.cjs runs it.

const { basename, dirname } = require("node:path");

const PACKAGES = ["@huggingface/transformers", "onnxruntime-node"];

async function openEngine(requireThere, model, threads, { file }) {
  const { env, pipeline } = requireThere("@huggingface/transformers");
  const bundle = `${model.files}/${file}`;
  env.allowRemoteModels = false;
  env.localModelPath = dirname(bundle);
  const extract = await pipeline("feature-extraction", basename(bundle), {
    dtype: "fp32",
    session_options: { intraOpNumThreads: threads },
  });
  return {
    // Texts as they come: it does not sort them, so the batches here are not sorted either.
    async encode(strings, batchSize) {
      const size = batchSize ?? strings.length;
      let data = null;
      let width = 0;
      for (let start = 0; start < strings.length; start += size) {
        const part = await extract(strings.slice(start, start + size), { pooling: "mean", normalize: true });
        width = part.dims[1];
        data ??= new Float32Array(strings.length * width);
        data.set(part.data, start * width);
      }
      return { data, dims: [strings.length, width] };
    },
  };
}

module.exports = { PACKAGES, openEngine };
