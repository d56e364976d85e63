// Prints as JSON the protocol that an IDL file describes, as avsc reads it: node read_idl.js FILE
"use strict";
const { createRequire } = require("module");
const avro = createRequire(process.cwd() + "/")("avsc");

avro.assembleProtocol(process.argv[2], {}, (error, protocol) => {
  if (error) throw error;
  process.stdout.write(JSON.stringify(protocol));
});
