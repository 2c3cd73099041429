// An engine of Node in a process of its own: reads requests from stdin, one JSON object a line, and answers in the same
// way. The requests are those of worker.py that an engine of texts is asked.
//
//     node worker.cjs ENVIRONMENT

const { existsSync, readFileSync, readdirSync, statSync, writeFileSync } = require("node:fs");
const { createRequire } = require("node:module");
const { join } = require("node:path");
const readline = require("node:readline");

const MAX_REPEATS = 400;
const environment = process.argv[2];
const requireThere = createRequire(join(environment, "package.json"));

let engine = null;
let strings = [];

const requests = {
  async open({ engine: name, model, threads, options }) {
    const { openEngine, PACKAGES } = require(`./engines/${name}.cjs`);
    const started = performance.now();
    engine = await openEngine(requireThere, model, threads, options);
    const versions = Object.fromEntries(PACKAGES.map((one) => [one, described(folderOf(one)).version]));
    return { seconds: (performance.now() - started) / 1000, versions };
  },

  load({ ids, strings: texts }) {
    if (ids.length) throw new Error("this engine takes texts, not token ids");
    strings = texts;
    return {};
  },

  async vectors({ batch_size }) {
    const started = performance.now();
    const { data, dims } = await engine.encode(strings, batch_size);
    const seconds = (performance.now() - started) / 1000;
    return { shape: dims, seconds, float32: Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString("base64") };
  },

  async time({ batch_size, seconds }) {
    const measured = [];
    const before = process.cpuUsage();
    const started = performance.now();
    let last = started;
    while (!measured.length || (last - started < 1000 * seconds && measured.length < MAX_REPEATS)) {
      await engine.encode(strings, batch_size);
      const now = performance.now();
      measured.push((now - last) / 1000);
      last = now;
    }
    const used = process.cpuUsage(before);
    return { seconds: measured, cpu_seconds: (used.user + used.system) / 1e6 / measured.length };
  },

  memory() {
    const { rss } = process.memoryUsage();
    return { resident: rss, peak: process.resourceUsage().maxRSS * 1024 };
  },

  // Bytes on disk of packages and of all that they depend on, each counted once.
  installed({ packages }) {
    const bytes = {};
    const waiting = [...packages];
    while (waiting.length) {
      const name = waiting.pop();
      if (name in bytes) continue;
      const folder = folderOf(name);
      if (!folder) continue; // for another system
      bytes[name] = bytesOf(folder);
      const { dependencies = {}, optionalDependencies = {} } = described(folder);
      waiting.push(...Object.keys({ ...dependencies, ...optionalDependencies }));
    }
    return { bytes };
  },
};

function folderOf(name) {
  const folder = join(environment, "node_modules", name);
  return existsSync(folder) ? folder : null;
}

function described(folder) {
  return JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
}

function bytesOf(path) {
  const found = statSync(path);
  return found.isDirectory() ? readdirSync(path).reduce((sum, name) => sum + bytesOf(join(path, name)), 0) : found.size;
}

function tell(answer) {
  process.stdout.write(JSON.stringify(answer) + "\n");
}

async function main() {
  // What packages print goes to stderr, so that it cannot be taken for an answer.
  for (const name of ["log", "info", "debug"]) console[name] = console.error;
  const killedFirst = "/proc/self/oom_score_adj"; // a case too large for this machine ends this process, not the run
  if (existsSync(killedFirst)) writeFileSync(killedFirst, "1000");
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const { do: what, ...rest } = JSON.parse(line);
    try {
      tell(await requests[what](rest));
    } catch (error) {
      if (error.code === "MODULE_NOT_FOUND") tell({ absent: String(error.message).split("\n")[0] });
      else tell({ error: `${error.name}: ${String(error.message).replace(/\s+/g, " ").slice(0, 400)}` });
    }
  }
}

main();
