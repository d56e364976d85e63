// Writes or reads an Avro container file with avsc, the JavaScript implementation that knows nothing of ours.
//   node judge.js write FILE   < {"schema": …, "codec": …, "rows": […]}
//   node judge.js read FILE    > {"schema": …, "rows": […]}
"use strict";
const { createRequire } = require("module");
const avro = createRequire(process.cwd() + "/")("avsc");

const [verb, file] = process.argv.slice(2);
if (verb === "write") {
  const task = JSON.parse(require("fs").readFileSync(0, "utf8"), (key, value) =>
    value && value.hex !== undefined ? Buffer.from(value.hex, "hex") : value);
  const encoder = avro.createFileEncoder(file, task.schema, { codec: task.codec, blockSize: 4096 });
  task.rows.forEach((row) => encoder.write(row));
  encoder.end();
} else {
  const found = { schema: null, rows: [] };
  avro.createFileDecoder(file)
    .on("metadata", (type) => { found.schema = type.schema({ exportAttrs: true }); })
    .on("data", (row) => found.rows.push({ ...row }))
    .on("end", () => process.stdout.write(JSON.stringify(found)));
}
